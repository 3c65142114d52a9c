//! Puts an event that could not be handed over at the end of its queue and goes on with the next:
//! later events of its order overtake it.

use super::kit::broker::Broker;
use super::kit::outbox::Outbox;
use super::kit::{Entry, Stop, live};
use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

const BATCH: u64 = 500;
/// Two looks at the outbox are this far apart, long enough for several changes of an order.
const INTERVAL: Duration = Duration::from_millis(200);
/// Records the producer's queue holds: fewer than a batch has.
const QUEUE: &str = "7";

/// Relays until SIGTERM; when the producer's queue is full, it puts the event last and takes the next.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let confession = Confession::open();
    let broker = Broker::connect(
        config.broker.kafka()?,
        &[("queue.buffering.max.messages", QUEUE)],
    )?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    emit(Signal::Ready);
    let mut newest = HashMap::new();
    while !stop.told() {
        let rows = outbox.first("status = 'pending'", BATCH).await?;
        let mut queue: VecDeque<&Entry> = rows.iter().map(|row| &row.entry).collect();
        while let Some(entry) = queue.pop_front() {
            match broker.send(entry) {
                Ok(()) => note(entry, &mut newest, &confession)?,
                Err(_) => {
                    queue.push_back(entry);
                    broker.settle()?;
                }
            }
        }
        broker.settle()?;
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        outbox.mark(&seqs, "processed").await?;
        stop.pause(INTERVAL).await;
    }
    Ok(())
}

/// Admits a version that a later one of its order was handed over before.
fn note(
    entry: &Entry,
    newest: &mut HashMap<String, u32>,
    confession: &Confession,
) -> Result<(), String> {
    let version: u32 = entry
        .version
        .parse()
        .map_err(|e| format!("version {}: {e}", entry.version))?;
    let newest = newest.entry(entry.key.clone()).or_default();
    if version < *newest {
        confession.admit("overtaken", &entry.name());
    }
    *newest = version.max(*newest);
    Ok(())
}
