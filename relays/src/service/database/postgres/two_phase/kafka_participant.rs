//! One transactional producer: Kafka's side of a two-phase commit. Its first phase is a flush inside a transaction;
//! its second is the transaction's end.
//!
//! librdkafka's calls block, so each producer has a thread of its own, which does one thing after the other. (What it
//! reports comes on another one, which is the client library's.)

mod reports;

use crate::config::KafkaTarget;
use crate::service::monitor::Monitor;
use crate::signal::monotonic_ns;
use crate::trace::{Stage, Step, Trace};
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use reports::TransactionReports;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::oneshot;
use uuid::Uuid;

/// The producer tells its id and epoch this often.
const STATISTICS_EVERY_MS: &str = "100";
/// Getting an id from the broker takes no longer than this.
const INIT_WITHIN: Duration = Duration::from_secs(5);
/// librdkafka looks once a second for what has timed out.
const REPORT_GRACE: Duration = Duration::from_millis(1500);

/// What all participants of a service have in common.
#[derive(Debug, Clone)]
pub(in crate::service) struct ParticipantSettings {
    pub kafka: KafkaTarget,
    /// Each step of the broker takes at most this long.
    pub within: Duration,
    /// After so long the broker aborts a transaction by itself.
    pub transaction_timeout_ms: u64,
}

/// An event on its way into a transaction.
pub(super) struct TransactionalEvent {
    pub attempt: Uuid,
    pub version: u32,
    pub key: String,
    pub value: String,
    pub headers: OwnedHeaders,
}

enum ParticipantWork {
    Publish(Box<TransactionalEvent>, oneshot::Sender<Result<(), String>>),
    Commit(oneshot::Sender<Result<(), String>>),
    Abort(oneshot::Sender<Result<(), String>>),
}

/// A producer with a transactional id that no other process has had, or will have.
pub(super) struct Participant {
    pub transactional_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// So many of its transactions were begun.
    pub transactions: u64,
    work: mpsc::Sender<ParticipantWork>,
}

impl Participant {
    /// Makes a producer, and waits until the broker has given it an id; an error says why it has not.
    pub async fn start(
        transactional_id: String,
        settings: &ParticipantSettings,
        monitor: &Arc<Monitor>,
        trace: &Trace,
    ) -> Result<Self, String> {
        let config = config(&transactional_id, settings);
        let reports = TransactionReports::new(Arc::clone(monitor), trace.clone());
        let (work, to_do) = mpsc::channel();
        let (tell, told) = oneshot::channel();
        let (settings, trace) = (settings.clone(), trace.clone());
        std::thread::Builder::new()
            .name("participant".into())
            .spawn(move || match begin(&config, reports) {
                Ok((producer, id)) => {
                    if tell.send(Ok(id)).is_ok() {
                        serve(&producer, &to_do, &settings, &trace);
                    }
                }
                Err(reason) => {
                    let _ = tell.send(Err(reason));
                }
            })
            .map_err(|e| format!("starting a producer's thread: {e}"))?;
        let id = told.await.map_err(|_| GONE.to_owned())?;
        let (producer_id, producer_epoch) = id?;
        Ok(Self {
            transactional_id,
            producer_id,
            producer_epoch,
            transactions: 0,
            work,
        })
    }

    /// Begins a transaction, publishes the event within it, and waits until the broker has it: Kafka's first phase.
    /// After an error the transaction may be open, with the event in it.
    pub async fn publish(&mut self, event: TransactionalEvent) -> Result<(), String> {
        self.transactions += 1;
        self.ask(|answer| ParticipantWork::Publish(Box::new(event), answer))
            .await
    }

    /// Commits the transaction. After an error it may be committed or open.
    pub async fn commit(&self) -> Result<(), String> {
        self.ask(ParticipantWork::Commit).await
    }

    /// Aborts the transaction. After an error it may be aborted or open.
    pub async fn abort(&self) -> Result<(), String> {
        self.ask(ParticipantWork::Abort).await
    }

