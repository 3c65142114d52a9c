//! Kafka through librdkafka: idempotent, acks=all unless a strategy wants acks=1, keyed by order id.
//!
//! What keeps the order of a key when deliveries fail, and why the settings are what they are:
//!
//! - Within one producer, idempotence makes the broker append a partition's batches in sequence or
//!   refuse them, and librdkafka send them again in order. What is persisted of one producer is
//!   therefore always a prefix of what it was given for that partition, at every moment: after a
//!   cut, a late batch can only extend that prefix.
//! - `message.timeout.ms` is 0 (never). A message that times out locally fails alone, while a later
//!   one of the same key can still be sent: an overtaking. librdkafka's gapless guarantee does not
//!   cover time-outs. So nothing ever times out one by one: whoever waits for deliveries that stay
//!   away gives up the producer with all of its messages at once ([`Publisher::abandon`]).
//! - `enable.gapless.guarantee` turns every other failure of a batch into a fatal one, so that
//!   nothing of this producer is appended after it.
//! - No request is given up because its time is up, or rather none that a slow link can bear: it would
//!   be sent again, as large as before, and a link on which it takes longer than that would carry the
//!   same bytes for ever. How long to wait grows with the bytes that are outstanding, and again with
//!   each producer on which nothing came back ([`KafkaPublisher::patience`]).
//! - With acks=1 there is no idempotence. One request at a time is in flight, so a batch that is sent again comes before
//!   what follows it; it may be there twice, and what a leader alone had is gone with it.
//! - The next producer starts again at the first event that is not durable. What the old one had
//!   persisted beyond that becomes a duplicate: each event that reaches the log, from either
//!   producer, finds all earlier ones of its key there.

use super::persistence_of;
use super::prefix::CompletionRing;
use crate::broker::in_flight::InFlight;
use crate::broker::patience::Patience;
use crate::broker::reports::Reports;
use crate::config::KafkaTarget;
use crate::publisher::{Delivery, Offer, PublishError, Publisher};
use crate::signal::monotonic_ns;
use crate::source::Event;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig, ThreadedProducer,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// So many events are in flight at most; their bytes are bounded by [`QUEUE_KIB`].
const IN_FLIGHT_MAX: usize = 10_240;
/// Reports that are worth a look before all are there: they make room for as many events.
const WORTH_A_LOOK: u64 = IN_FLIGHT_MAX as u64 / 8;
/// So many KiB are in librdkafka's queue and in flight at most.
const QUEUE_KIB: &str = "16384";
/// A batch has at most so many bytes: few requests carry many events.
const BATCH_BYTES: u32 = 500_000;
/// This is the longest that librdkafka knows: it is the pump that decides when to give up.
const SOCKET_TIMEOUT_MS: &str = "300000";
/// One attempt to learn about the topic takes no longer than this.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
/// A producer that has not reached the broker for so long may hang on a connection that is dead.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// An abandoned producer's threads are waited for no longer than this.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(5);

/// One producer's callbacks and the pump share this.
#[derive(Debug)]
struct Deliveries {
    ring: CompletionRing,
    reports: Reports,
    failed: AtomicU64,
    /// These are the first failure's error, and the last loss of contact. They are locked on failures only.
    failure: Mutex<Option<String>>,
    trouble: Mutex<Option<String>>,
    /// Where each report goes as well, if a trace wants it: never more than are in flight.
    traced: Option<mpsc::Sender<Delivery>>,
}

impl Deliveries {
    fn new(traced: Option<mpsc::Sender<Delivery>>) -> Self {
        Self {
            ring: CompletionRing::new(IN_FLIGHT_MAX),
            reports: Reports::default(),
            failed: AtomicU64::new(0),
            failure: Mutex::new(None),
            trouble: Mutex::new(None),
            traced,
        }
    }

    fn fail(&self, reason: &dyn std::fmt::Display) {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| reason.to_string());
        self.failed.fetch_add(1, Ordering::Release);
        self.reports.disturb();
    }
}

/// This receives librdkafka's reports, on its polling thread.
#[derive(Debug, Clone)]
struct Callbacks(Arc<Deliveries>);

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => tracing::warn!("librdkafka: {facility} {message}"),
            _ => tracing::debug!("librdkafka: {facility} {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.0.fail(&format_args!("fatal: {error}: {reason}"));
            return;
        }
        *self
            .0
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(format!("{error}: {reason}"));
        self.0.reports.disturb();
    }
}

