//! Relays whose link to Kafka is slow: whatever it can carry arrives, once, and it carries nothing else.

use super::fixture::{Fixture, Kind, Wiring};
use super::process::RelayProcess;
use relays::signal::Signal;
use std::time::{Duration, Instant};

/// With this variable set, every cell of the matrix is measured; some ten minutes.
pub const WHOLE_MATRIX: &str = "OUTBOX_HARNESS_SLOW_LINKS";

/// The server sends nothing for so long: longer than `tcp_user_timeout` of relays' sessions that are no streams, and
/// less than the publisher waits for a batch on its way.
const STALLED_FOR: Duration = Duration::from_secs(15);

/// A link, and events that it has to carry.
#[derive(Debug, Clone, Copy)]
struct Cell {
    kind: Kind,
    kilobytes_a_second: u64,
    event_bytes: usize,
}

impl Cell {
    fn orders(self) -> u32 {
        if self.event_bytes > 100_000 { 3 } else { 10 }
    }

    /// Bytes to be carried: for some twenty seconds, and for three events at least.
    fn bytes(self) -> u64 {
        let events = 3 * self.event_bytes as u64;
        events.max(20_000 * self.kilobytes_a_second)
    }

    /// A relay in a backlog when its link becomes slow: how much of what the link can carry until the
    /// whole backlog is through is events that arrive.
    async fn share_of_events(self) -> f64 {
        let share = std::sync::Mutex::new(0.0);
        Fixture::run(self.kind, Wiring::ProxiedKafka, async |mut fixture| {
            // Given a relay at work, and a backlog that fills the slow link for a while
            fixture.content_bytes = self.event_bytes - 150;
            let orders = self.orders();
            let versions =
                (self.bytes() / (u64::from(orders) * self.event_bytes as u64)).max(1) as u32;
            fixture.insert(orders, 1..=1).await;
            let mut relay = RelayProcess::start(&fixture);
            fixture.wait_until_worked_off(orders as usize).await;
            // When the link becomes slow
            fixture.limit_proxy(Some(self.kilobytes_a_second)).await;
            let began = Instant::now();
            fixture.insert(orders, 2..=versions + 1).await;
            let events = u64::from(orders * versions);
            let delivered = u64::from(orders) + events;
            let needed = Duration::from_secs_f64(
                (events * self.event_bytes as u64) as f64
                    / (self.kilobytes_a_second * 1_000) as f64,
            );
            relay
                .wait_for_within(
                    2 * needed + Duration::from_secs(10),
                    |s| matches!(s, Signal::Progress { delivered: d, .. } if *d >= delivered),
                )
                .await;
            let took = began.elapsed();
            fixture.limit_proxy(None).await;
            fixture.wait_until_worked_off(delivered as usize).await;
            relay.terminate().await;
            // Then everything is there, in order, once
            let log = fixture.read_topic();
            log.assert_complete(u64::from(orders), u64::from(versions) + 1);
            assert_eq!(log.duplicates(), 0, "{self:?}");
            let carried: usize = log
                .0
                .iter()
                .filter(|r| r.version > 1)
                .map(|r| r.bytes)
                .sum();
            let capacity = took.as_secs_f64() * (self.kilobytes_a_second * 1_000) as f64;
            *share.lock().unwrap() = carried as f64 / capacity;
            println!(
                "{self:?}: {carried} bytes of {events} events in {took:.1?}: {:.3} of the link",
                carried as f64 / capacity
            );
        })
        .await;
        share.into_inner().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_slow_link_when_an_event_takes_longer_than_a_timeout_then_it_crosses_once() {
    let mut cells = Vec::new();
    if std::env::var_os(WHOLE_MATRIX).is_some() {
        for kilobytes_a_second in [50, 150, 500] {
            for event_bytes in [450, 30_000, 600_000] {
                for kind in [Kind::Delete, Kind::Cdc] {
                    cells.push(Cell {
                        kind,
                        kilobytes_a_second,
                        event_bytes,
                    });
                }
            }
        }
    } else {
        // Six seconds an event
        for kind in [Kind::Delete, Kind::Cdc] {
            cells.push(Cell {
                kind,
                kilobytes_a_second: 100,
                event_bytes: 600_000,
            });
        }
    }
    let mut poor = Vec::new();
    for cell in cells {
        let mut share = cell.share_of_events().await;
        if share < 0.8 {
            // The machine may have been away for a few seconds; a relay that wastes the link does so again.
            share = share.max(cell.share_of_events().await);
        }
        if share < 0.8 {
            poor.push((cell, share));
        }
    }
    assert!(
        poor.is_empty(),
        "less than 0.8 of the link is events: {poor:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_slow_broker_when_the_stream_must_wait_for_it_then_its_session_is_kept() {
    Fixture::run(Kind::Cdc, Wiring::ProxiedKafka, async |mut fixture| {
        // Given a backlog larger than whatever lies between the log and a slow broker: sockets, a thousand
        // messages read ahead, and the producer's queue
        fixture.content_bytes = 10_000;
        fixture.insert(1_000, 1..=10).await;
        fixture.limit_proxy(Some(150)).await;
        let mut relay = RelayProcess::start(&fixture);
        relay.wait_for(|s| *s == Signal::Ready).await;
        let walsender = fixture.walsender().await;
        assert!(walsender.is_some());
        relay
            .wait_for(|s| matches!(s, Signal::Progress { delivered, .. } if *delivered >= 5))
            .await;
        // When the server cannot send for longer than it would wait for a reader that is gone
        fixture.limit_proxy(Some(1)).await;
        fixture.wait_for_standstill(STALLED_FOR).await;
        assert!(fixture.records() < 5_000, "the broker was not slow");
        // Then its session goes on, and everything arrives once
        assert_eq!(fixture.walsender().await, walsender);
        fixture.limit_proxy(None).await;
        fixture.wait_until_worked_off(10_000).await;
        assert!(!relay.saw(|s| matches!(s, Signal::DatabaseLost { .. })));
        relay.terminate().await;
        let log = fixture.read_topic();
        log.assert_complete(1_000, 10);
        assert_eq!(log.duplicates(), 0);
    })
    .await;
}
