//! Chooses partitions by something other than the key: one after the other, or by the kind of event.

use super::kit::broker::Broker;
use super::kit::outbox::Outbox;
use super::kit::{Entry, Stop, live};
use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::order::ChangeType;
use relays::signal::{Signal, emit};
use std::collections::HashMap;
use std::time::Duration;

const BATCH: u64 = 500;
const INTERVAL: Duration = Duration::from_millis(5);
/// Partitions of a topic unless the scenario says otherwise.
const PARTITIONS: i32 = 3;

/// Relays until SIGTERM, to one partition after the other.
pub fn evenly(config: RelayConfig) -> Result<(), String> {
    let mut partition = 0;
    live(|stop| {
        relay(config, stop, move |_| {
            partition = (partition + 1) % PARTITIONS;
            partition
        })
    })
}

/// By the kind of event, of which each has its place.
pub fn by_type(config: RelayConfig) -> Result<(), String> {
    live(|stop| {
        relay(config, stop, |entry| {
            let kind = ChangeType::from_event_type(&entry.event_type);
            kind.map_or(0, |kind| i32::from(kind.code())) % PARTITIONS
        })
    })
}

async fn relay(
    config: RelayConfig,
    mut stop: Stop,
    mut partition: impl FnMut(&Entry) -> i32,
) -> Result<(), String> {
    let confession = Confession::open();
    let broker = Broker::connect(config.broker.kafka()?, &[])?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    emit(Signal::Ready);
    // By order: its first partition, and whether that was not the only one.
    let mut homes: HashMap<String, (i32, bool)> = HashMap::new();
    while !stop.told() {
        let rows = outbox.first("status = 'pending'", BATCH).await?;
        for row in &rows {
            let partition = partition(&row.entry);
            broker
                .send_record(&row.entry, broker.topic(), Some(partition))
                .map_err(|e| format!("publish {}: {e}", row.entry.name()))?;
            let (home, split) = homes
                .entry(row.entry.key.clone())
                .or_insert((partition, false));
            if *home != partition && !*split {
                *split = true;
                confession.admit("split", &row.entry.key);
            }
        }
        broker.settle()?;
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        outbox.mark(&seqs, "processed").await?;
        stop.pause(INTERVAL).await;
    }
    Ok(())
}