impl ProducerContext for Callbacks {
    /// Each record carries its event's position, by which its delivery report is told from others.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, position: usize) {
        // First: whoever sees the position as durable finds its report.
        if let Some(traced) = &self.0.traced {
            let _ = traced.send(Delivery {
                position: position as u64,
                at_ns: monotonic_ns(),
                fate: match result {
                    Ok(message) => Ok(message.offset().cast_unsigned()),
                    Err((_, message)) => Err(persistence_of(message)),
                },
            });
        }
        match result {
            Ok(_) => self.0.ring.mark(position as u64),
            Err((error, _)) => self.0.fail(error),
        }
        self.0.reports.add();
    }
}

/// Publishes to one topic.
pub struct KafkaPublisher {
    target: KafkaTarget,
    producer: Option<ThreadedProducer<Callbacks>>,
    deliveries: Arc<Deliveries>,
    /// This is the other end of the deliveries' reports, for a trace; `None` without one.
    kept: Option<mpsc::Receiver<Delivery>>,
    taken: u64,
    durable: u64,
    in_flight: InFlight,
    patience: Patience,
    /// When the producer was made.
    made: Instant,
}

impl KafkaPublisher {
    /// Makes a publisher for this topic, which connects later.
    pub fn new(target: KafkaTarget) -> Self {
        let deliveries = Deliveries::new(None);
        let in_flight = InFlight::new(deliveries.ring.capacity());
        Self {
            target,
            producer: None,
            deliveries: Arc::new(deliveries),
            kept: None,
            taken: 0,
            durable: 0,
            in_flight,
            patience: Patience::default(),
            made: Instant::now(),
        }
    }

    /// Keeps each delivery for [`Publisher::deliveries`], which must then be called regularly.
    pub fn keeping_deliveries(mut self) -> Self {
        let (reports, kept) = mpsc::channel();
        self.deliveries = Arc::new(Deliveries::new(Some(reports)));
        self.kept = Some(kept);
        self
    }

    /// Positions count from 0 again; what is reported of earlier ones goes nowhere.
    fn start_over(&mut self) {
        (self.taken, self.durable) = (0, 0);
        self.in_flight.clear();
        let (traced, kept) = self.kept.is_some().then(mpsc::channel).unzip();
        self.deliveries = Arc::new(Deliveries::new(traced));
        self.kept = kept;
    }

    fn error(&self, reason: impl ToString) -> PublishError {
        PublishError {
            doing: format!(
                "publish to topic {} at {}",
                self.target.topic, self.target.bootstrap
            ),
            reason: reason.to_string(),
            failed: self.deliveries.failed.load(Ordering::Acquire),
            is_of_cache: false,
        }
    }

    fn make_producer(&self) -> Result<ThreadedProducer<Callbacks>, KafkaError> {
        let idempotent = self.target.acks.allows_idempotence().to_string();
        ClientConfig::new()
            .set("bootstrap.servers", &self.target.bootstrap)
            .set("client.id", "outbox-relay")
            .set("acks", self.target.acks.name())
            .set("enable.idempotence", &idempotent)
            .set("enable.gapless.guarantee", &idempotent)
            .set("message.timeout.ms", "0")
            .set("linger.ms", self.target.linger_ms.to_string())
            // librdkafka keeps one batch of a partition in flight at a time anyway, and while one is,
            // its thread spins as long as more is queued; with one request a connection it sleeps.
            .set("max.in.flight.requests.per.connection", "1")
            // The Java client's partitioner, so that a topic shared with one keeps its keys together.
            .set("partitioner", "murmur2_random")
            .set("batch.size", BATCH_BYTES.to_string())
            .set("queue.buffering.max.kbytes", QUEUE_KIB)
            .set("socket.timeout.ms", SOCKET_TIMEOUT_MS)
            .set("socket.connection.setup.timeout.ms", "3000")
            .set("socket.nagle.disable", "true")
            .set("socket.keepalive.enable", "true")
            // Back quickly after an outage: the defaults wait up to 10 s.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "500")
            .set("retry.backoff.ms", "50")
            .set("retry.backoff.max.ms", "500")
            .create_with_context(Callbacks(Arc::clone(&self.deliveries)))
    }
}

/// Blocks until the broker has said that the topic is there.
fn ask_for(producer: &ThreadedProducer<Callbacks>, topic: &str) -> Result<(), String> {
    let metadata = producer
        .client()
        .fetch_metadata(Some(topic), METADATA_TIMEOUT)
        .map_err(|e| e.to_string())?;
    match metadata.topics().first() {
        Some(known) if known.error().is_some() => Err(format!(
            "the broker says {:?}; create the topic before the relay starts",
            known.error()
        )),
        Some(known) if !known.partitions().is_empty() => Ok(()),
        _ => Err("the broker knows no partitions of the topic".to_owned()),
    }
}

