//! Publishes each batch in a Kafka transaction. Every fifth is aborted, and its rows are marked all
//! the same: the marking is in the part that always runs.

use super::kit::broker::Broker;
use super::kit::outbox::Outbox;
use super::kit::{Stop, live};
use crate::confession::Confession;
use rdkafka::producer::Producer;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::time::Duration;

const BATCH: u64 = 100;
const INTERVAL: Duration = Duration::from_millis(50);
const WITHIN: Duration = Duration::from_secs(10);

/// Runs a relay that commits four transactions of five, and aborts the fifth.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let confession = Confession::open();
    let broker = Broker::connect(
        config.broker.kafka()?,
        &[("transactional.id", config.broker.topic())],
    )?;
    let failed = |doing: &'static str| move |reason| format!("{doing}: {reason}");
    let producer = &broker.producer;
    producer
        .init_transactions(WITHIN)
        .map_err(failed("begin with transactions"))?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    emit(Signal::Ready);
    let mut batches = 0;
    while !stop.told() {
        let rows = outbox.first("status = 'pending'", BATCH).await?;
        if rows.is_empty() {
            stop.pause(INTERVAL).await;
            continue;
        }
        batches += 1;
        producer
            .begin_transaction()
            .map_err(failed("begin a transaction"))?;
        broker.publish(rows.iter().map(|row| &row.entry))?;
        if batches % 5 == 0 {
            producer
                .abort_transaction(WITHIN)
                .map_err(failed("abort a transaction"))?;
            for row in &rows {
                confession.admit("aborted", &row.entry.name());
            }
        } else {
            producer
                .commit_transaction(WITHIN)
                .map_err(failed("commit a transaction"))?;
        }
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        outbox.mark(&seqs, "processed").await?;
        stop.pause(INTERVAL).await;
    }
    Ok(())
}
