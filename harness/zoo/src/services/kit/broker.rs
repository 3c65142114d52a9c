//! A producer, as a service that publishes by itself has it.

use super::Change;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer};
use relays::config::{ServiceConfig, WritePathConfig};
use std::time::Duration;

/// The first question to the broker may take no longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

/// A producer and the topic it is for.
pub struct AsyncBroker {
    producer: FutureProducer,
    topic: String,
}

impl AsyncBroker {
    /// Connects to what a dual write is configured with.
    pub fn connect(config: &ServiceConfig) -> Result<Self, String> {
        let WritePathConfig::DualWrite { broker, .. } = &config.write_path else {
            return Err("this defect is one of a dual write: set kind = \"dual-write\"".to_owned());
        };
        let kafka = broker.kafka()?;
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", &kafka.bootstrap)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", kafka.linger_ms.to_string())
            .create()
            .map_err(|e| format!("make a producer: {e}"))?;
        producer
            .client()
            .fetch_metadata(Some(&kafka.topic), PATIENCE)
            .map_err(|e| format!("ask for topic {}: {e}", kafka.topic))?;
        Ok(Self {
            producer,
            topic: kafka.topic.clone(),
        })
    }

    /// Hands the event of a change over; whoever drops the future no longer waits for its delivery,
    /// and that is all.
    pub fn hand_over(&self, change: &Change, event: &str) -> Result<DeliveryFuture, String> {
        let key = change.order.to_string();
        let record = FutureRecord::to(&self.topic).key(&key).payload(event);
        let handed = self.producer.send_result(record);
        handed.map_err(|(error, _)| format!("publish: {error}"))
    }

    /// Publishes the event of a change, and waits for its delivery.
    pub async fn publish(&self, change: &Change, event: &str) -> Result<(), String> {
        match self.hand_over(change, event)?.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err((error, _))) => Err(format!("publish: {error}")),
            Err(_) => Err("publish: the producer is gone".to_owned()),
        }
    }
}
