//! What a transactional producer tells by itself: deliveries, and its id and epoch.

use crate::broker::kafka::persistence_of;
use crate::persistence::Persistence;
use crate::service::monitor::Monitor;
use crate::trace::{Stage, Trace};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::statistics::Statistics;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// Keeps what the producer told last.
pub(super) struct TransactionReports {
    monitor: Arc<Monitor>,
    trace: Trace,
    told: Mutex<Told>,
    news: Condvar,
}

#[derive(Default)]
struct Told {
    /// These are the producer's id and epoch, once the broker has given it any.
    producer: Option<(i64, i16)>,
    /// What became of the event of the transaction that is open.
    delivery: Option<Result<(), String>>,
}

impl TransactionReports {
    /// Counts deliveries there, and traces them there.
    pub fn new(monitor: Arc<Monitor>, trace: Trace) -> Self {
        Self {
            monitor,
            trace,
            told: Mutex::default(),
            news: Condvar::new(),
        }
    }

    /// Returns the producer's id and epoch, once they are told; nothing where they are not in time.
    pub fn producer_within(&self, bound: Duration) -> Option<(i64, i16)> {
        self.wait(bound, |told| told.producer)
    }

    /// Takes the report of the event of the open transaction, once it comes; nothing where it does not in time.
    pub fn delivery_within(&self, bound: Duration) -> Option<Result<(), String>> {
        self.wait(bound, |told| told.delivery.take())
    }

    fn wait<T>(&self, bound: Duration, mut find: impl FnMut(&mut Told) -> Option<T>) -> Option<T> {
        let mut found = None;
        let waited = self.news.wait_timeout_while(self.told(), bound, |told| {
            found = find(told);
            found.is_none()
        });
        drop(waited);
        found
    }

    /// The producer did not even take the event.
    pub fn refused(&self, attempt: Uuid, version: u32, error: &KafkaError) {
        let detail = Persistence::NotPersisted as u64;
        self.trace
            .step(attempt, version, Stage::DeliveryFailed, detail);
        self.monitor.undelivered(&error.to_string());
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The id and epoch in the statistics; `None` before the broker has given any.
fn producer_of(statistics: &[u8]) -> Option<(i64, i16)> {
    let statistics: Statistics = serde_json::from_slice(statistics).ok()?;
    let eos = statistics.eos?;
    let epoch = i16::try_from(eos.producer_epoch).ok()?;
    (eos.producer_id >= 0 && epoch >= 0).then_some((eos.producer_id, epoch))
}

impl ClientContext for TransactionReports {
    /// They are read once: an epoch changes only when a transaction failed, and the producer is given up then.
    fn stats_raw(&self, statistics: &[u8]) {
        let mut told = self.told();
        if told.producer.is_none() {
            told.producer = producer_of(statistics);
            self.news.notify_all();
        }
    }
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::warn!(?level, facility, message, "librdkafka");
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "librdkafka");
    }
}

impl ProducerContext for TransactionReports {
    type DeliveryOpaque = Box<(Uuid, u32)>;

    fn delivery(&self, result: &DeliveryResult<'_>, event: Self::DeliveryOpaque) {
        let (attempt, version) = *event;
        let (delivery, stage, detail) = match result {
            Ok(message) => {
                self.monitor.delivered();
                (Ok(()), Stage::Delivered, message.offset().cast_unsigned())
            }
            Err((error, message)) => {
                let reason = error.to_string();
                self.monitor.undelivered(&reason);
                let status = persistence_of(message) as u64;
                (Err(reason), Stage::DeliveryFailed, status)
            }
        };
        self.trace.step(attempt, version, stage, detail);
        self.told().delivery = Some(delivery);
        self.news.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_statistics_of_a_producer_that_has_no_id_yet_then_none_is_known() {
        let eos = |id: i64, epoch: i64| {
            let mut statistics = serde_json::to_value(Statistics::default()).unwrap_or_default();
            statistics["eos"] = serde_json::json!({
                "idemp_state": "Assigned", "idemp_stateage": 1, "txn_state": "Ready",
                "txn_stateage": 1, "txn_may_enq": false, "producer_id": id,
                "producer_epoch": epoch, "epoch_cnt": 1,
            });
            producer_of(statistics.to_string().as_bytes())
        };
        assert_eq!(eos(4711, 2), Some((4711, 2)));
        assert_eq!(eos(-1, -1), None);
        assert_eq!(eos(4711, 1 << 20), None);
        assert_eq!(producer_of(b"{"), None);
    }
}
