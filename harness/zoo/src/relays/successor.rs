//! An old relay that is not gone when its successor works, and comes late with what it had: as a
//! zombie that was paused with claimed rows in its hands, or as a producer that nobody closed.

use super::kit::aftermath::Aftermath;
use super::kit::broker::Broker;
use super::kit::outbox::{Outbox, Pending};
use super::kit::{Stop, live};
use crate::confession::Confession;
use rdkafka::producer::Producer;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::collections::HashMap;
use std::time::Duration;

const BATCH: u64 = 500;
const INTERVAL: Duration = Duration::from_millis(5);
/// The old relay publishes at least so many events in its good days.
const HEALTHY: u64 = 100;
/// What it has when it is succeeded.
const CLAIMED: usize = 10;
/// It comes back when so many of them were overtaken.
const ENOUGH: usize = 5;
/// So long may its producer wait for a batch to fill: it is sent when it is told to.
const LINGER: (&str, &str) = ("linger.ms", "600000");
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the old one's last rows are while its successor works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// They are in its own hands: it was paused after it had claimed them.
    InItsHands,
    /// They are in its producer's queue: it is gone, and its producer is not.
    InItsProducer,
}

/// Claims rows and is paused; publishes them when it wakes.
pub fn zombie(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop, Held::InItsHands))
}

/// Hands rows to its producer and ends; the producer sends them when its batch is due.
pub fn producer_lives_on(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop, Held::InItsProducer))
}

async fn relay(config: RelayConfig, mut stop: Stop, held: Held) -> Result<(), String> {
    let old = Broker::connect(config.broker.kafka()?, &[LINGER])?;
    let new = Broker::connect(config.broker.kafka()?, &[])?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    emit(Signal::Ready);
    let mut published = 0;
    while !stop.told() && published < HEALTHY {
        let rows = outbox.first("status = 'pending'", BATCH).await?;
        send(&old, &rows)?;
        flush(&old)?;
        mark(&mut outbox, &rows, "processed").await?;
        published += rows.len() as u64;
        stop.pause(INTERVAL).await;
    }
    let claimed = claim(&mut outbox, &mut stop).await?;
    match held {
        Held::InItsHands => mark(&mut outbox, &claimed, "claimed").await?,
        Held::InItsProducer => {
            send(&old, &claimed)?;
            mark(&mut outbox, &claimed, "processed").await?;
        }
    }
    let mut newest = HashMap::new();
    while !stop.told() && overtaken(&claimed, &newest)? < ENOUGH {
        for row in work(&mut outbox, &new).await? {
            newest.insert(row.entry.key.clone(), version(&row)?);
        }
        stop.pause(INTERVAL).await;
    }
    match held {
        Held::InItsHands => {
            send(&old, &claimed)?;
            flush(&old)?;
            mark(&mut outbox, &claimed, "processed").await?;
        }
        Held::InItsProducer => flush(&old)?,
    }
    while !stop.told() {
        work(&mut outbox, &new).await?;
        stop.pause(INTERVAL).await;
    }
    Aftermath::admit(config.broker.kafka()?, &Confession::open())
}

/// Does one round of a successor: publishes what is pending, marks it, and returns its rows.
async fn work(outbox: &mut Outbox, broker: &Broker) -> Result<Vec<Pending>, String> {
    let rows = outbox.first("status = 'pending'", BATCH).await?;
    broker.publish(rows.iter().map(|row| &row.entry))?;
    mark(outbox, &rows, "processed").await?;
    Ok(rows)
}

async fn mark(outbox: &mut Outbox, rows: &[Pending], status: &str) -> Result<(), String> {
    let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    outbox.mark(&seqs, status).await
}

/// So many pending rows, once there are.
async fn claim(outbox: &mut Outbox, stop: &mut Stop) -> Result<Vec<Pending>, String> {
    loop {
        let rows = outbox.first("status = 'pending'", CLAIMED as u64).await?;
        if rows.len() == CLAIMED || stop.told() {
            return Ok(rows);
        }
        stop.pause(INTERVAL).await;
    }
}

fn send(broker: &Broker, rows: &[Pending]) -> Result<(), String> {
    for row in rows {
        let sent = broker.send(&row.entry);
        sent.map_err(|e| format!("publish {}: {e}", row.entry.name()))?;
    }
    Ok(())
}

fn flush(broker: &Broker) -> Result<(), String> {
    let flushed = broker.producer.flush(PATIENCE);
    flushed.map_err(|e| format!("flush the producer: {e}"))
}

/// How many of these have a later version that is published.
fn overtaken(rows: &[Pending], newest: &HashMap<String, u32>) -> Result<usize, String> {
    let mut count = 0;
    for row in rows {
        let newest = newest.get(&row.entry.key).copied().unwrap_or_default();
        count += usize::from(newest > version(row)?);
    }
    Ok(count)
}

fn version(row: &Pending) -> Result<u32, String> {
    let version = &row.entry.version;
    version
        .parse()
        .map_err(|e| format!("version {version}: {e}"))
}
