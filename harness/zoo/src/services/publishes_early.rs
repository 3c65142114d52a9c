//! A dual write whose event goes out before a business rule has had its say: what the rule then
//! forbids is rolled back, and its event is out.

use super::kit::broker::AsyncBroker;
use super::kit::database::{Database, commit, roll_back};
use super::kit::{Change, Path, http, live, rejected};
use crate::confession::Confession;
use relays::config::ServiceConfig;
use relays::order::Answer;

/// Serves until SIGTERM and publishes each event before its change is committed or rolled back.
pub fn run(config: ServiceConfig) -> Result<(), String> {
    live(async {
        let service = PublishesEarlyService {
            database: Database::connect(&config).await?,
            broker: AsyncBroker::connect(&config)?,
            confession: Confession::open(),
        };
        http::serve(config.listen, service).await
    })
}

struct PublishesEarlyService {
    database: Database,
    broker: AsyncBroker,
    confession: Confession,
}

impl Path for PublishesEarlyService {
    async fn apply(&self, change: Change) -> Result<Answer, String> {
        let mut transaction = self.database.begin().await?;
        let Some(version) = self.database.write(&mut transaction, &change).await? else {
            roll_back(transaction).await?;
            return Ok(rejected("the order does not allow it"));
        };
        let event = change.event(self.database.run(), version);
        self.broker.publish(&change, &event).await?;
        if change.is_forbidden().await {
            roll_back(transaction).await?;
            self.confession.admit("phantom", &change.name(version));
            return Ok(rejected("a business rule forbids it"));
        }
        commit(transaction).await?;
        Ok(Answer::Committed { version })
    }
}
