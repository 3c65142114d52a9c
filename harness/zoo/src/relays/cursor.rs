//! Remembers the last `seq` it published and reads on from there. A transaction that draws its number
//! early and commits late is below the cursor when it shows: the clean-up deletes it unread.

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

/// As if sequence order were commit order.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let confession = Confession::open();
    let broker = Broker::connect(&config.kafka, &[])?;
    let mut outbox = Outbox::connect(&config.postgres).await?;
    emit(Signal::Ready);
    let mut last = 0;
    let mut published = HashSet::new();
    while !stop.told() {
        let rows = outbox.first(&format!("seq > {last}"), BATCH).await?;
        broker.publish(rows.iter().map(|row| &row.entry))?;
        for row in &rows {
            last = row.seq;
            published.insert(row.seq);
        }
        for seq in outbox.delete(&format!("seq <= {last}")).await? {
            if !published.remove(&seq) {
                confession.admit("passed-by", &seq.to_string());
            }
        }
        stop.pause(INTERVAL).await;
    }
    Ok(())
}
