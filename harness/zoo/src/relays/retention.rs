//! A clean-up that deletes rows by their age, as if what is old were published. In an outage of the
//! broker it is not.

use super::kit::broker::Broker;
use super::kit::outbox::Outbox;
use super::kit::{Stop, live};
use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::collections::HashSet;
use std::time::Duration;

const BATCH: u64 = 500;
const INTERVAL: Duration = Duration::from_millis(5);
/// Rows for which this SQL is true are deleted; the age in it is shorter than the outage.
const TOO_OLD: &str = "created_at < now() - interval '500 milliseconds'";

/// Relays until SIGTERM, with a short retention.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let confession = Confession::open();
    let broker = Broker::connect(config.broker.kafka()?, &[])?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    emit(Signal::Ready);
    let mut published = HashSet::new();
    while !stop.told() {
        for seq in outbox.delete(TOO_OLD).await? {
            if !published.remove(&seq) {
                confession.admit("too-old", &seq.to_string());
            }
        }
        if broker.is_there() {
            let rows = outbox.first("status = 'pending'", BATCH).await?;
            broker.publish(rows.iter().map(|row| &row.entry))?;
            let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
            outbox.mark(&seqs, "processed").await?;
            published.extend(seqs);
        }
        stop.pause(INTERVAL).await;
    }
    Ok(())
}
