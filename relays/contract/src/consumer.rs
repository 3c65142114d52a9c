//! What a consumer is told at its start, and the words for what it does.

use crate::config::{BrokerTarget, OnFailure, PostgresTarget, RabbitMqGroup};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The header of a call that has the event's id, so that whoever is called can know the event again.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// This is what a call says of its event; the event's id is in [`IDEMPOTENCY_KEY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallBody {
    /// The order that changed.
    pub order_id: uuid::Uuid,
    /// The version that the change made.
    pub version: i32,
}

/// This is what a consumer does with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectKind {
    /// It inserts a row for each event: a charge.
    Insert,
    /// It adds one to a number for each event: a reservation.
    Increment,
    /// It calls somebody for each event, by HTTP: a notification. No transaction covers that.
    Call,
    /// It sets the order's row to the event's version: a shipment, which goes from state to state.
    State,
}

impl EffectKind {
    /// These are all of them.
    pub const ALL: [Self; 4] = [Self::Insert, Self::Increment, Self::Call, Self::State];

    /// Returns its name in scenario files and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Increment => "increment",
            Self::Call => "call",
            Self::State => "state",
        }
    }

    /// Whether it is done by a transaction of the consumer's own database, with whatever belongs to it.
    pub fn is_in_transaction(self) -> bool {
        match self {
            Self::Insert | Self::Increment | Self::State => true,
            Self::Call => false,
        }
    }

    /// Whether it takes an order from state to state, so that an older version can take it back.
    pub fn has_order(self) -> bool {
        match self {
            Self::State => true,
            Self::Insert | Self::Increment | Self::Call => false,
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
    /// Its effect has a key of its own: a charge's is the order and its version, which a second one runs into; of a
    /// state a version is set only where it is higher than the one that is there.
    Key,
    /// The event's id is in a table of its own, written in the transaction of the effect; of a call, which no
    /// transaction covers, before it or after it, as the offset is.
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsumerConfig {
    /// This is the database, with the consumer's own role, and the schema of its effects.
    pub database: PostgresTarget,
    /// It reads the topic of this broker.
    pub broker: BrokerTarget,
    /// Its members are all that this consumer group has; where the broker has no such setting, it is one.
    pub group: String,
    /// This is how the group takes its events, where the broker is RabbitMQ.
    #[serde(default)]
    pub rabbitmq: RabbitMqGroup,
    /// This is what it does with an event.
    pub effect: EffectKind,
    /// By this it knows an event that it has applied already.
    pub idempotency: Idempotency,
    /// This says when it commits its offset.
    pub commit: OffsetCommit,
    /// It calls this one, where its effect is a call.
    #[serde(default)]
    pub sink: Option<CallTarget>,
}

impl ConsumerConfig {
    /// Returns how many members of its group it is.
    pub fn members(&self) -> u16 {
        match self.broker {
            BrokerTarget::RabbitMq(_) => self.rabbitmq.members.max(1),
            BrokerTarget::Kafka(_) | BrokerTarget::Nats(_) | BrokerTarget::EventBridge(_) => 1,
        }
    }

    /// Returns what becomes of an event whose effect could not be done.
    pub fn on_failure(&self) -> OnFailure {
        match self.broker {
            BrokerTarget::RabbitMq(_) => self.rabbitmq.on_failure,
            BrokerTarget::Kafka(_) | BrokerTarget::Nats(_) | BrokerTarget::EventBridge(_) => {
                OnFailure::Again
            }
        }
    }
}

/// Whom a consumer calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallTarget {
    /// It listens here.
    pub address: SocketAddr,
    /// It takes calls on this path of its own, which nobody guesses.
    pub path: String,
}
