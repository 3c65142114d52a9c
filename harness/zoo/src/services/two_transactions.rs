//! Writes the order in one transaction and its outbox row in another. In its first life the second
//! one is never reached by ten changes, which stand before it when the service is killed.

use super::kit::database::{Database, commit, roll_back};
use super::kit::{Change, Path, http, live, rejected};
use crate::confession::Confession;
use crate::relays::kit::is_first_life;
use relays::config::ServiceConfig;
use relays::order::Answer;
use std::future::pending;
use tokio::sync::Mutex;

/// Changes that the first life takes through both transactions.
const WHOLE: u64 = 20;
/// The first life leaves so many changes between the two transactions.
const TORN: u64 = 10;

/// Serves until SIGTERM and commits each order in one transaction and its outbox row in a second one.
pub fn run(config: ServiceConfig) -> Result<(), String> {
    live(async {
        let service = TwoTransactionsService {
            database: Database::connect(&config).await?,
            confession: Confession::open(),
            first_life: is_first_life().then(Mutex::default),
        };
        http::serve(config.listen, service).await
    })
}

struct TwoTransactionsService {
    database: Database,
    confession: Confession,
    /// In the first life, how many orders were written: one change at a time.
    first_life: Option<Mutex<u64>>,
}

impl Path for TwoTransactionsService {
    async fn apply(&self, change: Change) -> Result<Answer, String> {
        let mut turn = match &self.first_life {
            Some(written) => Some(written.lock().await),
            None => None,
        };
        let mut transaction = self.database.begin().await?;
        let Some(version) = self.database.write(&mut transaction, &change).await? else {
            roll_back(transaction).await?;
            return Ok(rejected("the order does not allow it"));
        };
        if change.is_forbidden().await {
            roll_back(transaction).await?;
            return Ok(rejected("a business rule forbids it"));
        }
        commit(transaction).await?;
        if let Some(written) = &mut turn {
            **written += 1;
            let count = **written;
            if count > WHOLE {
                self.confession.admit("torn", &change.name(version));
                // The last one keeps its turn, so that nothing else is under way at the kill.
                if count < WHOLE + TORN {
                    drop(turn.take());
                }
                return pending().await;
            }
        }
        let mut transaction = self.database.begin().await?;
        let announced = self.database.announce(&mut transaction, &change, version);
        announced.await?;
        commit(transaction).await?;
        Ok(Answer::Committed { version })
    }
}
