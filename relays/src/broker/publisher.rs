//! A relay's publisher, whatever the broker: which one it is, is decided once, at the start.

use super::eventbridge::EventBridgePublisher;
use super::kafka::KafkaPublisher;
use super::nats::NatsPublisher;
use super::rabbitmq::RabbitMqPublisher;
use crate::config::BrokerTarget;
use crate::publisher::{Delivery, Offer, PublishError, Publisher};
use crate::source::Event;
use std::time::Duration;

/// This is the publisher of one of the brokers.
pub enum AnyPublisher {
    /// It publishes to Kafka.
    Kafka(KafkaPublisher),
    /// It publishes to RabbitMQ.
    RabbitMq(RabbitMqPublisher),
    /// It publishes to NATS.
    Nats(NatsPublisher),
    /// It publishes to EventBridge.
    EventBridge(EventBridgePublisher),
}

impl AnyPublisher {
    /// Makes the publisher of this broker; nothing is connected yet.
    pub fn new(target: BrokerTarget) -> Self {
        match target {
            BrokerTarget::Kafka(target) => Self::Kafka(KafkaPublisher::new(target)),
            BrokerTarget::RabbitMq(target) => Self::RabbitMq(RabbitMqPublisher::new(target)),
            BrokerTarget::Nats(target) => Self::Nats(NatsPublisher::new(target)),
            BrokerTarget::EventBridge(target) => {
                Self::EventBridge(EventBridgePublisher::new(target))
            }
        }
    }

    /// Has it keep deliveries, for a trace.
    #[must_use]
    pub fn keeping_deliveries(self) -> Self {
        match self {
            Self::Kafka(publisher) => Self::Kafka(publisher.keeping_deliveries()),
            Self::RabbitMq(publisher) => Self::RabbitMq(publisher.keeping_deliveries()),
            Self::Nats(publisher) => Self::Nats(publisher.keeping_deliveries()),
            Self::EventBridge(publisher) => Self::EventBridge(publisher.keeping_deliveries()),
        }
    }
}

/// Hands a call on to whichever it is.
macro_rules! hand_on {
    ($any:expr, $publisher:ident => $call:expr) => {
        match $any {
            AnyPublisher::Kafka($publisher) => $call,
            AnyPublisher::RabbitMq($publisher) => $call,
            AnyPublisher::Nats($publisher) => $call,
            AnyPublisher::EventBridge($publisher) => $call,
        }
    };
}

impl Publisher for AnyPublisher {
    async fn connect(&mut self) -> Result<(), PublishError> {
        hand_on!(self, publisher => publisher.connect().await)
    }

    fn offer(&mut self, event: &Event<'_>) -> Result<Offer, PublishError> {
        hand_on!(self, publisher => publisher.offer(event))
    }

    fn taken(&self) -> u64 {
        hand_on!(self, publisher => publisher.taken())
    }

    fn durable(&mut self) -> Result<u64, PublishError> {
        hand_on!(self, publisher => publisher.durable())
    }

    fn durable_despite_failure(&mut self) -> u64 {
        hand_on!(self, publisher => publisher.durable_despite_failure())
    }

    fn reported(&self) -> u64 {
        hand_on!(self, publisher => publisher.reported())
    }

    fn patience(&self) -> Duration {
        hand_on!(self, publisher => publisher.patience())
    }

    fn deliveries(&mut self, each: impl FnMut(Delivery)) {
        hand_on!(self, publisher => publisher.deliveries(each));
    }

    fn invalidated(&self) -> u64 {
        hand_on!(self, publisher => publisher.invalidated())
    }

    async fn progress(&self) {
        hand_on!(self, publisher => publisher.progress().await);
    }

    fn held_up(&self) -> Option<String> {
        hand_on!(self, publisher => publisher.held_up())
    }

    fn trouble(&mut self) -> Option<String> {
        hand_on!(self, publisher => publisher.trouble())
    }

    async fn abandon(&mut self) {
        hand_on!(self, publisher => publisher.abandon().await);
    }
}
