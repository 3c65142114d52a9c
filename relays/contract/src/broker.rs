//! Which brokers there are: their names, and what of them others must know.

use serde::{Deserialize, Serialize};

/// This is a system to which events are published.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum BrokerKind {
    /// It is Apache Kafka, the default.
    #[default]
    Kafka,
    /// It is RabbitMQ.
    RabbitMq,
    /// It is NATS JetStream.
    Nats,
    /// It is Amazon EventBridge, by an emulator of it.
    EventBridge,
}

impl BrokerKind {
    /// These are all of them.
    pub const ALL: [Self; 4] = [Self::Kafka, Self::RabbitMq, Self::Nats, Self::EventBridge];

    /// This is the one of who names none.
    pub const USUAL: Self = Self::Kafka;

    /// Returns its name in files: `kafka`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::RabbitMq => "rabbitmq",
            Self::Nats => "nats",
            Self::EventBridge => "eventbridge",
        }
    }

    /// Returns its name in sentences: `Kafka`. An emulator is called one.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Kafka => "Kafka",
            Self::RabbitMq => "RabbitMQ",
            Self::Nats => "NATS",
            Self::EventBridge => "EventBridge (emulator moto)",
        }
    }

    /// Whether it promises any order of events, so that whoever publishes can be held to one.
    pub const fn keeps_order(self) -> bool {
        match self {
            Self::Kafka | Self::RabbitMq | Self::Nats => true,
            Self::EventBridge => false,
        }
    }

    /// Returns how many partitions whoever reads a whole topic finds, where the load asks for so many.
    pub const fn partitions(self, asked: i32) -> i32 {
        match self {
            Self::Kafka => asked,
            // A stream has none, and one order; a bus has neither.
            Self::RabbitMq | Self::Nats | Self::EventBridge => 1,
        }
    }
}
