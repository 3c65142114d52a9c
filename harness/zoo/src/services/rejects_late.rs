//! Commits, and answers every fiftieth change with a rejection all the same, as a service does whose
//! validation runs after its transaction.

use super::kit::database::{Database, commit, roll_back};
use super::kit::{Change, Path, http, live, rejected};
use crate::confession::Confession;
use relays::config::ServiceConfig;
use relays::order::Answer;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Serves until SIGTERM; every fiftieth change that it has committed is answered as rejected.
pub fn run(config: ServiceConfig) -> Result<(), String> {
    live(async {
        let service = RejectsLateService {
            database: Database::connect(&config).await?,
            confession: Confession::open(),
            committed: AtomicU64::new(0),
        };
        http::serve(config.listen, service).await
    })
}

struct RejectsLateService {
    database: Database,
    confession: Confession,
    committed: AtomicU64,
}

impl Path for RejectsLateService {
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
        commit(transaction).await?;
        if self.committed.fetch_add(1, Relaxed) % 50 == 49 {
            self.confession
                .admit("false-rejection", &change.name(version));
            return Ok(rejected("the address is not valid"));
        }
        Ok(Answer::Committed { version })
    }
}
