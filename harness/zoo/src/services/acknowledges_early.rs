//! Acknowledges before it commits, and one commit in fifty fails: the client holds a promise that
//! the database does not.

use super::kit::database::{Database, commit, roll_back};
use super::kit::{Change, Path, http, live, rejected};
use crate::confession::Confession;
use relays::config::ServiceConfig;
use relays::order::Answer;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Serves until SIGTERM; every fiftieth change is rolled back although its client is told that it is committed.
pub fn run(config: ServiceConfig) -> Result<(), String> {
    live(async {
        let service = AcknowledgesEarlyService {
            database: Database::connect(&config).await?,
            confession: Confession::open(),
            written: AtomicU64::new(0),
        };
        http::serve(config.listen, service).await
    })
}

struct AcknowledgesEarlyService {
    database: Database,
    confession: Confession,
    written: AtomicU64,
}

impl Path for AcknowledgesEarlyService {
    async fn apply(&self, change: Change) -> Result<Answer, String> {
        let mut transaction = self.database.begin().await?;
        let Some(version) = self.database.write(&mut transaction, &change).await? else {
            roll_back(transaction).await?;
            return Ok(rejected("the order does not allow it"));
        };
        let announced = self.database.announce(&mut transaction, &change, version);
        announced.await?;
        if change.is_forbidden().await {
            roll_back(transaction).await?;
            return Ok(rejected("a business rule forbids it"));
        }
        if self.written.fetch_add(1, Relaxed) % 50 == 49 {
            self.confession
                .admit("broken-promise", &change.name(version));
            tokio::spawn(roll_back(transaction));
        } else {
            commit(transaction).await?;
        }
        Ok(Answer::Committed { version })
    }
}
