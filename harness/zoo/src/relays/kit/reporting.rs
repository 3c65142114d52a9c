//! A producer that reports the fate of each event: delivered or not.

use super::Entry;
use super::broker::settings_of;
use rdkafka::ClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use relays::config::KafkaTarget;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The first question to the broker must be answered within this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// A producer and the topic it is for.
pub struct Reporting<'a> {
    producer: BaseProducer<Reports>,
    topic: &'a str,
}

impl<'a> Reporting<'a> {
    /// Connects; `settings` come on top of the usual ones.
    pub fn connect(target: &'a KafkaTarget, settings: &[(&str, &str)]) -> Result<Self, String> {
        let producer: BaseProducer<Reports> = settings_of(target, settings)
            .create_with_context(Reports::default())
            .map_err(|e| format!("make a producer: {e}"))?;
        producer
            .client()
            .fetch_metadata(Some(&target.topic), PATIENCE)
            .map_err(|e| format!("ask for topic {}: {e}", target.topic))?;
        let topic = &target.topic;
        Ok(Self { producer, topic })
    }

    /// Hands over the event of the row with this `seq`.
    pub fn send(&self, seq: i64, entry: &Entry) -> Result<(), String> {
        let record = BaseRecord::with_opaque_to(self.topic, Box::new(seq))
            .key(&entry.key)
            .payload(&entry.payload);
        let sent = self.producer.send(record);
        sent.map_err(|(error, _)| format!("publish {}: {error}", entry.name()))
    }

    /// Rows whose fate is known since the last call, and whether they were delivered, in the order
    /// in which it became known.
    pub fn reports(&self) -> Vec<(i64, bool)> {
        self.producer.poll(Duration::ZERO);
        let reports = &self.producer.context().0;
        std::mem::take(&mut *reports.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Default)]
struct Reports(Mutex<Vec<(i64, bool)>>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    /// This is the `seq` of the row whose delivery is reported.
    type DeliveryOpaque = Box<i64>;

    fn delivery(&self, result: &DeliveryResult<'_>, seq: Box<i64>) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reports.push((*seq, result.is_ok()));
    }
}
