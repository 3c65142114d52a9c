//! A producer of an order service: it goes on after any error, if need be as a new one.

use super::persistence_of;
use crate::broker::{Awaits, EventSender, Outgoing, Undelivered};
use crate::config::KafkaTarget;
use futures::FutureExt;
use futures::future::BoxFuture;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Asking the broker for the topic before the first event takes no longer than this.
const WARM_UP_WITHIN: Duration = Duration::from_secs(1);
/// The flush at the end takes no longer than this; by then every request has had its report.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

type Kafka<A> = ThreadedProducer<DeliveryReports<A>>;

/// Sends to one topic.
pub(crate) struct KafkaSender<A: Awaits> {
    config: ClientConfig,
    topic: String,
    /// This producer is replaced only after a fatal error.
    current: RwLock<Arc<Kafka<A>>>,
}

impl<A: Awaits> KafkaSender<A> {
    /// Makes a producer for the topic, which connects on its own in the background; an error says why there is none.
    pub fn new(
        kafka: &KafkaTarget,
        delivery_timeout_ms: Option<u64>,
        idempotent: bool,
    ) -> Result<Self, String> {
        let config = settings(kafka, delivery_timeout_ms, idempotent);
        let producer = create(&config)?;
        Ok(Self {
            config,
            topic: kafka.topic.clone(),
            current: RwLock::new(Arc::new(producer)),
        })
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

    fn current(&self) -> Arc<Kafka<A>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    /// The current producer, or a new one after a fatal error, from which librdkafka does not
    /// recover by itself.
    fn working(&self) -> Result<Arc<Kafka<A>>, String> {
        let producer = self.current();
        if !producer.context().fatal.load(Relaxed) {
            return Ok(producer);
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.context().fatal.load(Relaxed) {
            tracing::warn!("a new Kafka producer replaces one with a fatal error");
            let broken = std::mem::replace(&mut *current, Arc::new(create(&self.config)?));
            // Dropping joins a thread and purges a queue: not on a thread that serves requests.
            std::thread::spawn(move || drop((broken, producer)));
        }
        Ok(Arc::clone(&current))
    }
}

impl<A: Awaits> EventSender<A> for KafkaSender<A> {
    fn send(&self, event: Outgoing<'_>, awaits: A) -> Result<(), String> {
        let producer = self.working()?;
        let record = BaseRecord::with_opaque_to(&self.topic, Box::new(awaits))
            .key(event.key)
            .payload(event.value)
            .headers(headers(&event.headers));
        producer.send(record).map_err(|(error, _)| {
            producer.context().notice(&error);
            self.explain(&error)
        })
    }

    fn warm_up(&self) -> BoxFuture<'_, ()> {
        async {
            let (producer, topic) = (self.current(), self.topic.clone());
            let asked = tokio::task::spawn_blocking(move || {
                let told = producer
                    .client()
                    .fetch_metadata(Some(&topic), WARM_UP_WITHIN);
                told.map(drop)
            });
            if let Ok(Err(error)) = asked.await {
                tracing::warn!(%error, topic = self.topic, "Kafka does not answer yet");
            }
        }
        .boxed()
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        async {
            let producer = self.current();
            let flushed = tokio::task::spawn_blocking(move || producer.flush(FLUSH_WITHIN));
            if let Ok(Err(error)) = flushed.await {
                tracing::warn!(%error, "events were left in the producer at the end");
            }
        }
        .boxed()
    }
}

/// Returns these headers as librdkafka takes them.
pub(crate) fn headers(headers: &[(&'static str, &str)]) -> OwnedHeaders {
    let none = OwnedHeaders::new_with_capacity(headers.len());
    headers.iter().fold(none, |all, (key, value)| {
        all.insert(Header {
            key,
            value: Some(*value),
        })
    })
}

fn settings(
    kafka: &KafkaTarget,
    delivery_timeout_ms: Option<u64>,
    idempotent: bool,
) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &kafka.bootstrap)
        .set("client.id", "outbox-harness order-service")
        .set("acks", kafka.acks.name())
        .set(
            "enable.idempotence",
            (idempotent && kafka.acks.allows_idempotence()).to_string(),
        )
        .set("linger.ms", kafka.linger_ms.to_string())
        .set("queue.buffering.max.kbytes", "65536")
        // The default waits up to 10 s before it tries a broker that is back again.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500")
        .set_log_level(RDKafkaLogLevel::Warning);
    if let Some(ms) = delivery_timeout_ms {
        config.set("message.timeout.ms", ms.to_string());
    }
    config
}

fn create<A: Awaits>(config: &ClientConfig) -> Result<Kafka<A>, String> {
    let reports = DeliveryReports {
        fatal: AtomicBool::new(false),
        awaits: PhantomData,
    };
    Kafka::from_config_and_context(config, reports)
        .map_err(|e| format!("making a Kafka producer (is the publish timeout over linger?): {e}"))
}

/// Hands each delivery report to whoever waits for it.
struct DeliveryReports<A> {
    fatal: AtomicBool,
    awaits: PhantomData<fn(A)>,
}

impl<A> DeliveryReports<A> {
    fn notice(&self, error: &KafkaError) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.fatal.store(true, Relaxed);
        }
    }
}

