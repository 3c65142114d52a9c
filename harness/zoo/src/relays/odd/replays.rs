//! The honest relay, which is started again in the middle and then publishes all that it had
//! published before, from the first event on.

use super::super::kit::broker::Broker;
use super::super::kit::live;
use super::super::kit::outbox::{ALL, Outbox};
use super::lives::Lives;
use crate::confession::Confession;
use relays::config::{PostgresTarget, RelayConfig};
use relays::pump;
use std::time::Duration;

/// So many events are published before it is started again.
const BEFORE: u64 = 200;
const PUBLISHED: &str = "status = 'processed'";

/// Relays until SIGTERM; once `BEFORE` events are published, it publishes all published rows again before it goes on.
pub fn run(config: RelayConfig) -> Result<(), String> {
    let lives = Lives::until_terminated();
    let enough = published_enough(config.database.postgres()?.clone());
    pump::relay(config.clone(), lives.one(enough))?;
    replay(&config)?;
    pump::relay(config, lives.one(std::future::pending()))
}

/// Completes when the outbox has so many published events.
async fn published_enough(postgres: PostgresTarget) {
    let Ok(mut outbox) = Outbox::connect(&postgres).await else {
        return;
    };
    while let Ok(rows) = outbox.first(PUBLISHED, BEFORE).await
        && (rows.len() as u64) < BEFORE
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn replay(config: &RelayConfig) -> Result<(), String> {
    let confession = Confession::open();
    live(|_| async {
        let mut outbox = Outbox::connect(config.database.postgres()?).await?;
        let broker = Broker::connect(config.broker.kafka()?, &[])?;
        let rows = outbox.first(PUBLISHED, ALL).await?;
        broker.publish(rows.iter().map(|row| &row.entry))?;
        for row in &rows {
            confession.admit("replayed", &row.entry.name());
        }
        Ok(())
    })
}
