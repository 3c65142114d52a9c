//! The service's own producer, for the write paths that publish by themselves: one event in, its
//! delivery report out.

use super::change::Change;
use super::event::EventText;
use super::monitor::Monitor;
use crate::config::KafkaTarget;
use crate::persistence::Persistence;
use crate::publish::PublishPolicy;
use crate::signal::monotonic_ns;
use crate::trace::{Stage, Step, Trace};
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// This is librdkafka's `message.timeout.ms` unless told otherwise.
const DELIVERY_DEFAULT: Duration = Duration::from_secs(300);
/// What librdkafka may take beyond the timeout to say so.
const REPORT_GRACE: Duration = Duration::from_secs(5);
/// Asking the broker for the topic before the first event takes no longer than this.
const WARM_UP_WITHIN: Duration = Duration::from_secs(1);
/// The flush at the end takes no longer than this; by then every request has had its report.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// How long a delivery may take, until its report.
pub(super) fn delivery_within(publish_timeout_ms: Option<u64>) -> Duration {
    publish_timeout_ms.map_or(DELIVERY_DEFAULT, Duration::from_millis) + REPORT_GRACE
}

type Kafka = ThreadedProducer<DeliveryReports>;
type DeliveryOutcome = Result<(), String>;

/// Publishes events and waits for their delivery.
pub(super) struct EventProducer {
    config: ClientConfig,
    topic: String,
    within: Duration,
    policy: PublishPolicy,
    monitor: Arc<Monitor>,
    trace: Trace,
    /// This producer is replaced only after a fatal error.
    current: RwLock<Arc<Kafka>>,
}

impl EventProducer {
    /// Makes a producer for the topic, which connects on its own in the background; an error says why there is none.
    pub fn new(
        kafka: &KafkaTarget,
        publish_timeout_ms: Option<u64>,
        policy: PublishPolicy,
        monitor: Arc<Monitor>,
        trace: Trace,
    ) -> Result<Self, String> {
        let config = settings(kafka, publish_timeout_ms, policy.idempotent_producer);
        let producer = create(&config, &monitor, &trace)?;
        Ok(Self {
            config,
            topic: kafka.topic.clone(),
            within: delivery_within(publish_timeout_ms),
            policy,
            monitor,
            trace,
            current: RwLock::new(Arc::new(producer)),
        })
    }

    /// Lets the producer find its broker before the first request does. A broker that is away now
    /// may be back later, so a failure is no error.
    pub async fn warm_up(&self) {
        let (producer, topic) = (self.current(), self.topic.clone());
        let asked = tokio::task::spawn_blocking(move || {
            producer
                .client()
                .fetch_metadata(Some(&topic), WARM_UP_WITHIN)
                .map(drop)
        });
        if let Ok(Err(error)) = asked.await {
            tracing::warn!(%error, topic = self.topic, "Kafka does not answer yet");
        }
    }

    /// Publishes the event of a change, and waits until the broker has it or the producer gives
    /// up; then as often again as it is to. After an error it may still arrive, and after a retry it
    /// may have come before.
    pub async fn publish(
        &self,
        change: &Change,
        text: &EventText,
        version: u32,
    ) -> DeliveryOutcome {
        let event_id = Uuid::now_v7().to_string();
        let mut delivery = self.publish_once(change, text, version, &event_id).await;
        for retry in 1..=self.policy.retries {
            if delivery.is_ok() {
                break;
            }
            sleep(self.policy.pause_before(retry)).await;
            delivery = self.publish_once(change, text, version, &event_id).await;
        }
        delivery
    }

