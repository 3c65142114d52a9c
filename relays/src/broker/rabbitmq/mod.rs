//! RabbitMQ, by AMQP 0-9-1 ([`crate::amqp`]).
//!
//! What a topic is elsewhere is an exchange here, to which the referee's stream is bound. Whoever publishes makes the
//! queue of the strategy beside it, as consumers of it would, and binds it before anything is published.

mod acknowledged;
mod line;
mod publisher;
mod sender;
#[cfg(test)]
mod tests;

pub use publisher::RabbitMqPublisher;
pub(crate) use sender::RabbitMqSender;

/// Says that a group of this name cannot be joined here.
pub(crate) fn no_groups(group: &str) -> String {
    format!(
        "join group {group}: RabbitMQ has no groups of consumers, and these here read Kafka alone"
    )
}
