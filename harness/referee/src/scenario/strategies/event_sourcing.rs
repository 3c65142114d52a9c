//! `event-sourcing`: events that are the truth, which a relay of our own publishes from where they are.

use super::{FAILOVER_SLOT, StrategyInfo, Surroundings};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::section::Section;
use crate::scenario::{Publishing, StrategyKind, limits};
use std::time::Duration;

/// The ways of publishing, by their names in files; what belongs to one of them is read beside it.
const WAYS: [(&str, bool); 2] = [("polling", true), ("cdc", false)];

fn ways() -> Vec<&'static str> {
    WAYS.map(|(word, _)| word).to_vec()
}

pub(super) const INFO: StrategyInfo = StrategyInfo {
    name: "event-sourcing",
    what: "no outbox and no order's row: a change appends an event with the order's next version (optimistic concurrency), the events are the truth, and state is folded from them; a relay publishes them from there and deletes none, by a position that it keeps (publish = \"polling\") or from the write-ahead log (publish = \"cdc\"); at the end a projection is rebuilt from them, and timed",
    example: "kind = \"event-sourcing\", publish = \"cdc\"",
    keys: &[
        KeyInfo::usually(
            "publish",
            Shape::Word(ways),
            "\"polling\"",
            "how the relay reads the events",
        ),
        KeyInfo::usually(
            "interval",
            Shape::Duration {
                least: Duration::from_millis(1),
                most: limits::INTERVAL,
            },
            "\"5ms\"",
            "pause after a poll that found nothing; with publish = \"polling\" only",
        ),
        KeyInfo::usually(
            "batch",
            Shape::Integer {
                least: 1,
                most: limits::BATCH as i64,
            },
            "500",
            "events a poll, at most; with publish = \"polling\" only",
        ),
        FAILOVER_SLOT,
    ],
    any_broker: true,
    any_database: false,
    read,
};

fn read(s: &mut Section<'_>, _: &Surroundings<'_>) -> Option<StrategyKind> {
    let polls = match s.get("publish") {
        Some(entry) => s.word(entry, &WAYS),
        None => Some(true),
    };
    let (interval, batch) = (s.get("interval"), s.get("batch"));
    if polls == Some(false) {
        for entry in interval.into_iter().chain(batch) {
            s.problem(
                entry.key_span(),
                format!(
                    "`{}` belongs to publish = \"polling\", and this strategy reads the log",
                    entry.key
                ),
                "leave it out, or publish = \"polling\"",
            );
        }
        return Some(StrategyKind::EventSourcing {
            publish: Publishing::Cdc,
        });
    }
    let interval = interval
        .and_then(|e| s.duration(e, Duration::from_millis(1)..=limits::INTERVAL))
        .unwrap_or(Duration::from_millis(5));
    let batch = batch
        .and_then(|e| s.integer(e, 1..=limits::BATCH))
        .unwrap_or(500);
    polls?;
    Some(StrategyKind::EventSourcing {
        publish: Publishing::Polling { interval, batch },
    })
}
