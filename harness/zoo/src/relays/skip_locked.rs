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

/// A worker claims so many rows at a time, the slow one few and the fast one many.
const SLOW_BATCH: u64 = 10;
const FAST_BATCH: u64 = 500;
/// So many does the fast one publish while the slow one is at it: long enough for every order to go on.
const MEANWHILE: usize = 100;
/// Looks in vain after which it seems so.
const IDLE: u32 = 20;
const INTERVAL: Duration = Duration::from_millis(5);

/// As if rows were independent of one another.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let mut slow = Worker::start(config.database.postgres()?, config.broker.kafka()?).await?;
    let mut fast = Worker::start(config.database.postgres()?, config.broker.kafka()?).await?;
    emit(Signal::Ready);
    while !stop.told() {
        slow.claim(SLOW_BATCH).await?;
        let mut meanwhile = 0;
        // Once the load is over, nothing comes any more for which it would be too slow.
        let mut idle = 0;
        while meanwhile < MEANWHILE && idle < IDLE {
            fast.claim(FAST_BATCH).await?;
            meanwhile += fast.claimed.len();
            idle = if fast.claimed.is_empty() { idle + 1 } else { 0 };
            fast.publish().await?;
            stop.pause(INTERVAL).await;
        }
        slow.publish().await?;
    }
    Aftermath::admit(config.broker.kafka()?, &Confession::open())
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

    /// Takes at most `limit` rows that nobody has locked, and holds them locked in a transaction of its own.
    async fn claim(&mut self, limit: u64) -> Result<(), String> {
        self.outbox.begin().await?;
        self.claimed = self.outbox.take_unlocked(limit).await?;
        Ok(())
    }

    /// Publishes them, and commits that they are gone.
    async fn publish(&mut self) -> Result<(), String> {
        self.broker
            .publish(self.claimed.iter().map(|row| &row.entry))?;
        self.claimed.clear();
        self.outbox.commit().await
    }
}
