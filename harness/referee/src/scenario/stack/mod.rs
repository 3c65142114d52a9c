//! `[stack]`: what the servers of a local stack are to be like.

pub(super) mod kafka;

use super::StackSettings;
use super::keys::{KeyInfo, Shape};
use super::limits;
use super::section::Section;
pub use kafka::KafkaCluster;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// This key is of what a `failover` takes.
pub(super) const HOT_STANDBY: &str = "hot_standby";
/// This key is of NATS.
pub(super) const NATS_SYNC: &str = "nats_sync_interval";

/// This key is of the emulator of EventBridge.
pub(super) const EVENTBRIDGE_THROTTLE: &str = "eventbridge_throttle";

/// These are the keys that `[stack]` can have.
pub(super) const KEYS: [KeyInfo; 7] = [
    KeyInfo::usually(
        "synchronous_standby",
        Shape::Flag,
        "false",
        "every commit waits for a standby that flushes the log (local stack only)",
    ),
    KeyInfo::usually(
        HOT_STANDBY,
        Shape::Flag,
        "false",
        "a second PostgreSQL follows the first, whose every commit waits for it, and can take its place (`failover`); 17 or newer (local stack only)",
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
    KeyInfo::usually(
        NATS_SYNC,
        Shape::Word(sync_words),
        "\"2m\"",
        "when what a NATS server acknowledges is on its disk: within two minutes, as it has it by itself, or before it is acknowledged (local stack only)",
    ),
    KeyInfo::optional(
        EVENTBRIDGE_THROTTLE,
        Shape::Integer {
            least: THROTTLE.0 as i64,
            most: THROTTLE.1 as i64,
        },
        "none is refused",
        "one event in so many is refused by the emulator of EventBridge, with ThrottlingException in an answer with status 200, as EventBridge does where a quota is used up (local stack only)",
    ),
    KeyInfo::optional(
        "kafka",
        Shape::Table,
        "one broker",
        "of how many brokers Kafka is, and how topics are replicated (local stack only)",
    ),
];

fn sync_words() -> Vec<&'static str> {
    NatsSync::ALL.map(NatsSync::name).to_vec()
}

/// When what a server of NATS has acknowledged is on its disk (`sync_interval`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NatsSync {
    /// It is so every two minutes, which is the server's own default: a kill loses nothing of what was acknowledged, a
    /// loss of power may.
    #[default]
    EveryTwoMinutes,
    /// Each event is, before it is acknowledged.
    Always,
}

impl NatsSync {
    /// These are all of them.
    pub const ALL: [Self; 2] = [Self::EveryTwoMinutes, Self::Always];

    /// Returns the value of `sync_interval`.
    pub fn name(self) -> &'static str {
        match self {
            Self::EveryTwoMinutes => "2m",
            Self::Always => "always",
        }
    }
}

/// One in two at most, and at least one in so many as a long run has.
const THROTTLE: (u32, u32) = (2, 10_000);

/// The least that PostgreSQL takes, and no more than a run would notice.
const NAPTIME: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));

/// Reads `[stack]`; a key that is missing or wrong has its default.
pub(super) fn read(mut s: Section<'_>) -> StackSettings {
    let standby = s.get("synchronous_standby").and_then(|e| s.flag(e));
    let hot = s.get(HOT_STANDBY);
    let hot_standby = hot.and_then(|e| s.flag(e)).unwrap_or_default();
    if let (Some(entry), true, Some(true)) = (hot, hot_standby, standby) {
        s.problem(
            entry.key_span(),
            "PostgreSQL has both a `synchronous_standby` and a `hot_standby`",
            "leave `synchronous_standby` out: commits wait for the hot one as well",
        );
    }
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
    let syncs = NatsSync::ALL.map(|sync| (sync.name(), sync));
    let sync = s.get(NATS_SYNC).and_then(|e| s.word(e, &syncs));
    let throttle = s
        .get(EVENTBRIDGE_THROTTLE)
        .and_then(|e| s.integer(e, i64::from(THROTTLE.0)..=i64::from(THROTTLE.1)));
    let kafka = s.get("kafka").and_then(|e| kafka::read(e, s.problems()));
    s.finish();
    StackSettings {
        synchronous_standby: standby.unwrap_or_default(),
        hot_standby,
        max_slot_wal_keep_bytes: kept,
        autovacuum_naptime_s: naptime,
        nats_sync: sync.unwrap_or_default(),
        eventbridge_throttle: throttle.and_then(|every| u32::try_from(every).ok()),
        kafka: kafka.unwrap_or_default(),
    }
}
