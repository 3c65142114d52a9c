//! `broker = "..."` of a strategy: to which system its events go, each with settings of its own.

mod eventbridge;
mod kafka;
mod nats;
mod rabbitmq;

use super::keys::{KeyInfo, Shape};
use super::section::Section;
use contract::broker::BrokerKind;
use contract::config::QueueKind;
use serde::{Deserialize, Serialize};

pub use eventbridge::EventBridgeSettings;
pub use kafka::KafkaSettings;
pub use nats::NatsSettings;

/// This is the broker of a strategy, with the settings that only this system has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum BrokerChoice {
    /// It is Apache Kafka.
    Kafka(KafkaSettings),
    /// It is RabbitMQ.
    RabbitMq {
        /// The strategy's queue is of this kind.
        queue: QueueKind,
        /// Whether what is published counts as delivered only when the broker has confirmed it.
        confirms: bool,
        /// Whether the broker returns what no queue gets.
        mandatory: bool,
    },
    /// It is NATS JetStream.
    Nats(NatsSettings),
    /// It is EventBridge.
    EventBridge(EventBridgeSettings),
}

impl Default for BrokerChoice {
    fn default() -> Self {
        Self::Kafka(KafkaSettings::default())
    }
}

impl BrokerChoice {
    /// Returns of how many servers it is.
    pub fn nodes(&self) -> u8 {
        match self {
            Self::Kafka(settings) => settings.brokers,
            Self::RabbitMq { .. } | Self::Nats(_) | Self::EventBridge(_) => 1,
        }
    }

    /// Has it be a Kafka of so many brokers, where it is one.
    pub(super) fn is_of(&mut self, brokers: u8) {
        match self {
            Self::Kafka(settings) => settings.brokers = brokers,
            Self::RabbitMq { .. } | Self::Nats(_) | Self::EventBridge(_) => {}
        }
    }

    /// Returns which system it is.
    pub fn kind(&self) -> BrokerKind {
        match self {
            Self::Kafka(_) => BrokerKind::Kafka,
            Self::RabbitMq { .. } => BrokerKind::RabbitMq,
            Self::Nats(_) => BrokerKind::Nats,
            Self::EventBridge(_) => BrokerKind::EventBridge,
        }
    }
}

/// This is the row that a broker has in the registry.
#[derive(Debug)]
pub struct BrokerInfo {
    /// This is the system; scenario files name it so, in `broker`.
    pub kind: BrokerKind,
    /// This explains the broker in one line, for `outbox-harness list`.
    pub what: &'static str,
    /// A scenario file asks for it like this.
    pub example: &'static str,
    /// Its settings are keys of the table that has its name; without any there is no such table.
    pub keys: &'static [KeyInfo],
    /// Its table is this key of a strategy; `None` where it has no settings.
    pub table: Option<KeyInfo>,
    /// Reads its table, where a strategy has one.
    read: fn(Option<&mut Section<'_>>) -> Option<BrokerChoice>,
}

/// Every broker has a row here.
pub const BROKERS: [BrokerInfo; BrokerKind::ALL.len()] =
    [kafka::INFO, rabbitmq::INFO, nats::INFO, eventbridge::INFO];

fn broker_words() -> Vec<&'static str> {
    BrokerKind::ALL.map(BrokerKind::name).to_vec()
}

const BROKER: KeyInfo = KeyInfo::usually(
    "broker",
    Shape::Word(broker_words),
    "\"kafka\"",
    "the system to which its events go",
);

/// Returns the keys that a strategy has whose events can go to any broker.
pub(super) fn keys() -> Vec<KeyInfo> {
    let tables = BROKERS.iter().filter_map(|row| row.table);
    std::iter::once(BROKER).chain(tables).collect()
}

/// Reads them; what is wrong is noted, and `None` means that no broker came of it.
pub(super) fn read(s: &mut Section<'_>) -> Option<BrokerChoice> {
    let words = BrokerKind::ALL.map(|kind| (kind.name(), kind));
    let said = s.get("broker");
    let chosen = match said {
        Some(entry) => s.word(entry, &words),
        None => Some(BrokerKind::default()),
    };
    let mut choice = None;
    for row in &BROKERS {
        let name = row.kind.name();
        let entry = row.table.and_then(|_| s.get(name));
        if chosen != Some(row.kind) {
            if let (Some(entry), Some(chosen)) = (entry, chosen) {
                s.problem(
                    entry.span(),
                    format!("`{name}` has settings of a broker that this strategy does not have: its events go to {}", chosen.title()),
                    format!("add `broker = \"{name}\"`, or remove the line"),
                );
            }
            continue;
        }
        choice = match entry {
            None => (row.read)(None),
            Some(entry) => {
                let names = super::keys::names(row.keys);
                let title = format!("`{name}`");
                let mut section = Section::of(entry, title, names, s.problems())?;
                let choice = (row.read)(Some(&mut section));
                section.finish();
                choice
            }
        };
    }
    choice
}
