//! For how long readers of committed records stand still, as a real broker tells it.

use super::{TopicBench, until};
use crate::patience::PATIENCE;
use harness::history::Sample;
use harness::measure::BLOCKED_CONSUMERS_MS;
use harness::observer::{Ends, EndsPlan, read_again};
use rdkafka::producer::Producer;
use std::time::{Duration, Instant};

/// Watches until it is told to stop, while a transaction is open on one of two partitions for at least so long, and
/// ended then; what was found.
async fn samples_of(has_transactions: bool, open_for: Duration) -> Vec<Sample> {
    let bench = TopicBench::transactional(2).await;
    let plan = EndsPlan {
        expected: Duration::from_secs(1),
        has_transactions,
    };
    let ends = Ends::start(bench.watch.clone(), plan).await.unwrap();
    bench.producer.begin_transaction().unwrap();
    bench.send_event(1);
    bench.flush();
    tokio::time::sleep(open_for).await;
    bench.producer.abort_transaction(PATIENCE).unwrap();
    // (the broker writes the marker of an abort after it has answered)
    let stable = async || {
        let read = read_again(&bench.watch, super::requests(2)).await.unwrap();
        read.partitions
            .iter()
            .all(|p| p.stable_offset == p.end_offset)
    };
    let deadline = Instant::now() + PATIENCE;
    while !stable().await {
        assert!(Instant::now() < deadline, "a transaction is still open");
    }
    let ended_ns = bench.watch.clock.now_ns();
    let asked_again = || bench.watch.clock.now_ns() > ended_ns + 300_000_000;
    until("it is asked again", asked_again).await;
    let samples = ends.stop().await;
    bench.drop_topics(&[]).await;
    samples
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_transaction_that_is_open_when_readers_are_watched_then_they_stand_still_until_it_has_ended()
 {
    // Given one that is open for 600 ms
    let samples = samples_of(true, Duration::from_millis(600)).await;
    let of_readers = samples.iter().filter(|s| s.series == BLOCKED_CONSUMERS_MS);
    let stood_ms: Vec<f64> = of_readers.map(|sample| sample.value).collect();
    // Then they stood still for nearly as long as they are known to have, and read on at the end
    let longest_ms = stood_ms.iter().copied().fold(0.0, f64::max);
    assert!(longest_ms >= 300.0, "{stood_ms:?}");
    assert_eq!(stood_ms.last(), Some(&0.0), "{stood_ms:?}");
    assert!(stood_ms[0] == 0.0, "{stood_ms:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_topic_without_transactions_when_its_ends_are_asked_for_then_nothing_is_said_of_readers()
 {
    let samples = samples_of(false, Duration::ZERO).await;
    assert!(!samples.is_empty());
    assert!(samples.iter().all(|s| s.series != BLOCKED_CONSUMERS_MS));
}
