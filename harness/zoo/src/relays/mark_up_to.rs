//! Publishes what is pending, then marks by `seq <= max`: also what a late commit has put there
//! meanwhile, below that, and nobody has read.

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

/// Runs a relay that marks as if nothing came between the two statements.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let confession = Confession::open();
    let broker = Broker::connect(config.broker.kafka()?, &[])?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    emit(Signal::Ready);
    while !stop.told() {
        let rows = outbox.first("status = 'pending'", BATCH).await?;
        if let Some(last) = rows.last() {
            broker.publish(rows.iter().map(|row| &row.entry))?;
            let published: HashSet<i64> = rows.iter().map(|row| row.seq).collect();
            let condition = format!("seq <= {} AND status = 'pending'", last.seq);
            for seq in outbox.mark_where(&condition, "processed").await? {
                if !published.contains(&seq) {
                    confession.admit("passed-by", &seq.to_string());
                }
            }
        }
        stop.pause(INTERVAL).await;
    }
    Ok(())
}
