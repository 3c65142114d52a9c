//! RabbitMQ, by AMQP 0-9-1 ([`crate::amqp`]).
//!
//! What a topic is elsewhere is an exchange here, to which the referee's stream is bound. Whoever publishes makes the
//! queue of the strategy beside it, as consumers of it would, and binds it before anything is published.

mod acknowledged;
mod held;
mod line;
mod member;
mod publisher;
mod sender;
#[cfg(test)]
mod tests;

pub(crate) use member::RabbitMqMember;
pub use publisher::RabbitMqPublisher;
pub(crate) use sender::RabbitMqSender;
