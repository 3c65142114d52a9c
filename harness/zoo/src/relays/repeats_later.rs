//! Publishes everything, and everything once more when nothing has come for a while: long after the
//! load, when whoever looks only until the last event has looked away.

use super::kit::broker::Broker;
use super::kit::outbox::Outbox;
use super::kit::{Entry, Stop, live};
use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::time::{Duration, Instant};

const BATCH: u64 = 500;
const INTERVAL: Duration = Duration::from_millis(5);
/// Everything is repeated when nothing has come for so long, which is longer than any pause within the load.
const LATER: Duration = Duration::from_millis(1500);

/// Relays until SIGTERM: all events once, in order; and all once more when no others have come for a while.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let confession = Confession::open();
    let broker = Broker::connect(config.broker.kafka()?, &[])?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    emit(Signal::Ready);
    let mut published: Vec<Entry> = Vec::new();
    let mut last = Instant::now();
    while !stop.told() {
        let rows = outbox.first("status = 'pending'", BATCH).await?;
        if rows.is_empty() {
            if last.elapsed() >= LATER && !published.is_empty() {
                for entry in &published {
                    confession.admit("repeated", &entry.name());
                }
                broker.publish(&published)?;
                published.clear();
            }
            stop.pause(INTERVAL).await;
            continue;
        }
        broker.publish(rows.iter().map(|row| &row.entry))?;
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        outbox.mark(&seqs, "processed").await?;
        published.extend(rows.into_iter().map(|row| row.entry));
        last = Instant::now();
    }
    Ok(())
}
