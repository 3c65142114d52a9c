//! Relays that are done with a batch before they publish it: it is marked, or deleted, or behind
//! their own offset. In its first life the broker takes its time with one batch, for so long that the
//! relay is killed between the two.

use super::kit::broker::Broker;
use super::kit::outbox::{Outbox, Pending};
use super::kit::{Stop, is_first_life, live, offset};
use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::collections::HashSet;
use std::time::Duration;

const BATCH: u64 = 500;
/// The batch with which the broker takes its time.
const DOOMED: u64 = 10;
/// Published before the broker takes its time.
const HEALTHY: usize = 50;
const INTERVAL: Duration = Duration::from_millis(5);

/// What makes a batch one that is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    /// Its rows are marked as processed.
    Marked,
    /// It is not there any more: a transaction of its own deleted it.
    Deleted,
    /// The relay's own offset is at its end. A clean-up deletes what is before that.
    Stored,
}

/// Runs a relay that marks each batch as processed, and publishes it only then.
pub fn marks(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop, Done::Marked))
}

/// Runs a relay that deletes each batch from the outbox, and publishes it only then.
pub fn deletes(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop, Done::Deleted))
}

/// Runs a relay that stores its offset behind each batch, and publishes the batch only then.
pub fn stores_its_offset(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop, Done::Stored))
}

async fn relay(config: RelayConfig, mut stop: Stop, done: Done) -> Result<(), String> {
    let confession = Confession::open();
    let doomed = is_first_life();
    // Small ones, so that it is not killed in any other.
    let batch = if doomed { DOOMED } else { BATCH };
    let broker = Broker::connect(config.broker.kafka()?, &[])?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    emit(Signal::Ready);
    let mut published = HashSet::new();
    while !stop.told() {
        let last = doomed && published.len() >= HEALTHY;
        let (least, most) = if last { (DOOMED, DOOMED) } else { (1, batch) };
        let condition = match done {
            Done::Marked => "status = 'pending'".to_owned(),
            Done::Deleted => "true".to_owned(),
            Done::Stored => format!("seq > {}", offset::load()?),
        };
        if done == Done::Stored {
            clean_up(&mut outbox, &published, &confession).await?;
        }
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
        published.extend(seqs);
    }
    Ok(())
}

/// Deletes what is before the offset, and admits what of it this life has not published: the last
/// batch of the life before, and what came before the offset late.
async fn clean_up(
    outbox: &mut Outbox,
    published: &HashSet<i64>,
    confession: &Confession,
) -> Result<(), String> {
    for seq in outbox
        .delete(&format!("seq <= {}", offset::load()?))
        .await?
    {
        if !published.contains(&seq) {
            confession.admit("unpublished", &seq.to_string());
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
