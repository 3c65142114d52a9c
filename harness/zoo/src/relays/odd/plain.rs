//! A relay as the textbook has it: select, publish, wait for the deliveries, delete.

use super::super::kit::broker::Broker;
use super::super::kit::outbox::{Outbox, Pending};
use super::super::kit::{Entry, live};
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::time::Duration;

/// One round has at most so many rows.
const BATCH: u64 = 500;

/// Relays until SIGTERM, a round after each `pause`; `settings` are the producer's, on top of the
/// usual ones. What `publish` is given is durable on the topic when it returns.
pub fn relay(
    config: RelayConfig,
    settings: &[(&str, &str)],
    pause: Duration,
    mut publish: impl FnMut(&Broker, &[Entry]) -> Result<(), String>,
) -> Result<(), String> {
    live(|mut stop| async move {
        let mut outbox = Outbox::connect(config.database.postgres()?).await?;
        let broker = Broker::connect(config.broker.kafka()?, settings)?;
        emit(Signal::Ready);
        while !stop.told() {
            let rows = outbox.first("true", BATCH).await?;
            let entries: Vec<Entry> = rows.iter().map(|row| row.entry.clone()).collect();
            publish(&broker, &entries)?;
            delete(&mut outbox, &rows).await?;
            stop.pause(pause).await;
        }
        Ok(())
    })
}

/// Deletes these rows from the outbox, by their `seq`.
pub async fn delete(outbox: &mut Outbox, rows: &[Pending]) -> Result<(), String> {
    let seqs: Vec<String> = rows.iter().map(|row| row.seq.to_string()).collect();
    let condition = format!("seq = ANY ('{{{}}}')", seqs.join(","));
    outbox.delete(&condition).await.map(drop)
}
