//! Relays that are done with a batch before they publish it: it is marked, or deleted, or behind
//! their own offset. In its first life the broker takes its time with one batch, for so long that the
//! relay is killed between the two.

use super::kit::broker::Broker;
use super::kit::outbox::{Outbox, Pending};
use super::kit::{Stop, is_first_life, live, offset};
use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::time::Duration;

const BATCH: u64 = 500;
/// The batch with which the broker takes its time.
const DOOMED: u64 = 10;
/// Published before the broker takes its time.
const HEALTHY: u64 = 100;
const INTERVAL: Duration = Duration::from_millis(5);

/// What makes a batch one that is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    /// Its status.
    Marked,
    /// It is not there any more: a transaction of its own deleted it.
    Deleted,
    /// The relay's own offset is at its end. A clean-up deletes what is behind that.
    Stored,
}

/// Marks, then publishes.
pub fn marks(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop, Done::Marked))
}

/// Deletes, then publishes.
pub fn deletes(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop, Done::Deleted))
}

/// Stores its offset, then publishes.
pub fn stores_its_offset(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop, Done::Stored))
}

async fn relay(config: RelayConfig, mut stop: Stop, done: Done) -> Result<(), String> {
    let confession = Confession::open();
    let doomed = is_first_life();
    let broker = Broker::connect(&config.kafka, &[])?;
    let mut outbox = Outbox::connect(&config.postgres).await?;
    emit(Signal::Ready);
    let mut published = 0;
    while !stop.told() {
        let last = doomed && published >= HEALTHY;
        let (least, most) = if last { (DOOMED, DOOMED) } else { (1, BATCH) };
        let condition = match done {
            Done::Marked => "status = 'pending'".to_owned(),
            Done::Deleted => "true".to_owned(),
            Done::Stored => format!("seq > {}", offset::load()?),
        };
        let rows = outbox.first(&condition, most).await?;
        if (rows.len() as u64) < least {
            stop.pause(INTERVAL).await;
            continue;
        }
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        match done {
            Done::Marked => outbox.mark(&seqs, "processed").await?,
            Done::Deleted => outbox.delete_rows(&seqs).await?,
            Done::Stored => offset::store(seqs.last().copied().unwrap_or_default())?,
        }
        if last {
            wait_for_the_broker(&confession, &rows, &mut stop).await;
            break;
        }
        broker.publish(rows.iter().map(|row| &row.entry))?;
        published += rows.len() as u64;
        if done == Done::Stored {
            outbox
                .delete(&format!("seq <= {}", offset::load()?))
                .await?;
        }
    }
    Ok(())
}

/// For as long as it takes: until the process is killed.
async fn wait_for_the_broker(confession: &Confession, rows: &[Pending], stop: &mut Stop) {
    for row in rows {
        confession.admit("done-with", &row.entry.name());
    }
    stop.wait().await;
}
