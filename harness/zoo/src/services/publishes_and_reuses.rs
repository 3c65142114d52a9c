//! A dual write that published one change too early, which was then rolled back; the order's next
//! change gets the same version and a correct event. Whoever goes by versions takes the wrong event
//! for the right one, and the right one for a copy.

use super::kit::broker::AsyncBroker;
use super::kit::database::{Database, commit, roll_back};
use super::kit::{Change, Path, http, live, rejected};
use crate::confession::Confession;
use relays::config::ServiceConfig;
use relays::order::{Answer, ChangeType};
use std::sync::OnceLock;
use uuid::Uuid;

/// Serves until SIGTERM; the first forbidden placing is published, and its order's id and version are used again.
pub fn run(config: ServiceConfig) -> Result<(), String> {
    live(async {
        let service = PublishesAndReusesService {
            database: Database::connect(&config).await?,
            broker: AsyncBroker::connect(&config)?,
            confession: Confession::open(),
            phantom: OnceLock::new(),
        };
        http::serve(config.listen, service).await
    })
}

struct PublishesAndReusesService {
    database: Database,
    broker: AsyncBroker,
    confession: Confession,
    /// The order whose placing was published and rolled back.
    phantom: OnceLock<Uuid>,
}

impl Path for PublishesAndReusesService {
    async fn apply(&self, change: Change) -> Result<Answer, String> {
        let mut transaction = self.database.begin().await?;
        let Some(version) = self.database.write(&mut transaction, &change).await? else {
            roll_back(transaction).await?;
            return Ok(rejected("the order does not allow it"));
        };
        let event = change.event(self.database.run(), version);
        let placing = change.kind == ChangeType::Placed;
        if change.is_forbidden().await {
            if placing && self.phantom.set(change.order).is_ok() {
                self.broker.publish(&change, &event).await?;
                self.confession.admit("phantom", &change.name(version));
            }
            roll_back(transaction).await?;
            return Ok(rejected("a business rule forbids it"));
        }
        commit(transaction).await?;
        if placing && self.phantom.get() == Some(&change.order) {
            self.confession.admit("used-again", &change.name(version));
        }
        self.broker.publish(&change, &event).await?;
        Ok(Answer::Committed { version })
    }
}
