//! Tables that take turns, each truncated when its turn is over, as if all in it were published by then. In an outage
//! of the broker it is not.

use super::kit::broker::Broker;
use super::kit::outbox::Outbox;
use super::kit::{Stop, live};
use crate::confession::Confession;
use relays::config::{Housekeeping, RelayConfig, SourceConfig};
use relays::signal::{Signal, emit};
use std::time::Duration;

const BATCH: u64 = 500;
const INTERVAL: Duration = Duration::from_millis(5);

/// Relays until SIGTERM, and empties a table as soon as its turn is over.
pub fn run(config: RelayConfig) -> Result<(), String> {
    let SourceConfig::Polling {
        housekeeping: Housekeeping::Rotate { period_ms, tables },
        ..
    } = config.source
    else {
        return Err("this relay needs tables that take turns".to_owned());
    };
    live(move |stop| relay(config, period_ms, tables, stop))
}

async fn relay(
    config: RelayConfig,
    period_ms: u64,
    tables: u32,
    mut stop: Stop,
) -> Result<(), String> {
    let confession = Confession::open();
    let broker = Broker::connect(config.broker.kafka()?, &[])?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    let mut turn = outbox.turn(period_ms, tables).await?;
    emit(Signal::Ready);
    while !stop.told() {
        let now = outbox.turn(period_ms, tables).await?;
        if now != turn {
            let table = format!("outbox_{turn}");
            for seq in outbox.truncate(config.database.postgres()?, &table).await? {
                confession.admit("truncated", &seq.to_string());
            }
            turn = now;
        }
        if broker.is_there() {
            let rows = outbox.first("status = 'pending'", BATCH).await?;
            broker.publish(rows.iter().map(|row| &row.entry))?;
            let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
            outbox.mark(&seqs, "processed").await?;
        }
        stop.pause(INTERVAL).await;
    }
    Ok(())
}
