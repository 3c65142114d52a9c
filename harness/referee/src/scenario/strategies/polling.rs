//! `polling`: an outbox whose rows a relay of our own claims with SQL.

mod house;

use super::{INSTANCES, SYNCHRONOUS_COMMIT, StrategyInfo, Surroundings};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::section::Section;
use crate::scenario::{StrategyKind, cache, limits};
use std::time::Duration;

pub(super) const INFO: StrategyInfo = StrategyInfo {
    name: "polling",
    what: "an outbox row in the order's transaction; a relay claims rows with SQL, publishes, then deletes or marks them, and keeps the table small as `after_publish` says; its commits wait for the disk only with synchronous_commit = \"on\"; of several `instances` one claims, and the others stand by",
    example: "kind = \"polling\", after_publish = \"mark\", interval = \"10ms\"",
    keys: &[
        house::AFTER_PUBLISH_KEY,
        house::PURGE_KEY,
        house::PERIOD_KEY,
        house::TABLES_KEY,
        KeyInfo::usually(
            "interval",
            Shape::Duration {
                least: Duration::from_millis(1),
                most: limits::INTERVAL,
            },
            "\"5ms\"",
            "pause after a poll that found nothing",
        ),
        KeyInfo::usually(
            "batch",
            Shape::Integer {
                least: 1,
                most: limits::BATCH as i64,
            },
            "500",
            "rows a claim, at most",
        ),
        KeyInfo::usually(
            "notify",
            Shape::Flag,
            "false",
            "the order service wakes the relay up by NOTIFY",
        ),
        SYNCHRONOUS_COMMIT,
        INSTANCES,
        cache::MODE,
        cache::FILL,
        cache::HOLD,
    ],
    any_broker: true,
    any_database: true,
    read,
};

fn read(s: &mut Section<'_>, _: &Surroundings<'_>) -> Option<StrategyKind> {
    let (after_publish, housekeeping) = house::read(s);
    let interval = s
        .get("interval")
        .and_then(|e| s.duration(e, Duration::from_millis(1)..=limits::INTERVAL))
        .unwrap_or(Duration::from_millis(5));
    let batch = s
        .get("batch")
        .and_then(|e| s.integer(e, 1..=limits::BATCH))
        .unwrap_or(500);
    let notify = s.get("notify").and_then(|e| s.flag(e)).unwrap_or(false);
    Some(StrategyKind::Polling {
        after_publish,
        housekeeping,
        interval,
        batch,
        notify,
    })
}
