//! Marks a batch, then publishes it. In its first life the broker takes its time with one batch, for
//! so long that it is killed between the two.

use super::kit::broker::Broker;
use super::kit::outbox::{Outbox, Pending};
use super::kit::{Stop, is_first_life, live};
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

/// At most once, whatever it says.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let confession = Confession::open();
    let doomed = is_first_life();
    let broker = Broker::connect(&config.kafka, &[])?;
    let mut outbox = Outbox::connect(&config.postgres).await?;
    emit(Signal::Ready);
    let mut published = 0;
    while !stop.told() {
        let last = doomed && published >= HEALTHY;
        let (least, most) = if last { (DOOMED, DOOMED) } else { (1, BATCH) };
        let rows = outbox.first("status = 'pending'", most).await?;
        if (rows.len() as u64) < least {
            stop.pause(INTERVAL).await;
            continue;
        }
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        outbox.mark(&seqs, "processed").await?;
        if last {
            wait_for_the_broker(&confession, &rows, &mut stop).await;
            break;
        }
        broker.publish(rows.iter().map(|row| &row.entry))?;
        published += rows.len() as u64;
    }
    Ok(())
}

/// For as long as it takes: until the process is killed.
async fn wait_for_the_broker(confession: &Confession, rows: &[Pending], stop: &mut Stop) {
    for row in rows {
        confession.admit("marked", &row.entry.name());
    }
    stop.wait().await;
}
