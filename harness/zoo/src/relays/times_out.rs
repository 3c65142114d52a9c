//! Events that time out in the producer's queue, one by one, and are then handed over again: behind
//! later ones of their order, which have not timed out yet.

use super::kit::aftermath::Aftermath;
use super::kit::outbox::Outbox;
use super::kit::reporting::Reporting;
use super::kit::{Entry, Stop, live};
use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry::Vacant;
use std::time::Duration;

/// The timeout is shorter than the outage, and much shorter than librdkafka's own five minutes.
const SETTINGS: [(&str, &str); 2] = [
    ("message.timeout.ms", "300"),
    ("enable.idempotence", "false"),
];
const BATCH: u64 = 500;
const INTERVAL: Duration = Duration::from_millis(5);

/// As if what comes first went first.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let producer = Reporting::connect(config.broker.kafka()?, &SETTINGS)?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    emit(Signal::Ready);
    let mut on_their_way: BTreeMap<i64, Entry> = BTreeMap::new();
    while !stop.told() || !on_their_way.is_empty() {
        let mut delivered = Vec::new();
        for (seq, fate) in producer.reports() {
            if fate {
                on_their_way.remove(&seq);
                delivered.push(seq);
            } else if let Some(entry) = on_their_way.get(&seq) {
                producer.send(seq, entry)?;
            }
        }
        outbox.mark(&delivered, "processed").await?;
        for row in outbox.first("status = 'pending'", BATCH).await? {
            if let Vacant(place) = on_their_way.entry(row.seq) {
                producer.send(row.seq, &row.entry)?;
                place.insert(row.entry);
            }
        }
        stop.pause(INTERVAL).await;
    }
    Aftermath::admit(config.broker.kafka()?, &Confession::open())
}
