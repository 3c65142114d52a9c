//! The relays, as processes of their own, against the real PostgreSQL and the real Kafka.
#![allow(clippy::unwrap_used)]

mod cache;
mod fixture;
mod housekeeping;
mod instances;
mod lease;
mod log;
mod lost_answer;
mod position;
mod process;
mod slow;
mod trace;

pub use fixture::kafka_link;
use fixture::{Fixture, Kind, Wiring};
use process::RelayProcess;
use relays::signal::Signal;
use std::time::Duration;

/// Not a test: what the relay processes of the tests run. Without a configuration it does nothing.
#[test]
fn relay_process() {
    process::run_relay_if_asked();
}

const KINDS: [Kind; 3] = [Kind::Delete, Kind::Mark, Kind::Cdc];
/// Of the last one nothing is deleted, and a transaction that commits late holds up those after it.
const KINDS_OF_RELAYS: [Kind; 4] = [Kind::Delete, Kind::Mark, Kind::Cdc, Kind::Position];
/// The last one is read as CDC is, and is another thing to decode, to confirm and to ask for.
const KINDS_OF_EVENTS: [Kind; 5] = [
    Kind::Delete,
    Kind::Mark,
    Kind::Cdc,
    Kind::Position,
    Kind::Message,
];

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_published_once_and_in_order() {
    for kind in KINDS_OF_EVENTS {
        Fixture::run(kind, Wiring::Direct, async |fixture| {
            // Given a backlog, one event a transaction, the orders interleaved
            fixture.insert(200, 1..=10).await;
            // When a relay runs until the outbox is worked off, and is told to stop
            let mut relay = RelayProcess::start(&fixture);
            fixture.wait_until_worked_off(2_000).await;
            relay.terminate().await;
            // Then every event is there once, in order, with its key and headers, and
            // nothing is pending
            let log = fixture.read_topic();
            log.assert_complete(200, 10);
            assert_eq!(log.duplicates(), 0, "{kind:?}");
            log.assert_headers_match();
            assert_eq!(fixture.pending().await.len(), 0, "{kind:?}");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_killed_in_the_middle_loses_nothing() {
    for kind in KINDS_OF_EVENTS {
        Fixture::run(kind, Wiring::Direct, async |fixture| {
            for first in [1, 6, 11] {
                // Given a relay in the middle of a backlog
                fixture.insert(1_000, first..=first + 4).await;
                let mut relay = RelayProcess::start(&fixture);
                relay
                    .wait_for(
                        |s| matches!(s, Signal::Progress { delivered, .. } if *delivered > 500),
                    )
                    .await;
                // When it is killed
                relay.kill().await;
            }
            // Then its successors publish the rest, and no version overtakes an earlier one
            let mut relay = RelayProcess::start(&fixture);
            fixture.wait_until_worked_off(15_000).await;
            relay.terminate().await;
            fixture.read_topic().assert_complete(1_000, 15);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_told_to_stop_confirms_what_is_durable() {
    for kind in KINDS_OF_RELAYS {
        Fixture::run(kind, Wiring::Direct, async |fixture| {
            for first in [1, 6, 11] {
                // Given relays that are told to stop in the middle of a backlog
                fixture.insert(1_000, first..=first + 4).await;
                let mut relay = RelayProcess::start(&fixture);
                relay
                    .wait_for(
                        |s| matches!(s, Signal::Progress { delivered, .. } if *delivered > 500),
                    )
                    .await;
                relay.terminate().await;
            }
            // When the last one has published the rest
            let mut relay = RelayProcess::start(&fixture);
            fixture.wait_until_worked_off(15_000).await;
            relay.terminate().await;
            // Then nothing was published twice
            let log = fixture.read_topic();
            log.assert_complete(1_000, 15);
            assert_eq!(log.duplicates(), 0, "{kind:?}");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_of_the_link_to_kafka_loses_and_reorders_nothing() {
    for kind in KINDS_OF_RELAYS {
        Fixture::run(kind, Wiring::ProxiedKafka, async |fixture| {
            // Given a relay at work
            fixture.insert(500, 1..=5).await;
            let mut relay = RelayProcess::start(&fixture);
            relay
                .wait_for(|s| matches!(s, Signal::Progress { delivered, .. } if *delivered > 100))
                .await;
            // When the broker is out of reach for a while, and new versions are committed meanwhile
            fixture.set_proxy(false).await;
            fixture.insert(500, 6..=10).await;
            relay
                .wait_for(|s| matches!(s, Signal::PublishFailed { .. }))
                .await;
            fixture.set_proxy(true).await;
            // Then it goes on by itself, says so, and nothing is lost or overtaken
            fixture.wait_until_worked_off(5_000).await;
            relay.wait_for(|s| *s == Signal::PublishUp).await;
            relay.terminate().await;
            fixture.read_topic().assert_complete(500, 10);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_of_the_link_to_postgres_loses_and_reorders_nothing() {
    for kind in KINDS_OF_RELAYS {
        Fixture::run(kind, Wiring::ProxiedPostgres, async |fixture| {
            // Given a relay at work
            fixture.insert(500, 1..=5).await;
            let mut relay = RelayProcess::start(&fixture);
            relay
                .wait_for(|s| matches!(s, Signal::Progress { delivered, .. } if *delivered > 100))
                .await;
            // When the database is out of reach for a while
            fixture.set_proxy(false).await;
            fixture.insert(500, 6..=10).await;
            relay
                .wait_for(|s| matches!(s, Signal::DatabaseLost { .. }))
                .await;
            fixture.set_proxy(true).await;
            // Then it comes back by itself, and nothing is lost or overtaken
            relay.wait_for(|s| *s == Signal::DatabaseUp).await;
            fixture.wait_until_worked_off(5_000).await;
            relay.terminate().await;
            fixture.read_topic().assert_complete(500, 10);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_waits_for_a_database_that_is_not_there_yet() {
    for kind in [Kind::Delete, Kind::Cdc] {
        Fixture::run(kind, Wiring::ProxiedPostgres, async |fixture| {
            // Given a relay that starts while the database is out of reach
            fixture.insert(10, 1..=2).await;
            fixture.set_proxy(false).await;
            let mut relay = RelayProcess::start(&fixture);
            relay
                .wait_for(|s| matches!(s, Signal::DatabaseLost { .. }))
                .await;
            // When the database comes
            fixture.set_proxy(true).await;
            // Then the relay is ready and works
            relay.wait_for(|s| *s == Signal::Ready).await;
            fixture.wait_until_worked_off(20).await;
            relay.terminate().await;
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_commit_late_are_not_skipped() {
    for kind in KINDS {
        Fixture::run(kind, Wiring::Direct, async |fixture| {
            // Given a transaction that has drawn its seq and holds its commit
            let mut relay = RelayProcess::start(&fixture);
            relay.wait_for(|s| *s == Signal::Ready).await;
            let late = fixture.insert_and_hold(1, 1).await;
            // When others with a higher seq are committed and published before it
            fixture.insert(50, 2..=2).await;
            fixture.wait_until_seen(50).await;
            late.commit().await;
            // Then it is published all the same
            fixture.wait_until_seen(51).await;
            fixture.wait_until_worked_off(51).await;
            relay.terminate().await;
            assert_eq!(fixture.read_topic().duplicates(), 0, "{kind:?}");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_relay_waits_until_the_first_has_ended() {
    for kind in KINDS_OF_RELAYS {
        Fixture::run(kind, Wiring::Direct, async |fixture| {
            // Given a relay that leads, and a second one of the same outbox
            let mut first = RelayProcess::start(&fixture);
            first.wait_for(|s| *s == Signal::Ready).await;
            let mut second = RelayProcess::start(&fixture);
            fixture.insert(50, 1..=4).await;
            fixture.wait_until_worked_off(200).await;
            assert!(!second.saw(|s| *s == Signal::Ready), "{kind:?}");
            // When the first is killed
            first.kill().await;
            // Then the second takes over
            second.wait_for(|s| *s == Signal::Ready).await;
            fixture.insert(50, 5..=8).await;
            fixture.wait_until_worked_off(400).await;
            second.terminate().await;
            fixture.read_topic().assert_complete(50, 8);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_ends_the_pause() {
    Fixture::run(Kind::Delete, Wiring::Direct, async |mut fixture| {
        // Given a relay that would poll once in ten minutes
        fixture.poll_interval = Duration::from_secs(600);
        fixture.notify = true;
        let mut relay = RelayProcess::start(&fixture);
        relay.wait_for(|s| *s == Signal::Ready).await;
        fixture.wait_until_listening().await;
        // When a row is committed with a notification
        fixture.insert(1, 1..=1).await;
        fixture.notify().await;
        // Then it is published
        fixture.wait_until_seen(1).await;
        relay.terminate().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_slot_does_not_hold_the_log_back() {
    Fixture::run(Kind::Cdc, Wiring::Direct, async |fixture| {
        // Given a relay whose outbox is idle
        fixture.insert(5, 1..=1).await;
        let mut relay = RelayProcess::start(&fixture);
        fixture.wait_until_worked_off(5).await;
        // When others write to the log
        let position = fixture.write_unrelated().await;
        // Then the slot follows
        fixture.wait_until_slot_passed(position).await;
        relay.terminate().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_transaction_of_many_events_when_relays_end_in_the_middle_of_it_then_none_is_skipped()
 {
    for kind in KINDS_OF_RELAYS {
        Fixture::run(kind, Wiring::ProxiedKafka, async |mut fixture| {
            // Given many rows with one commit, a transaction before and one after them
            fixture.content_bytes = 20_000;
            fixture.insert_at_once(5, 1..=1).await;
            fixture.insert_at_once(5, 2..=59).await;
            fixture.insert_at_once(5, 60..=60).await;
            fixture.limit_proxy(Some(600)).await;
            // When a relay is killed after it has published some of them, and the next one stopped
            let mut relay = RelayProcess::start(&fixture);
            fixture.wait_until_seen(30).await;
            relay.kill().await;
            let records = fixture.records();
            let mut relay = RelayProcess::start(&fixture);
            fixture.wait_until_records(records + 30).await;
            assert!(fixture.read_topic().different() < 300, "{kind:?}");
            relay.terminate().await;
            fixture.limit_proxy(None).await;
            // Then the last one publishes what is missing, and nothing is overtaken
            let mut relay = RelayProcess::start(&fixture);
            fixture.wait_until_worked_off(300).await;
            relay.terminate().await;
            fixture.read_topic().assert_complete(5, 60);
        })
        .await;
    }
}
