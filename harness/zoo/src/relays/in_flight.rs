//! A producer without idempotence and with several requests in flight. While replicas come and go,
//! the broker refuses some requests; those behind them are through when they are sent again.

use super::kit::aftermath::Aftermath;
use super::kit::broker::Broker;
use super::kit::outbox::Outbox;
use super::kit::{Stop, live};
use crate::confession::Confession;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::Producer;
use relays::config::{KafkaTarget, RelayConfig};
use relays::signal::{Signal, emit};
use std::time::{Duration, Instant};

const SETTINGS: [(&str, &str); 5] = [
    ("enable.idempotence", "false"),
    ("max.in.flight.requests.per.connection", "5"),
    // A request an event.
    ("batch.num.messages", "1"),
    ("retry.backoff.ms", "1"),
    ("retry.backoff.max.ms", "1"),
];
/// Many enough for some to be under way whenever replicas come or go.
const BATCH: u64 = 100;
/// Replicas stay until so many events were overtaken.
const ENOUGH: usize = 10;
const INTERVAL: Duration = Duration::from_millis(5);
/// Between two looks at the producer's queue.
const LOOK: Duration = Duration::from_millis(1);
/// Bound of the wait for one batch, and of one change of the topic.
const WITHIN: Duration = Duration::from_secs(10);

/// As if a producer kept its order by itself.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let broker = Broker::connect(&config.kafka, &SETTINGS)?;
    let mut replicas = Replicas::of(&config.kafka)?;
    let mut outbox = Outbox::connect(&config.postgres).await?;
    emit(Signal::Ready);
    let mut unstable = true;
    while !stop.told() {
        let rows = outbox.first("true", BATCH).await?;
        let enough = if unstable { BATCH as usize } else { 1 };
        if rows.len() < enough && !stop.told() {
            stop.pause(INTERVAL).await;
            continue;
        }
        for row in &rows {
            broker
                .send(&row.entry)
                .map_err(|e| format!("publish {}: {e}", row.entry.name()))?;
        }
        if unstable {
            replicas.come_and_go(&broker).await?;
            unstable = Aftermath::read(&config.kafka)?.overtaken.len() < ENOUGH;
        }
        broker.settle()?;
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        outbox.delete_rows(&seqs).await?;
    }
    Aftermath::admit(&config.kafka, &Confession::open())
}

/// How many replicas the topic wants to be in sync: one is all that it has.
struct Replicas<'a> {
    admin: AdminClient<DefaultClientContext>,
    topic: &'a str,
}

impl<'a> Replicas<'a> {
    fn of(target: &'a KafkaTarget) -> Result<Self, String> {
        let admin = ClientConfig::new()
            .set("bootstrap.servers", &target.bootstrap)
            .create()
            .map_err(|e| format!("make an administrator: {e}"))?;
        let topic = &target.topic;
        Ok(Self { admin, topic })
    }

    /// Changes the number again and again until everything handed over is delivered.
    async fn come_and_go(&mut self, broker: &Broker) -> Result<(), String> {
        let deadline = Instant::now() + WITHIN;
        let mut wanted = 1;
        while broker.producer.in_flight_count() > 0 && Instant::now() < deadline {
            wanted = 3 - wanted;
            self.want(wanted).await?;
            broker.producer.poll(LOOK);
        }
        self.want(1).await
    }

    /// The topic's other settings are the referee's own: a change of one is a change of all.
    async fn want(&mut self, replicas: i32) -> Result<(), String> {
        let replicas = replicas.to_string();
        let change = AlterConfig::new(ResourceSpecifier::Topic(self.topic))
            .set("min.insync.replicas", &replicas)
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
