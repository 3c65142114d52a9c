//! Events that time out in the producer's queue, one by one, and are then handed over again: behind
//! later ones of their order, which have not timed out yet.

use super::kit::aftermath::Aftermath;
use super::kit::broker::settings_of;
use super::kit::outbox::Outbox;
use super::kit::{Entry, Stop, live};
use crate::confession::Confession;
use rdkafka::ClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use relays::config::{KafkaTarget, RelayConfig};
use relays::signal::{Signal, emit};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry::Vacant;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Shorter than the outage, and much shorter than librdkafka's own five minutes.
const SETTINGS: [(&str, &str); 2] = [
    ("message.timeout.ms", "300"),
    ("enable.idempotence", "false"),
];
const BATCH: u64 = 500;
const INTERVAL: Duration = Duration::from_millis(5);
/// Bound of the first question to the broker.
const PATIENCE: Duration = Duration::from_secs(10);

/// As if what comes first went first.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let producer: BaseProducer<Reports> = settings_of(&config.kafka, &SETTINGS)
        .create_with_context(Reports::default())
        .map_err(|e| format!("make a producer: {e}"))?;
    producer
        .client()
        .fetch_metadata(Some(&config.kafka.topic), PATIENCE)
        .map_err(|e| format!("ask for topic {}: {e}", config.kafka.topic))?;
    let mut outbox = Outbox::connect(&config.postgres).await?;
    emit(Signal::Ready);
    let mut on_their_way: BTreeMap<i64, Entry> = BTreeMap::new();
    while !stop.told() || !on_their_way.is_empty() {
        producer.poll(Duration::ZERO);
        let mut delivered = Vec::new();
        for (seq, fate) in producer.context().take() {
            if fate {
                on_their_way.remove(&seq);
                delivered.push(seq);
            } else if let Some(entry) = on_their_way.get(&seq) {
                send(&producer, &config.kafka, seq, entry)?;
            }
        }
        outbox.mark(&delivered, "processed").await?;
        for row in outbox.first("status = 'pending'", BATCH).await? {
            if let Vacant(place) = on_their_way.entry(row.seq) {
                send(&producer, &config.kafka, row.seq, &row.entry)?;
                place.insert(row.entry);
            }
        }
        stop.pause(INTERVAL).await;
    }
    Aftermath::admit(&config.kafka, &Confession::open())
}

fn send(
    producer: &BaseProducer<Reports>,
    target: &KafkaTarget,
    seq: i64,
    entry: &Entry,
) -> Result<(), String> {
    let record = BaseRecord::with_opaque_to(&target.topic, Box::new(seq))
        .key(&entry.key)
        .payload(&entry.payload);
    producer
        .send(record)
        .map_err(|(error, _)| format!("publish {}: {error}", entry.name()))
}

/// Rows whose fate is known, and whether they were delivered.
#[derive(Default)]
struct Reports(Mutex<Vec<(i64, bool)>>);

impl Reports {
    fn take(&self) -> Vec<(i64, bool)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    /// The row's `seq`.
    type DeliveryOpaque = Box<i64>;

    fn delivery(&self, result: &DeliveryResult<'_>, seq: Box<i64>) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reports.push((*seq, result.is_ok()));
    }
}