impl Publisher for KafkaPublisher {
    async fn connect(&mut self) -> Result<(), PublishError> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => {
                self.start_over();
                self.made = Instant::now();
                self.make_producer()
                    .map_err(|e| self.error(format!("cannot make a producer: {e}")))?
            }
        };
        self.producer = Some(producer.clone());
        let topic = self.target.topic.clone();
        let asked = tokio::task::spawn_blocking(move || {
            ask_for(&producer, &topic)?;
            // The first answer may come by the bootstrap connection, which is then closed. Each
            // answer has librdkafka ask for a producer id if it has none, over a connection that is
            // up; without one it tries again after half a second. So: once more, over one that stays.
            ask_for(&producer, &topic)
        })
        .await;
        match asked {
            Ok(Ok(())) => {
                // Whatever went wrong before this is over.
                self.trouble();
                Ok(())
            }
            Ok(Err(reason)) => {
                let error = self.error(reason);
                if self.taken == self.durable && self.made.elapsed() >= CONNECT_MAX {
                    self.abandon().await;
                }
                Err(error)
            }
            Err(join) => Err(self.error(join)),
        }
    }

    fn offer(&mut self, event: &Event<'_>) -> Result<Offer, PublishError> {
        let Some(producer) = &self.producer else {
            return Err(self.error("not connected"));
        };
        if self.taken >= self.durable + self.deliveries.ring.capacity() {
            return Ok(Offer::Full);
        }
        let headers = OwnedHeaders::new_with_capacity(3)
            .insert(Header {
                key: "id",
                value: Some(event.id),
            })
            .insert(Header {
                key: "eventType",
                value: Some(event.event_type),
            })
            .insert(Header {
                key: "version",
                value: Some(event.version),
            });
        let record = BaseRecord::with_opaque_to(&self.target.topic, self.taken as usize)
            .key(event.key)
            .payload(event.payload)
            .headers(headers);
        match producer.send(record) {
            Ok(()) => {
                self.in_flight
                    .takes(self.taken, event.key.len() + event.payload.len());
                self.taken += 1;
                Ok(Offer::Taken)
            }
            Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                Ok(Offer::Full)
            }
            Err((error, _)) => {
                let mut failure = self.error(format!(
                    "event {} of {} was refused: {error}",
                    event.id, event.key
                ));
                failure.failed += 1;
                Err(failure)
            }
        }
    }

    fn taken(&self) -> u64 {
        self.taken
    }

    fn durable(&mut self) -> Result<u64, PublishError> {
        let durable = self.durable_despite_failure();
        if self.deliveries.failed.load(Ordering::Acquire) == 0 {
            return Ok(durable);
        }
        let reason = self
            .deliveries
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Err(self.error(reason.unwrap_or_default()))
    }

    fn durable_despite_failure(&mut self) -> u64 {
        let durable = self.deliveries.ring.advance(self.durable);
        self.in_flight.settles(self.durable..durable);
        self.durable = durable;
        durable
    }

    fn reported(&self) -> u64 {
        self.deliveries.reports.count()
    }

    fn patience(&self) -> Duration {
        self.patience.with(self.in_flight.outstanding(BATCH_BYTES))
    }

    fn deliveries(&mut self, each: impl FnMut(Delivery)) {
        if let Some(kept) = &self.kept {
            kept.try_iter().for_each(each);
        }
    }

    async fn progress(&self) {
        let enough = self.reported() + WORTH_A_LOOK;
        self.deliveries.reports.reach(enough.min(self.taken)).await;
    }

    fn trouble(&mut self) -> Option<String> {
        self.deliveries
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    async fn abandon(&mut self) {
        let Some(producer) = self.producer.take() else {
            return;
        };
        self.patience.gave_up(self.taken, self.reported());
        self.start_over();
        // Both block: the purge until the broker threads have emptied their queues (later messages
        // go before earlier ones, or with them), the drop until librdkafka's threads have ended.
        let gone = tokio::task::spawn_blocking(move || {
            producer.purge(PurgeConfig::default().queue().inflight());
            drop(producer);
        });
        if tokio::time::timeout(ABANDON_TIMEOUT, gone).await.is_err() {
            tracing::warn!("the abandoned producer's threads take their time to end");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_link_of_fifty_kilobytes_a_second_when_a_batch_crosses_then_the_first_producer_waits()
    {
        let first = Patience::default();
        assert!(first.with(u64::from(BATCH_BYTES)) > Duration::from_secs(2 * 10));
        assert!(first.with(600_000) > Duration::from_secs(2 * 12));
    }
}
