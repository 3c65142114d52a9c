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
}

impl BrokerKind {
    /// These are all of them.
    pub const ALL: [Self; 3] = [Self::Kafka, Self::RabbitMq, Self::Nats];

    /// This is the one of who names none.
    pub const USUAL: Self = Self::Kafka;

    /// Returns its name in files: `kafka`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::RabbitMq => "rabbitmq",
            Self::Nats => "nats",
        }
    }

    /// Returns its name in sentences: `Kafka`.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Kafka => "Kafka",
            Self::RabbitMq => "RabbitMQ",
            Self::Nats => "NATS",
        }
    }

    /// Returns how many partitions whoever reads a whole topic finds, where the load asks for so many.
    pub const fn partitions(self, asked: i32) -> i32 {
        match self {
            Self::Kafka => asked,
            // A stream has none, and one order.
            Self::RabbitMq | Self::Nats => 1,
        }
    }
}
