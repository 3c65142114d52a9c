//! NATS JetStream: a relay's publisher by a client of our own, for the order's sake; an order service's sender by
//! async-nats, as an application has it.

mod connection;
mod publisher;
mod reply;
mod sender;
mod wire;

pub use publisher::NatsPublisher;
pub(crate) use sender::NatsSender;
