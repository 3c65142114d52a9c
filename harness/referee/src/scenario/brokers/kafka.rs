//! `broker = "kafka"`: a topic with partitions, in which the events of one order keep their order.

use super::{BrokerChoice, BrokerInfo};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::section::Section;
use contract::broker::BrokerKind;
use contract::config::Acks;
use serde::{Deserialize, Serialize};

pub(super) const INFO: BrokerInfo = BrokerInfo {
    kind: BrokerKind::Kafka,
    what: "a topic with `partitions`, by the order's id; an idempotent producer with acks=all, or one with acks=1; read with read_committed; one broker, or three (`kafka` in [stack])",
    example: "kind = \"polling\", broker = \"kafka\", kafka = { acks = \"all\" }",
    keys: &KEYS,
    table: Some(KeyInfo::optional(
        "kafka",
        Shape::Table,
        "each of its keys as it usually is",
        "settings of Kafka's producer, where Kafka is the broker",
    )),
    read,
};

fn acks_words() -> Vec<&'static str> {
    Acks::ALL.map(Acks::name).to_vec()
}

const KEYS: [KeyInfo; 1] = [KeyInfo::usually(
    "acks",
    Shape::Word(acks_words),
    "\"all\"",
    "when Kafka acknowledges an event: when every replica that is in sync has it, or (\"1\") when the partition's leader alone has; without \"all\" the producer is not idempotent",
)];

/// What a strategy wants of Kafka, and of how many brokers that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KafkaSettings {
    /// When its events are acknowledged.
    pub acks: Acks,
    /// The stack's Kafka is so many brokers; it is the scenario that says so, in `[stack]`.
    pub brokers: u8,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            acks: Acks::default(),
            brokers: 1,
        }
    }
}

fn read(section: Option<&mut Section<'_>>) -> Option<BrokerChoice> {
    let mut settings = KafkaSettings::default();
    let words = Acks::ALL.map(|acks| (acks.name(), acks));
    if let Some(s) = section
        && let Some(entry) = s.get("acks")
    {
        settings.acks = s.word(entry, &words)?;
    }
    Some(BrokerChoice::Kafka(settings))
}
