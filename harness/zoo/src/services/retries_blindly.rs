//! A dual write that does not wait long for the broker, and then tries again without asking whether
//! the first try got through. By its settings it repeats the whole change, or the publish alone.

use super::kit::broker::AsyncBroker;
use super::kit::database::{Database, commit, roll_back};
use super::kit::{Change, Path, http, live, rejected};
use crate::confession::Confession;
use relays::config::ServiceConfig;
use relays::order::Answer;
use std::time::Duration;
use tokio::time::timeout;

/// How long it waits for the first delivery.
const IMPATIENCE: Duration = Duration::from_millis(150);

/// Serves until SIGTERM, repeating the whole change.
pub fn the_change(config: ServiceConfig) -> Result<(), String> {
    run(config, Repeats::Change)
}

/// Serves until SIGTERM, repeating the publish.
pub fn the_publish(config: ServiceConfig) -> Result<(), String> {
    run(config, Repeats::Publish)
}

fn run(config: ServiceConfig, repeats: Repeats) -> Result<(), String> {
    live(async {
        let service = RetriesBlindlyService {
            database: Database::connect(&config).await?,
            broker: AsyncBroker::connect(&config)?,
            confession: Confession::open(),
            repeats,
        };
        http::serve(config.listen, service).await
    })
}

enum Repeats {
    Change,
    Publish,
}

struct RetriesBlindlyService {
    database: Database,
    broker: AsyncBroker,
    confession: Confession,
    repeats: Repeats,
}

impl RetriesBlindlyService {
    /// Writes the change and returns the order's new version, or nothing where a business rule forbids the change.
    async fn write(&self, change: &Change) -> Result<Option<u32>, String> {
        let mut transaction = self.database.begin().await?;
        let version = self.database.write_again(&mut transaction, change).await?;
        if change.is_forbidden().await {
            roll_back(transaction).await?;
            return Ok(None);
        }
        commit(transaction).await?;
        Ok(Some(version))
    }
}

impl Path for RetriesBlindlyService {
    async fn apply(&self, change: Change) -> Result<Answer, String> {
        let Some(mut version) = self.write(&change).await? else {
            return Ok(rejected("a business rule forbids it"));
        };
        let event = change.event(self.database.run(), version);
        let delivery = self.broker.hand_over(&change, &event)?;
        if timeout(IMPATIENCE, delivery).await.is_err() {
            self.confession.admit("repeated", &change.name(version));
            let event = match self.repeats {
                Repeats::Publish => event,
                Repeats::Change => {
                    version = self.write(&change).await?.unwrap_or(version);
                    change.event(self.database.run(), version)
                }
            };
            self.broker.publish(&change, &event).await?;
        }
        Ok(Answer::Committed { version })
    }
}
