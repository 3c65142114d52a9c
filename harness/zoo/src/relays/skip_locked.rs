//! Two workers that share the outbox with SKIP LOCKED. The first one is slow: while it holds earlier
//! versions of an order, the second one publishes later ones.

use super::kit::aftermath::Aftermath;
use super::kit::broker::Broker;
use super::kit::outbox::{Outbox, Pending};
use super::kit::{Stop, live};
use crate::confession::Confession;
use relays::config::{KafkaTarget, PostgresTarget, RelayConfig};
use relays::signal::{Signal, emit};
use std::time::Duration;

/// Rows that a worker claims at a time.
const BATCH: u64 = 5;
/// Long enough for two batches, mostly.
const INTERVAL: Duration = Duration::from_millis(40);

/// As if rows were independent of one another.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let mut slow = Worker::start(&config.postgres, &config.kafka).await?;
    let mut fast = Worker::start(&config.postgres, &config.kafka).await?;
    emit(Signal::Ready);
    while !stop.told() {
        slow.claim().await?;
        while fast.claim().await? {
            fast.publish().await?;
        }
        slow.publish().await?;
        fast.publish().await?;
        stop.pause(INTERVAL).await;
    }
    Aftermath::admit(&config.kafka, &Confession::open())
}

struct Worker {
    outbox: Outbox,
    broker: Broker,
    claimed: Vec<Pending>,
}

impl Worker {
    async fn start(postgres: &PostgresTarget, kafka: &KafkaTarget) -> Result<Self, String> {
        Ok(Self {
            outbox: Outbox::connect(postgres).await?,
            broker: Broker::connect(kafka, &[])?,
            claimed: Vec::new(),
        })
    }

    /// Locks some rows in a transaction of its own; says whether there were any.
    async fn claim(&mut self) -> Result<bool, String> {
        self.outbox.begin().await?;
        self.claimed = self.outbox.take_unlocked(BATCH).await?;
        Ok(!self.claimed.is_empty())
    }

    /// Publishes them, and commits that they are gone.
    async fn publish(&mut self) -> Result<(), String> {
        self.broker
            .publish(self.claimed.iter().map(|row| &row.entry))?;
        self.claimed.clear();
        self.outbox.commit().await
    }
}
