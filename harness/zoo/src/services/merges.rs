//! Keeps one outbox row an order: where an earlier change of it is not published yet, its row stays,
//! and the later change has none.

use super::kit::database::{Database, commit, roll_back};
use super::kit::{Change, Path, http, live, rejected};
use crate::confession::Confession;
use relays::config::ServiceConfig;
use relays::order::Answer;

/// Serves until SIGTERM; a change of an order whose earlier outbox row is still there is committed without one.
pub fn run(config: ServiceConfig) -> Result<(), String> {
    live(async {
        let service = MergesService {
            database: Database::connect(&config).await?,
            confession: Confession::open(),
        };
        http::serve(config.listen, service).await
    })
}

struct MergesService {
    database: Database,
    confession: Confession,
}

impl Path for MergesService {
    async fn apply(&self, change: Change) -> Result<Answer, String> {
        let mut transaction = self.database.begin().await?;
        let Some(version) = self.database.write(&mut transaction, &change).await? else {
            roll_back(transaction).await?;
            return Ok(rejected("the order does not allow it"));
        };
        if change.is_forbidden().await {
            roll_back(transaction).await?;
            return Ok(rejected("a business rule forbids it"));
        }
        let announced = self
            .database
            .announce_once(&mut transaction, &change, version);
        let announced = announced.await?;
        commit(transaction).await?;
        if !announced {
            self.confession.admit("merged", &change.name(version));
        }
        Ok(Answer::Committed { version })
    }
}
