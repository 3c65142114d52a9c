//! A transactional producer, as the coordinator of a two-phase commit has it, one transaction at a time.

use super::Change;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::statistics::Statistics;
use relays::config::{ServiceConfig, WritePathConfig};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::block_in_place;
use uuid::Uuid;

/// Each step of the broker may take no longer than this.
const PATIENCE: Duration = Duration::from_secs(10);
/// The library tells id and epoch in its statistics only.
const STATISTICS_EVERY_MS: &str = "20";

const NO_TWO_PHASE: &str =
    "this defect is one of a two-phase commit: set kind = \"two-phase-commit\"";

/// A producer with a transactional id of its own, and the topic it is for.
pub struct TransactionalBroker {
    producer: ThreadedProducer<Identities>,
    topic: String,
    /// This is the producer's transactional id, which nobody else ever has.
    pub transactional_id: String,
    told: Receiver<(i64, i64)>,
}

impl TransactionalBroker {
    /// Connects to what a two-phase commit is configured with; its calls block, and may be made from a runtime of
    /// several threads.
    pub fn connect(config: &ServiceConfig) -> Result<Self, String> {
        let WritePathConfig::TwoPhase { kafka, .. } = &config.write_path else {
            return Err(NO_TWO_PHASE.to_owned());
        };
        let (tell, told) = channel();
        let transactional_id = format!(
            "{}.{}",
            config.database.postgres()?.schema,
            Uuid::now_v7().simple()
        );
        let mut settings = ClientConfig::new();
        settings
            .set("bootstrap.servers", &kafka.bootstrap)
            .set("transactional.id", &transactional_id)
            .set("statistics.interval.ms", STATISTICS_EVERY_MS);
        let producer: ThreadedProducer<Identities> = ThreadedProducer::from_config_and_context(
            &settings,
            Identities(std::sync::Mutex::new(tell)),
        )
        .map_err(|e| format!("make a transactional producer: {e}"))?;
        block_in_place(|| producer.init_transactions(PATIENCE))
            .map_err(|e| format!("ask for a producer id: {e}"))?;
        Ok(Self {
            producer,
            topic: kafka.topic.clone(),
            transactional_id,
            told,
        })
    }

    /// Returns the producer's id and epoch.
    pub fn identity(&self) -> Result<(i64, i64), String> {
        let told = block_in_place(|| self.told.recv_timeout(PATIENCE));
        told.map_err(|_| "the producer does not tell its id".to_owned())
    }

    /// Begins a transaction, and publishes the event of a change in it.
    pub fn publish(&self, change: &Change, event: &str) -> Result<(), String> {
        let key = change.order.to_string();
        block_in_place(|| {
            self.producer.begin_transaction()?;
            let record = BaseRecord::to(&self.topic).key(&key).payload(event);
            self.producer.send(record).map_err(|(error, _)| error)?;
            self.producer.flush(PATIENCE)
        })
        .map_err(|e| format!("publish: {e}"))
    }

    /// Commits the transaction.
    pub fn commit(&self) -> Result<(), String> {
        block_in_place(|| self.producer.commit_transaction(PATIENCE))
            .map_err(|e| format!("commit a transaction of Kafka: {e}"))
    }
}

/// So many producers, of which each has one transaction at a time.
pub struct TransactionalBrokers {
    brokers: Vec<Mutex<TransactionalBroker>>,
    lent: AtomicUsize,
}

impl TransactionalBrokers {
    /// Connects as many as are configured.
    pub fn connect(config: &ServiceConfig) -> Result<Self, String> {
        let WritePathConfig::TwoPhase { producers, .. } = config.write_path else {
            return Err(NO_TWO_PHASE.to_owned());
        };
        let brokers = (0..producers).map(|_| TransactionalBroker::connect(config).map(Mutex::new));
        Ok(Self {
            brokers: brokers.collect::<Result<_, _>>()?,
            lent: AtomicUsize::new(0),
        })
    }

    /// Lends the next one, by turns, as soon as it is free.
    pub async fn lend(&self) -> MutexGuard<'_, TransactionalBroker> {
        let turn = self.lent.fetch_add(1, Relaxed) % self.brokers.len();
        self.brokers[turn].lock().await
    }
}

/// Passes on what the library tells.
struct Identities(std::sync::Mutex<Sender<(i64, i64)>>);

impl ClientContext for Identities {
    fn stats(&self, statistics: Statistics) {
        let Some(eos) = statistics.eos.filter(|eos| eos.producer_id >= 0) else {
            return;
        };
        let tell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody has to listen.
        let _ = tell.send((eos.producer_id, eos.producer_epoch));
    }
}

impl ProducerContext for Identities {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}
