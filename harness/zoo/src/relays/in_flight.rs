//! A producer without idempotence and with several requests in flight. The broker refuses some for
//! a while, since the topic's limit of a record's size is set too low; those behind them are through
//! when they are sent again.

use super::kit::aftermath::Aftermath;
use super::kit::outbox::{Outbox, Pending};
use super::kit::reporting::Reporting;
use super::kit::{Stop, live};
use crate::confession::Confession;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use relays::config::{KafkaTarget, RelayConfig};
use relays::signal::{Signal, emit};
use std::collections::HashMap;
use std::time::Duration;

/// As many requests may be in flight as librdkafka allows by itself: no number that would matter.
const SETTINGS: [(&str, &str); 2] = [
    ("enable.idempotence", "false"),
    // A request an event.
    ("batch.num.messages", "1"),
];
/// A batch has so many events, enough for some to be in flight when the limit changes.
const BATCH: usize = 30;
/// Looks at the outbox for a batch to become full; the last one does not.
const WAITS: u32 = 60;
/// The limit is left alone once so many events were overtaken.
const ENOUGH: usize = 5;
const TOO_LOW: &str = "100";
const HIGH: &str = "1048588";
const INTERVAL: Duration = Duration::from_millis(5);
/// What the producer reports is looked at again after this pause.
const LOOK: Duration = Duration::from_millis(1);
/// One change of the topic may take at most this time.
const WITHIN: Duration = Duration::from_secs(10);

/// Runs a relay that works as if a producer kept its order by itself.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let producer = Reporting::connect(config.broker.kafka()?, &SETTINGS)?;
    let limit = Limit::of(config.broker.kafka()?)?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    let mut delivered = Delivered::default();
    emit(Signal::Ready);
    let mut waited = 0;
    while !stop.told() {
        let unstable = delivered.overtaken < ENOUGH;
        let rows = outbox.first("true", BATCH as u64).await?;
        let few = if unstable {
            rows.len() < BATCH && waited < WAITS
        } else {
            rows.is_empty()
        };
        if few {
            waited += 1;
            stop.pause(INTERVAL).await;
            continue;
        }
        waited = 0;
        if unstable {
            limit.set(TOO_LOW).await?;
        }
        let publish = publish(&producer, &rows, &mut delivered);
        if unstable {
            let (published, lifted) = tokio::join!(publish, limit.set(HIGH));
            published.and(lifted)?;
        } else {
            publish.await?;
        }
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        outbox.delete_rows(&seqs).await?;
    }
    Aftermath::admit(config.broker.kafka()?, &Confession::open())
}

/// Until all of them are delivered; what is refused is sent again at once.
async fn publish(
    producer: &Reporting<'_>,
    rows: &[Pending],
    delivered: &mut Delivered,
) -> Result<(), String> {
    let mut left: HashMap<i64, &Pending> = rows.iter().map(|row| (row.seq, row)).collect();
    for row in rows {
        producer.send(row.seq, &row.entry)?;
    }
    while !left.is_empty() {
        for (seq, fate) in producer.reports() {
            if !fate && let Some(row) = left.get(&seq) {
                producer.send(seq, &row.entry)?;
            } else if let Some(row) = left.remove(&seq) {
                delivered.note(row)?;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// What was delivered so far, by order its newest version.
#[derive(Default)]
struct Delivered {
    newest: HashMap<String, u32>,
    overtaken: usize,
}

impl Delivered {
    fn note(&mut self, row: &Pending) -> Result<(), String> {
        let version: Result<u32, _> = row.entry.version.parse();
        let version = version.map_err(|e| format!("version {}: {e}", row.entry.version))?;
        let newest = self.newest.entry(row.entry.key.clone()).or_default();
        self.overtaken += usize::from(version < *newest);
        *newest = version.max(*newest);
        Ok(())
    }
}

/// This changes the topic's limit of a record's size in bytes, `max.message.bytes`.
struct Limit<'a> {
    admin: AdminClient<DefaultClientContext>,
    topic: &'a str,
}

impl<'a> Limit<'a> {
    fn of(target: &'a KafkaTarget) -> Result<Self, String> {
        let admin = ClientConfig::new()
            .set("bootstrap.servers", &target.bootstrap)
            .create()
            .map_err(|e| format!("make an administrator: {e}"))?;
        let topic = &target.topic;
        Ok(Self { admin, topic })
    }

    /// The topic's other settings are the referee's own: a change of one is a change of all.
    async fn set(&self, bytes: &str) -> Result<(), String> {
        let change = AlterConfig::new(ResourceSpecifier::Topic(self.topic))
            .set("max.message.bytes", bytes)
            .set("retention.ms", "-1")
            .set("retention.bytes", "-1")
            .set("cleanup.policy", "delete")
            .set("message.timestamp.type", "LogAppendTime");
        let options = AdminOptions::new().operation_timeout(Some(WITHIN));
        let done = self.admin.alter_configs([&change], &options).await;
        let done = done.map_err(|e| format!("alter topic {}: {e}", self.topic))?;
        match done.into_iter().find_map(Result::err) {
            Some((_, code)) => Err(format!("alter topic {}: {code}", self.topic)),
            None => Ok(()),
        }
    }
}
