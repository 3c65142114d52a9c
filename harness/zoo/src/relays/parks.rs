//! Gives a row up after five attempts: an outage spends them all at once. It is parked, and nobody
//! ever looks at parked rows, or deleted.

use super::kit::broker::Broker;
use super::kit::outbox::{Outbox, Pending};
use super::kit::{Stop, live};
use crate::confession::Confession;
use rdkafka::producer::Producer;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::collections::HashMap;
use std::time::Duration;

const BATCH: u64 = 500;
const ATTEMPTS_MAX: u32 = 5;
const INTERVAL: Duration = Duration::from_millis(5);

/// What becomes of a row that had its chances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GivenUp {
    Parked,
    Deleted,
}

/// Gives each row five chances, then parks it.
pub fn parks(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop, GivenUp::Parked))
}

/// Gives each row five chances, then deletes it.
pub fn deletes(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop, GivenUp::Deleted))
}

async fn relay(config: RelayConfig, mut stop: Stop, given_up: GivenUp) -> Result<(), String> {
    let confession = Confession::open();
    let broker = Broker::connect(config.broker.kafka()?, &[])?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    emit(Signal::Ready);
    let mut attempts: HashMap<i64, u32> = HashMap::new();
    let mut on_their_way: Vec<i64> = Vec::new();
    while !stop.told() {
        broker.producer.poll(Duration::ZERO);
        if broker.producer.in_flight_count() == 0 {
            outbox.mark(&on_their_way, "processed").await?;
            on_their_way.clear();
        }
        let mut rows = outbox.first("status = 'pending'", BATCH).await?;
        rows.retain(|row| !on_their_way.contains(&row.seq));
        if rows.is_empty() {
            stop.pause(INTERVAL).await;
        } else if broker.is_there() {
            for row in &rows {
                broker
                    .send(&row.entry)
                    .map_err(|e| format!("publish {}: {e}", row.entry.name()))?;
                on_their_way.push(row.seq);
            }
        } else {
            let parked = spent(&rows, &mut attempts);
            let seqs: Vec<i64> = parked.iter().map(|row| row.seq).collect();
            match given_up {
                GivenUp::Parked => outbox.mark(&seqs, "failed").await?,
                GivenUp::Deleted => outbox.delete_rows(&seqs).await?,
            }
            for row in &parked {
                confession.admit("given-up", &row.entry.name());
            }
        }
    }
    broker.settle()
}

/// Counts one more attempt of each; those that have had all of theirs.
fn spent<'a>(rows: &'a [Pending], attempts: &mut HashMap<i64, u32>) -> Vec<&'a Pending> {
    let mut had_all = |row: &&Pending| {
        let attempt = attempts.entry(row.seq).or_default();
        *attempt += 1;
        *attempt >= ATTEMPTS_MAX
    };
    rows.iter().filter(|row| had_all(row)).collect()
}
