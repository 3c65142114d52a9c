//! Publishes in Kafka transactions that stay open for a while, and aborts every third after its
//! records are on the topic; then it sends them again. Consumers that read what is committed see
//! each event once.

use super::super::kit::broker::Broker;
use super::super::kit::live;
use super::super::kit::outbox::{Outbox, Pending};
use super::plain::delete;
use crate::confession::Confession;
use rdkafka::producer::Producer;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::time::Duration;

/// One transaction has at most so many rows.
const BATCH: u64 = 500;
/// A transaction stays open for so long: its records are on the topic, and nobody sees them yet.
const COMMIT_INTERVAL: Duration = Duration::from_millis(200);
/// Each step of a transaction may take at most this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Relays until SIGTERM in Kafka transactions; every third batch is aborted once, and sent again.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|mut stop| async move {
        let confession = Confession::open();
        let mut outbox = Outbox::connect(config.database.postgres()?).await?;
        let settings = [
            (
                "transactional.id",
                config.database.postgres()?.schema.as_str(),
            ),
            // Within the transaction's own bound.
            ("message.timeout.ms", "30000"),
        ];
        let broker = Broker::connect(config.broker.kafka()?, &settings)?;
        let failed = |e| format!("a Kafka transaction: {e}");
        broker
            .producer
            .init_transactions(PATIENCE)
            .map_err(failed)?;
        emit(Signal::Ready);
        let mut transactions = 0;
        while !stop.told() {
            let rows = outbox.first("true", BATCH).await?;
            if !rows.is_empty() {
                transactions += 1;
                if transactions % 3 == 0 {
                    publish(&broker, &rows)?;
                    broker
                        .producer
                        .abort_transaction(PATIENCE)
                        .map_err(failed)?;
                    for row in &rows {
                        confession.admit("aborted", &row.entry.name());
                    }
                }
                publish(&broker, &rows)?;
                tokio::time::sleep(COMMIT_INTERVAL).await;
                broker
                    .producer
                    .commit_transaction(PATIENCE)
                    .map_err(failed)?;
                delete(&mut outbox, &rows).await?;
            }
            stop.pause(Duration::from_millis(10)).await;
        }
        Ok(())
    })
}

/// Until all of it is on the topic, in a transaction that is still open.
fn publish(broker: &Broker, rows: &[Pending]) -> Result<(), String> {
    let begun = broker.producer.begin_transaction();
    begun.map_err(|e| format!("begin a Kafka transaction: {e}"))?;
    broker.publish(rows.iter().map(|row| &row.entry))
}