    async fn publish_once(
        &self,
        change: &Change,
        text: &EventText,
        version: u32,
        event_id: &str,
    ) -> DeliveryOutcome {
        let producer = self.working()?;
        let (report, reported) = oneshot::channel();
        let headers = headers(change, version, event_id);
        let key = change.order.to_string();
        let value = text.with_version(version);
        let attempt = change.attempt;
        let waiting = Waiting {
            report,
            attempt,
            version,
        };
        let record = BaseRecord::with_opaque_to(&self.topic, Box::new(waiting))
            .key(&key)
            .payload(&value)
            .headers(headers);
        let at_ns = monotonic_ns();
        if let Err((error, _)) = producer.send(record) {
            let refused = Persistence::NotPersisted as u64;
            self.trace
                .step(attempt, version, Stage::DeliveryFailed, refused);
            producer.context().notice(&error);
            let reason = self.explain(&error);
            self.monitor.undelivered(&reason);
            return Err(reason);
        }
        self.trace.write(&[Step {
            at_ns,
            attempt,
            version,
            stage: Stage::Handed,
            detail: 0,
        }]);
        let failed = match timeout(self.within, reported).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(reason))) => reason,
            unreported => {
                self.trace.step(attempt, version, Stage::Abandoned, 0);
                match unreported {
                    Ok(_) => "the producer was replaced after a fatal error".into(),
                    Err(_) => format!("no delivery report within {:?}", self.within),
                }
            }
        };
        Err(format!("publishing to topic {}: {failed}", self.topic))
    }

    /// Waits until nothing is in the producer any more.
    pub async fn flush(&self) {
        let producer = self.current();
        let flushed = tokio::task::spawn_blocking(move || producer.flush(FLUSH_WITHIN));
        if let Ok(Err(error)) = flushed.await {
            tracing::warn!(%error, "events were left in the producer at the end");
        }
    }

    fn explain(&self, error: &KafkaError) -> String {
        let remedy = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => {
                "; the producer's queue is full because the broker takes events more slowly than \
                 they come"
            }
            _ => "",
        };
        format!("publishing to topic {}: {error}{remedy}", self.topic)
    }

    fn current(&self) -> Arc<Kafka> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    /// The current producer, or a new one after a fatal error, from which librdkafka does not
    /// recover by itself.
    fn working(&self) -> Result<Arc<Kafka>, String> {
        let producer = self.current();
        if !producer.context().fatal.load(Relaxed) {
            return Ok(producer);
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.context().fatal.load(Relaxed) {
            tracing::warn!("a new Kafka producer replaces one with a fatal error");
            let broken = std::mem::replace(
                &mut *current,
                Arc::new(create(&self.config, &self.monitor, &self.trace)?),
            );
            // Dropping joins a thread and purges a queue: not on a thread that serves requests.
            std::thread::spawn(move || drop((broken, producer)));
        }
        Ok(Arc::clone(&current))
    }
}

/// Returns the headers of the event of a change.
pub(super) fn headers(change: &Change, version: u32, event_id: &str) -> OwnedHeaders {
    let version = version.to_string();
    OwnedHeaders::new_with_capacity(3)
        .insert(header("id", event_id))
        .insert(header("eventType", change.kind.event_type()))
        .insert(header("version", &version))
}

fn header<'a>(key: &'a str, value: &'a str) -> Header<'a, &'a str> {
    Header {
        key,
        value: Some(value),
    }
}

fn settings(
    kafka: &KafkaTarget,
    publish_timeout_ms: Option<u64>,
    idempotent_producer: bool,
) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &kafka.bootstrap)
        .set("client.id", "outbox-harness order-service")
        .set("acks", "all")
        .set("enable.idempotence", idempotent_producer.to_string())
        .set("linger.ms", kafka.linger_ms.to_string())
        .set("queue.buffering.max.kbytes", "65536")
        // The default waits up to 10 s before it tries a broker that is back again.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500")
        .set_log_level(RDKafkaLogLevel::Warning);
    if let Some(ms) = publish_timeout_ms {
        config.set("message.timeout.ms", ms.to_string());
    }
    config
}

fn create(config: &ClientConfig, monitor: &Arc<Monitor>, trace: &Trace) -> Result<Kafka, String> {
    let reports = DeliveryReports {
        monitor: Arc::clone(monitor),
        trace: trace.clone(),
        fatal: AtomicBool::new(false),
    };
    Kafka::from_config_and_context(config, reports)
        .map_err(|e| format!("making a Kafka producer (is the publish timeout over linger?): {e}"))
}

/// Hands each delivery report to the request that waits for it.
struct DeliveryReports {
    monitor: Arc<Monitor>,
    trace: Trace,
    fatal: AtomicBool,
}

/// A request that waits for a report, and what a trace needs of it.
struct Waiting {
    report: oneshot::Sender<DeliveryOutcome>,
    attempt: Uuid,
    version: u32,
}

impl DeliveryReports {
    fn notice(&self, error: &KafkaError) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.fatal.store(true, Relaxed);
        }
    }
}

impl ClientContext for DeliveryReports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::warn!(?level, facility, message, "librdkafka");
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.notice(&error);
        tracing::warn!(%error, reason, "librdkafka");
    }
}

