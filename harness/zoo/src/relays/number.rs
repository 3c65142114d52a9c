//! Reads events by their number alone, as if that were the order of their commits: a transaction that draws its number early
//! and commits late is behind the position when it shows, and stays in the table unread.

use super::kit::broker::Broker;
use super::kit::outbox::{ALL, Outbox};
use super::kit::{Stop, live};
use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::collections::HashSet;
use std::time::Duration;

const BATCH: u64 = 500;
const INTERVAL: Duration = Duration::from_millis(5);

/// Relays until SIGTERM.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let confession = Confession::open();
    let broker = Broker::connect(config.broker.kafka()?, &[])?;
    let schema = config.database.postgres()?.schema.as_str();
    let mut events = Outbox::connect_to_events(config.database.postgres()?).await?;
    emit(Signal::Ready);
    let mut last = 0;
    let mut published = HashSet::new();
    while !stop.told() {
        let rows = events.first(&format!("seq > {last}"), BATCH).await?;
        broker.publish(rows.iter().map(|row| &row.entry))?;
        if let Some(newest) = rows.last() {
            last = newest.seq;
            published.extend(rows.iter().map(|row| row.seq));
            events.keep_position(schema, last).await?;
        }
        stop.pause(INTERVAL).await;
    }
    // Nobody writes any more: what it passed by is there to be seen.
    for row in events.first(&format!("seq <= {last}"), ALL).await? {
        if !published.contains(&row.seq) {
            confession.admit("passed-by", &row.entry.name());
        }
    }
    events.keep_position(schema, last).await
}
