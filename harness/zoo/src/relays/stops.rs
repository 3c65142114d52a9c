//! Stops after 250 events and says nothing: the process lives, its connections too, and it does no
//! more work.

use super::kit::broker::Broker;
use super::kit::outbox::Outbox;
use super::kit::{Stop, live};
use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::time::Duration;

/// The relay publishes so many events before it stops.
pub const ENOUGH: u64 = 250;
const BATCH: u64 = 20;
const INTERVAL: Duration = Duration::from_millis(5);

/// Publishes `ENOUGH` events, does nothing more until SIGTERM, and admits the rows that are left.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let mut outbox = work(config, &mut stop).await?;
    stop.wait().await;
    outbox.admit("true", &Confession::open(), "left").await
}

/// Publishes [`ENOUGH`] events, or until it is told to stop; gives the outbox with the rest.
pub(super) async fn work(config: RelayConfig, stop: &mut Stop) -> Result<Outbox, String> {
    let broker = Broker::connect(config.broker.kafka()?, &[])?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    emit(Signal::Ready);
    let mut published = 0;
    while !stop.told() && published < ENOUGH {
        let rows = outbox.first("true", BATCH.min(ENOUGH - published)).await?;
        broker.publish(rows.iter().map(|row| &row.entry))?;
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        outbox.delete_rows(&seqs).await?;
        published += rows.len() as u64;
        stop.pause(INTERVAL).await;
    }
    Ok(outbox)
}