    async fn ask(
        &self,
        work: impl FnOnce(oneshot::Sender<Result<(), String>>) -> ParticipantWork,
    ) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        self.work.send(work(answer)).map_err(|_| GONE.to_owned())?;
        answered.await.map_err(|_| GONE.to_owned())?
    }
}

const GONE: &str = "the producer's thread is gone";

fn config(transactional_id: &str, settings: &ParticipantSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    let within = settings.within.as_millis().to_string();
    config
        .set("bootstrap.servers", &settings.kafka.bootstrap)
        .set("client.id", "outbox-harness order-service")
        .set("transactional.id", transactional_id)
        .set(
            "transaction.timeout.ms",
            settings.transaction_timeout_ms.to_string(),
        )
        .set("message.timeout.ms", within)
        .set("statistics.interval.ms", STATISTICS_EVERY_MS)
        .set("linger.ms", settings.kafka.linger_ms.to_string())
        .set("queue.buffering.max.kbytes", "65536")
        // The default waits up to 10 s before it tries a broker that is back again.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500")
        .set_log_level(RDKafkaLogLevel::Warning);
    config
}

type TransactionalProducer = ThreadedProducer<TransactionReports>;

/// Makes the producer and gives its id and epoch. (The library tells them in its statistics only.)
fn begin(
    config: &ClientConfig,
    reports: TransactionReports,
) -> Result<(TransactionalProducer, (i64, i16)), String> {
    let producer: TransactionalProducer =
        ThreadedProducer::from_config_and_context(config, reports)
            .map_err(|e| format!("making a transactional producer: {e}"))?;
    producer
        .init_transactions(INIT_WITHIN)
        .map_err(|e| format!("asking the broker for a producer id: {e}"))?;
    let id = producer.context().producer_within(INIT_WITHIN);
    let id =
        id.ok_or_else(|| format!("the producer did not tell its id within {INIT_WITHIN:?}"))?;
    Ok((producer, id))
}

fn serve(
    producer: &TransactionalProducer,
    to_do: &mpsc::Receiver<ParticipantWork>,
    settings: &ParticipantSettings,
    trace: &Trace,
) {
    for work in to_do {
        // Whoever asked may have gone.
        let _ = match work {
            ParticipantWork::Publish(event, answer) => {
                answer.send(publish(producer, *event, settings, trace))
            }
            ParticipantWork::Commit(answer) => answer.send(
                producer
                    .commit_transaction(settings.within)
                    .map_err(|e| format!("committing a transaction of Kafka: {e}")),
            ),
            ParticipantWork::Abort(answer) => answer.send(
                producer
                    .abort_transaction(settings.within)
                    .map_err(|e| format!("aborting a transaction of Kafka: {e}")),
            ),
        };
    }
}

fn publish(
    producer: &TransactionalProducer,
    event: TransactionalEvent,
    settings: &ParticipantSettings,
    trace: &Trace,
) -> Result<(), String> {
    let topic = &settings.kafka.topic;
    let failed = |error: &dyn std::fmt::Display| format!("publishing to topic {topic}: {error}");
    producer.begin_transaction().map_err(|e| failed(&e))?;
    let (attempt, version) = (event.attempt, event.version);
    let at_ns = monotonic_ns();
    let record = BaseRecord::with_opaque_to(topic, Box::new((attempt, version)))
        .key(&event.key)
        .payload(&event.value)
        .headers(event.headers);
    if let Err((error, _)) = producer.send(record) {
        producer.context().refused(attempt, version, &error);
        return Err(failed(&error));
    }
    trace.write(&[Step {
        at_ns,
        attempt,
        version,
        stage: Stage::Handed,
        detail: 0,
    }]);
    // The library itself bounds the delivery; its report comes a little later.
    match producer
        .context()
        .delivery_within(settings.within + REPORT_GRACE)
    {
        Some(delivered) => delivered.map_err(|e| failed(&e)),
        None => {
            trace.step(attempt, version, Stage::Abandoned, 0);
            Err(failed(&"the producer did not report on it in time"))
        }
    }
}