impl<A: Awaits> ClientContext for DeliveryReports<A> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::warn!(?level, facility, message, "librdkafka");
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.notice(&error);
        tracing::warn!(%error, reason, "librdkafka");
    }
}

impl<A: Awaits> ProducerContext for DeliveryReports<A> {
    type DeliveryOpaque = Box<A>;

    fn delivery(&self, result: &DeliveryResult<'_>, awaits: Self::DeliveryOpaque) {
        awaits.told(match result {
            Ok(message) => Ok(message.offset().cast_unsigned()),
            Err((error, message)) => {
                self.notice(error);
                Err(Undelivered {
                    reason: error.to_string(),
                    persistence: persistence_of(message),
                })
            }
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rdkafka::bindings;
    use rdkafka::mocking::MockCluster;
    use std::sync::mpsc;

    const BOUND: Duration = Duration::from_secs(20);

    fn target(bootstrap: String) -> KafkaTarget {
        KafkaTarget {
            bootstrap,
            topic: "events".into(),
            linger_ms: 0.0,
            acks: Default::default(),
        }
    }

    struct ToChannel(mpsc::Sender<Result<u64, Undelivered>>);

    impl Awaits for ToChannel {
        fn told(self, fate: Result<u64, Undelivered>) {
            let _ = self.0.send(fate);
        }
    }

    /// Sends an event, and waits for what became of it.
    fn send(sender: &KafkaSender<ToChannel>) -> Result<u64, String> {
        let event = Outgoing {
            key: "k",
            value: "v",
            headers: [("id", "1"), ("eventType", "OrderPlaced"), ("version", "1")],
        };
        let (report, reported) = mpsc::channel();
        sender.send(event, ToChannel(report))?;
        let fate = reported.recv_timeout(BOUND).map_err(|e| e.to_string())?;
        fate.map_err(|undelivered| undelivered.reason)
    }

    #[test]
    fn a_fatal_error_costs_one_producer_and_not_the_service() {
        // given a producer that works
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("events", 1, 1).unwrap();
        let target = target(cluster.bootstrap_servers());
        let sender = KafkaSender::new(&target, Some(10_000), true).unwrap();
        send(&sender).unwrap();

        // when it meets an error that librdkafka does not recover from
        let broken = sender.current();
        // SAFETY: the pointer is the living client's, the reason a C string.
        unsafe {
            bindings::rd_kafka_test_fatal_error(
                broken.client().native_ptr(),
                bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                c"test".as_ptr(),
            );
        }

        // then at most the event that meets it fails, and a new producer takes over
        let _ = send(&sender);
        send(&sender).unwrap();
        assert!(!Arc::ptr_eq(&broken, &sender.current()));
    }

    #[test]
    fn a_delivery_is_given_up_at_its_timeout() {
        let nobody = target("127.0.0.1:1".into());
        let sender = KafkaSender::new(&nobody, Some(200), false).unwrap();
        let error = send(&sender).unwrap_err();
        assert!(error.contains("MessageTimedOut"), "{error}");
    }

    #[test]
    fn a_timeout_under_linger_is_refused_with_a_hint() {
        let target = KafkaTarget {
            linger_ms: 50.0,
            ..target("127.0.0.1:1".into())
        };
        let made = KafkaSender::<ToChannel>::new(&target, Some(20), false);
        assert!(made.is_err_and(|error| error.contains("linger")));
    }
}
