//! A producer, as a naive relay uses it: idempotent, and a record never times out by itself.

use super::Entry;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use relays::config::KafkaTarget;
use std::time::{Duration, Instant};

/// The broker is waited for at most this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the broker may take to say that it is there.
const ANSWER_WITHIN: Duration = Duration::from_millis(100);

/// Returns the usual settings of a producer, with `settings` on top of them.
pub fn settings_of(target: &KafkaTarget, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &target.bootstrap)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "0")
        .set("linger.ms", target.linger_ms.to_string())
        .set("partitioner", "murmur2_random")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "200")
        .set("log_level", "3");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config
}

/// A producer and the topic it is for.
pub struct Broker {
    /// This is the producer itself, for what has no method here, e.g. transactions.
    pub producer: BaseProducer,
    topic: String,
}

impl Broker {
    /// Connects; `settings` come on top of the usual ones.
    pub fn connect(target: &KafkaTarget, settings: &[(&str, &str)]) -> Result<Self, String> {
        let producer: BaseProducer = settings_of(target, settings)
            .create()
            .map_err(|e| format!("make a producer: {e}"))?;
        producer
            .client()
            .fetch_metadata(Some(&target.topic), PATIENCE)
            .map_err(|e| format!("ask for topic {}: {e}", target.topic))?;
        Ok(Self {
            producer,
            topic: target.topic.clone(),
        })
    }

    /// Hands one event over, to the partition that its key implies.
    pub fn send(&self, entry: &Entry) -> Result<(), KafkaError> {
        self.send_record(entry, &self.topic, None)
    }

    /// Does the same, to another topic or to a partition of choice; `None` leaves the partition to the key.
    pub fn send_record(
        &self,
        entry: &Entry,
        topic: &str,
        partition: Option<i32>,
    ) -> Result<(), KafkaError> {
        let header = |key, value| Header {
            key,
            value: Some(value),
        };
        let headers = OwnedHeaders::new()
            .insert(header("id", &entry.id))
            .insert(header("eventType", &entry.event_type));
        let mut record = BaseRecord::to(topic)
            .key(&entry.key)
            .payload(&entry.payload)
            .headers(headers);
        record.partition = partition;
        self.producer.send(record).map_err(|(error, _)| error)
    }

    /// Returns whether the broker answers at once. Nothing is sent: what is given up after this is not on the
    /// topic after all.
    pub fn is_there(&self) -> bool {
        let metadata = self.producer.client();
        let metadata = metadata.fetch_metadata(Some(&self.topic), ANSWER_WITHIN);
        metadata.is_ok()
    }

    /// Returns the name of the topic that events are published to.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Waits until everything handed over is delivered. (The producer's own flush sleeps a tenth of
    /// a second each time.)
    pub fn settle(&self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while self.producer.in_flight_count() > 0 {
            if Instant::now() > deadline {
                return Err(format!("events were not delivered within {PATIENCE:?}"));
            }
            self.producer.poll(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Publishes all of them, in order, and waits until they are delivered.
    pub fn publish<'a>(&self, entries: impl IntoIterator<Item = &'a Entry>) -> Result<(), String> {
        for entry in entries {
            while let Err(error) = self.send(entry) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(format!("publish {}: {error}", entry.name()));
                }
                self.producer.poll(Duration::from_millis(10));
            }
        }
        self.settle()
    }
}
