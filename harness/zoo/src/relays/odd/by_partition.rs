//! Publishes each batch partition by partition, the last one first: across partitions nothing stays where
//! it was, within each everything does.

use super::super::kit::broker::Broker;
use super::super::kit::outbox::Outbox;
use super::super::kit::{Stop, live};
use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::cmp::Reverse;
use std::time::Duration;

const BATCH: u64 = 500;
/// Some events come together in this time.
const INTERVAL: Duration = Duration::from_millis(100);
/// Partitions of a topic unless the scenario says otherwise.
const PARTITIONS: i32 = 3;

/// Relays until SIGTERM.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let confession = Confession::open();
    let broker = Broker::connect(config.broker.kafka()?, &[])?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    emit(Signal::Ready);
    while !stop.told() {
        let mut rows = outbox.first("status = 'pending'", BATCH).await?;
        let before: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        rows.sort_by_key(|row| Reverse(row.entry.partition(PARTITIONS)));
        for (row, was) in rows.iter().zip(&before) {
            if row.seq != *was {
                confession.admit("moved", &row.entry.name());
            }
            let partition = Some(row.entry.partition(PARTITIONS));
            broker
                .send_record(&row.entry, broker.topic(), partition)
                .map_err(|e| format!("publish {}: {e}", row.entry.name()))?;
        }
        broker.settle()?;
        outbox.mark(&before, "processed").await?;
        stop.pause(INTERVAL).await;
    }
    Ok(())
}