impl ProducerContext for DeliveryReports {
    type DeliveryOpaque = Box<Waiting>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        let (delivery, stage, detail) = match result {
            Ok(message) => {
                self.monitor.delivered();
                (Ok(()), Stage::Delivered, message.offset().cast_unsigned())
            }
            Err((error, message)) => {
                self.notice(error);
                let reason = error.to_string();
                self.monitor.undelivered(&reason);
                let status = Persistence::of(message) as u64;
                (Err(reason), Stage::DeliveryFailed, status)
            }
        };
        // On file before the request goes on.
        self.trace
            .step(waiting.attempt, waiting.version, stage, detail);
        // The request may have given up.
        let _ = waiting.report.send(delivery);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::order::{ChangeType, Directive};
    use rdkafka::bindings;
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::RDKafkaApiKey;

    fn change() -> Change {
        Change {
            order: Uuid::from_u128(1),
            kind: ChangeType::Placed,
            change_id: Uuid::from_u128(2),
            attempt: Uuid::from_u128(3),
            content: "c0ffee".into(),
            directive: Directive::Commit,
        }
    }

    fn target(bootstrap: String) -> KafkaTarget {
        KafkaTarget {
            bootstrap,
            topic: "events".into(),
            linger_ms: 0.0,
        }
    }

    #[tokio::test]
    async fn a_fatal_error_costs_one_producer_and_not_the_service() {
        // given a producer that works
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("events", 1, 1).unwrap();
        let target = target(cluster.bootstrap_servers());
        let events = EventProducer::new(
            &target,
            Some(10_000),
            PublishPolicy::default(),
            Arc::default(),
            Trace::default(),
        )
        .unwrap();
        let (change, text) = (change(), EventText::new("00", &change()));
        events.publish(&change, &text, 1).await.unwrap();

        // when it meets an error that librdkafka does not recover from
        let broken = events.current();
        // SAFETY: the pointer is the living client's, the reason a C string.
        unsafe {
            bindings::rd_kafka_test_fatal_error(
                broken.client().native_ptr(),
                bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                c"test".as_ptr(),
            );
        }

        // then at most the event that meets it fails, and a new producer takes over
        let _ = events.publish(&change, &text, 2).await;
        events.publish(&change, &text, 3).await.unwrap();
        assert!(!Arc::ptr_eq(&broken, &events.current()));
    }

    #[tokio::test]
    async fn a_delivery_is_given_up_at_its_timeout() {
        let nobody = target("127.0.0.1:1".into());
        let monitor = Arc::new(Monitor::default());
        let events = EventProducer::new(
            &nobody,
            Some(200),
            PublishPolicy::default(),
            monitor,
            Trace::default(),
        )
        .unwrap();
        let text = EventText::new("00", &change());
        let delivery = timeout(Duration::from_secs(5), events.publish(&change(), &text, 1)).await;
        let error = delivery.unwrap().unwrap_err();
        assert!(error.contains("MessageTimedOut"), "{error}");
    }

    #[tokio::test]
    async fn given_a_publish_that_is_refused_once_then_only_who_retries_gets_it_through() {
        for (retries, delivered) in [(0, false), (1, true)] {
            let cluster = MockCluster::new(1).unwrap();
            cluster.create_topic("events", 1, 1).unwrap();
            let policy = PublishPolicy {
                retries,
                backoff_ms: 1,
                ..PublishPolicy::default()
            };
            let target = target(cluster.bootstrap_servers());
            let monitor = Arc::new(Monitor::default());
            let events =
                EventProducer::new(&target, Some(10_000), policy, monitor, Trace::default());
            let events = events.unwrap();
            cluster.request_errors(
                RDKafkaApiKey::Produce,
                &[bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE],
            );
            let text = EventText::new("00", &change());
            let delivery = events.publish(&change(), &text, 1).await;
            assert_eq!(delivery.is_ok(), delivered, "{delivery:?}");
        }
    }

    #[test]
    fn a_timeout_under_linger_is_refused_with_a_hint() {
        let target = KafkaTarget {
            linger_ms: 50.0,
            ..target("127.0.0.1:1".into())
        };
        let made = EventProducer::new(
            &target,
            Some(20),
            PublishPolicy::default(),
            Arc::default(),
            Trace::default(),
        );
        assert!(made.is_err_and(|error| error.contains("linger")));
    }
}
