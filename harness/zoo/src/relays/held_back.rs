//! Holds the last events of some orders back, and sends each right behind the event of a change that was
//! made much later: each order's own events stay in their order, a partition's do not.

use super::kit::broker::Broker;
use super::kit::outbox::Outbox;
use super::kit::{Entry, Stop, live};
use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::collections::HashSet;
use std::time::{Duration, Instant};

const BATCH: u64 = 500;
const INTERVAL: Duration = Duration::from_millis(5);
/// Partitions of a topic unless the scenario says otherwise.
const PARTITIONS: i32 = 3;
/// The version behind which an order has no other, in the case's load.
const LAST_VERSION: &str = "3";
/// Of every so many last events one is held back.
const ONE_OF: usize = 4;
/// So many in all: the load goes on long enough for each of them to be overtaken.
const MOST: usize = 25;
/// So much later the other change was made: the client of the one that is held back had its answer long
/// before that one was sent.
const LATER: Duration = Duration::from_secs(2);

struct HeldBack {
    entry: Entry,
    since: Instant,
}

/// Relays until SIGTERM.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let confession = Confession::open();
    let broker = Broker::connect(config.broker.kafka()?, &[])?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    emit(Signal::Ready);
    let send = |entry: &Entry| {
        let partition = Some(entry.partition(PARTITIONS));
        let sent = broker.send_record(entry, broker.topic(), partition);
        sent.map_err(|e| format!("publish {}: {e}", entry.name()))
    };
    let mut held: Vec<HeldBack> = Vec::new();
    let (mut last_ones, mut taken) = (0, 0);
    while !stop.told() {
        let rows = outbox.first("status = 'pending'", BATCH).await?;
        let now = Instant::now();
        let mut reached: HashSet<i32> = HashSet::new();
        for row in &rows {
            let last = row.entry.version == LAST_VERSION;
            last_ones += usize::from(last);
            if last && last_ones % ONE_OF == 0 && taken < MOST {
                taken += 1;
                held.push(HeldBack {
                    entry: row.entry.clone(),
                    since: now,
                });
                continue;
            }
            send(&row.entry)?;
            reached.insert(row.entry.partition(PARTITIONS));
        }
        let due = |one: &HeldBack| {
            let partition = one.entry.partition(PARTITIONS);
            reached.contains(&partition) && now.duration_since(one.since) >= LATER
        };
        for one in held.extract_if(.., |one| due(one)) {
            send(&one.entry)?;
            confession.admit("overtaken", &one.entry.name());
        }
        broker.settle()?;
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        outbox.mark(&seqs, "processed").await?;
        stop.pause(INTERVAL).await;
    }
    Ok(())
}
