//! Reads MariaDB's binlog and publishes each row of the outbox where it is in the log. Those of an XA transaction are there when
//! it is prepared, and it may be rolled back afterwards.

use super::kit::binlog::{Binlog, LogWord, first_place, target};
use super::kit::broker::Broker;
use super::kit::{Stop, live};
use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_millis(100);

/// Relays until SIGTERM.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, stop: Stop) -> Result<(), String> {
    let confession = Confession::open();
    let target = target(&config)?;
    let broker = Broker::connect(config.broker.kafka()?, &[])?;
    let mut log = Binlog::open(target, &first_place(target).await?).await?;
    emit(Signal::Ready);
    while !stop.told() {
        let words = log.words(PATIENCE).await?;
        let rows = words.iter().filter_map(|word| match word {
            LogWord::Inserted(rows) => Some(rows),
            LogWord::Begun(_) | LogWord::Statement(_) | LogWord::Committed | LogWord::Prepared => {
                None
            }
        });
        let rows: Vec<_> = rows.flatten().collect();
        for row in &rows {
            confession.admit("published", &row.attempt()?);
        }
        broker.publish(rows)?;
    }
    Ok(())
}
