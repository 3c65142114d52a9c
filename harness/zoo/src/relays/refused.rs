//! Goes on past a failed publish: when the producer's queue is full, it logs that, and marks the row
//! with the others.

use super::kit::broker::Broker;
use super::kit::outbox::Outbox;
use super::kit::{Stop, live};
use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::time::Duration;

const BATCH: u64 = 100;
/// Records the producer's queue holds: what an outage leaves in it is delivered afterwards.
const QUEUE: &str = "20";
const INTERVAL: Duration = Duration::from_millis(5);

/// Relays until SIGTERM and marks each row as processed, whether or not the producer's queue took its event.
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
    while !stop.told() {
        let rows = outbox.first("status = 'pending'", BATCH).await?;
        for row in &rows {
            if let Err(error) = broker.send(&row.entry) {
                eprintln!("{} is not published: {error}", row.entry.name());
                confession.admit("refused", &row.entry.name());
            }
        }
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        outbox.mark(&seqs, "processed").await?;
        broker.producer.poll(Duration::ZERO);
        stop.pause(INTERVAL).await;
    }
    broker.settle()
}
