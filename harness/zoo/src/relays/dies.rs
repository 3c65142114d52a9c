//! Ends by itself after 250 events, with an exit code and last words, as a process does that is out of
//! memory. Nobody starts it again.

use super::kit::broker::Broker;
use super::kit::outbox::Outbox;
use super::kit::{Stop, live};
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::time::Duration;

/// Events before it ends.
pub const ENOUGH: u64 = 250;
/// What it says last.
pub const LAST_WORDS: &str = "no memory for the next batch";
const BATCH: u64 = 20;
const INTERVAL: Duration = Duration::from_millis(5);

/// Works for a while.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let broker = Broker::connect(&config.kafka, &[])?;
    let mut outbox = Outbox::connect(&config.postgres).await?;
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
    Err(LAST_WORDS.to_owned())
}
