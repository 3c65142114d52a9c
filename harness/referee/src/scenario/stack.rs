//! `[stack]`: what the servers of a local stack are to be like.

use super::StackSettings;
use super::keys::{KeyInfo, Shape};
use super::limits;
use super::section::Section;
use std::time::Duration;

/// These are the keys that `[stack]` can have.
pub(super) const KEYS: [KeyInfo; 3] = [
    KeyInfo::usually(
        "synchronous_standby",
        Shape::Flag,
        "false",
        "every commit waits for a standby that flushes the log (local stack only)",
    ),
    KeyInfo::optional(
        "max_slot_wal_keep_size",
        Shape::Size {
            least: limits::SLOT_WAL.0,
            most: limits::SLOT_WAL.1,
        },
        "however much it takes",
        "so much log the server keeps for a replication slot at most, in whole MiB; a slot that would need more is lost, at a checkpoint (local stack only)",
    ),
    KeyInfo::optional(
        "autovacuum_naptime",
        Shape::Duration {
            least: NAPTIME.0,
            most: NAPTIME.1,
        },
        "PostgreSQL's own, a minute",
        "so often the server looks for tables to vacuum, in whole seconds (local stack only)",
    ),
];

/// The least that PostgreSQL takes, and no more than a run would notice.
const NAPTIME: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));

/// Reads `[stack]`; a key that is missing or wrong has its default.
pub(super) fn read(mut s: Section<'_>) -> StackSettings {
    let standby = s.get("synchronous_standby").and_then(|e| s.flag(e));
    let kept = s
        .get("max_slot_wal_keep_size")
        .and_then(|e| s.size(e, limits::SLOT_WAL.0..=limits::SLOT_WAL.1));
    let naptime = s.get("autovacuum_naptime").and_then(|e| {
        let naptime = s.duration(e, NAPTIME.0..=NAPTIME.1)?;
        if naptime.subsec_nanos() > 0 {
            s.problem(
                e.span(),
                "`autovacuum_naptime` is not a whole number of seconds",
                "PostgreSQL counts it in seconds: write for example \"1s\"",
            );
        }
        Some(naptime.as_secs())
    });
    s.finish();
    StackSettings {
        synchronous_standby: standby.unwrap_or_default(),
        max_slot_wal_keep_bytes: kept,
        autovacuum_naptime_s: naptime,
    }
}
