//! What a consumer is told at its start, and the words for what it does.

use crate::config::PostgresTarget;
use serde::{Deserialize, Serialize};

/// This is what a consumer does with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectKind {
    /// It inserts a row for each event: a charge.
    Insert,
    /// It adds one to a number for each event: a reservation.
    Increment,
}

impl EffectKind {
    /// These are all of them.
    pub const ALL: [Self; 2] = [Self::Insert, Self::Increment];

    /// Returns its name in scenario files and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Increment => "increment",
        }
    }
}

/// By this a consumer knows an event that it has applied already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Idempotency {
    /// It does not: an event that comes again is applied again.
    #[default]
    None,
    /// Its effect has a unique key of its own, the order and its version, which a second one runs into.
    Key,
    /// The event's id is in a table of its own, written in the transaction of the effect.
    Inbox,
}

impl Idempotency {
    /// These are all of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Key, Self::Inbox];

    /// Returns its name in scenario files and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Key => "key",
            Self::Inbox => "inbox",
        }
    }
}

/// When a consumer commits its offset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OffsetCommit {
    /// Before the effect: what fails in between is never done.
    Before,
    /// After the effect: what fails in between is done again.
    #[default]
    After,
}

impl OffsetCommit {
    /// These are all of them.
    pub const ALL: [Self; 2] = [Self::Before, Self::After];

    /// Returns its name in scenario files and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// This is the configuration of `outbox-harness consumer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerConfig {
    /// This is the database, with the consumer's own role, and the schema of its effects.
    pub postgres: PostgresTarget,
    /// The consumer bootstraps from this `host:port`.
    pub bootstrap: String,
    /// It reads this topic.
    pub topic: String,
    /// It is the one member of this consumer group.
    pub group: String,
    /// This is what it does with an event.
    pub effect: EffectKind,
    /// By this it knows an event that it has applied already.
    pub idempotency: Idempotency,
    /// This says when it commits its offset.
    pub commit: OffsetCommit,
}
