//! A two-phase commit in the wrong order: Kafka's side is committed as soon as it is prepared, before the coordinator has
//! decided. What a business rule then forbids is rolled back in the database, and its event is out.

use super::kit::database::{Database, commit, roll_back};
use super::kit::transactional::TransactionalBrokers;
use super::kit::{Change, Path, http, live, rejected};
use crate::confession::Confession;
use relays::config::ServiceConfig;
use relays::order::Answer;

/// Serves until SIGTERM.
pub fn run(config: ServiceConfig) -> Result<(), String> {
    live(async {
        let service = CommitsTheBrokerFirstService {
            database: Database::connect(&config).await?,
            brokers: TransactionalBrokers::connect(&config)?,
            confession: Confession::open(),
        };
        http::serve(config.listen, service).await
    })
}

struct CommitsTheBrokerFirstService {
    database: Database,
    brokers: TransactionalBrokers,
    confession: Confession,
}

impl Path for CommitsTheBrokerFirstService {
    async fn apply(&self, change: Change) -> Result<Answer, String> {
        let mut transaction = self.database.begin().await?;
        let Some(version) = self.database.write(&mut transaction, &change).await? else {
            roll_back(transaction).await?;
            return Ok(rejected("the order does not allow it"));
        };
        let event = change.event(self.database.run(), version);
        let broker = self.brokers.lend().await;
        broker.publish(&change, &event)?;
        broker.commit()?;
        drop(broker);
        if change.is_forbidden().await {
            self.confession.admit("phantom", &change.name(version));
            roll_back(transaction).await?;
            return Ok(rejected("a business rule forbids it"));
        }
        commit(transaction).await?;
        Ok(Answer::Committed { version })
    }
}
