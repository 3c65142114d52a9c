//! Remembers the highest value of a column that it published and reads on from there. A transaction
//! that takes its value early and commits late is below the cursor when it shows: the clean-up
//! deletes it unread.

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
pub fn by_seq(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop, "seq"))
}

/// As if the time of a transaction's begin were that of its commit.
pub fn by_created_at(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop, "created_at"))
}

async fn relay(config: RelayConfig, mut stop: Stop, column: &str) -> Result<(), String> {
    let confession = Confession::open();
    let broker = Broker::connect(config.broker.kafka()?, &[])?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    emit(Signal::Ready);
    let mut last: Option<String> = None;
    let mut published = HashSet::new();
    while !stop.told() {
        let condition = match &last {
            None => "true".to_owned(),
            Some(last) => format!("{column} > '{last}'"),
        };
        let rows = outbox.first(&condition, BATCH).await?;
        broker.publish(rows.iter().map(|row| &row.entry))?;
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        if let Some(highest) = outbox.highest(column, &seqs).await? {
            published.extend(seqs);
            last = Some(highest);
        }
        if let Some(last) = &last {
            for seq in outbox.delete(&format!("{column} <= '{last}'")).await? {
                if !published.remove(&seq) {
                    confession.admit("passed-by", &seq.to_string());
                }
            }
        }
        stop.pause(INTERVAL).await;
    }
    Ok(())
}
