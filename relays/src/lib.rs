//! The system under test: an order service, its write paths, and the relays that publish its outbox.
//!
//! This crate knows nothing of histories, checkers or reports. Everything in it runs in child
//! processes of the harness (`outbox-harness order-service`, `outbox-harness relay`), so that it can
//! be killed for real.

pub mod amqp;
pub mod amqp_session;
mod broker;
pub mod cache;
pub mod consumer;
mod decisions;
pub mod mariadb;
pub mod persistence;
pub mod postgres;
pub mod publisher;
pub mod pump;
pub mod recoverer;
pub mod service;
pub mod source;

pub use broker::AnyPublisher;
pub use broker::eventbridge::EventBridgePublisher;
pub use broker::kafka::KafkaPublisher;
pub use broker::nats::NatsPublisher;
pub use broker::rabbitmq::RabbitMqPublisher;
pub use contract::{config, order, publish, signal, trace};
