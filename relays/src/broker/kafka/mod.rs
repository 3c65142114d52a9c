//! Kafka, by librdkafka.

mod group;
mod persistence;
pub(crate) mod prefix;
mod publisher;
mod sender;

pub(crate) use group::KafkaMember;
pub(crate) use persistence::persistence_of;
pub use publisher::KafkaPublisher;
pub(crate) use sender::{KafkaSender, headers};
