//! Announces a change behind a savepoint, together with a figure for the statistics. Every fiftieth of
//! those fails; the service rolls back to the savepoint, the outbox row with it, and commits.

use super::kit::database::{Database, commit, roll_back};
use super::kit::{Change, Path, http, live, rejected};
use crate::confession::Confession;
use relays::config::ServiceConfig;
use relays::order::Answer;
use sqlx::postgres::PgConnection;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// This computes a figure for the statistics: now and then it is a share of nothing, and fails.
const COUNT: &str = "select 1 / (case when $1 then 1 else 0 end)";

/// Serves until SIGTERM; every fiftieth change is committed without its outbox row, which was behind a savepoint.
pub fn run(config: ServiceConfig) -> Result<(), String> {
    live(async {
        let service = SavepointService {
            database: Database::connect(&config).await?,
            confession: Confession::open(),
            written: AtomicU64::new(0),
        };
        http::serve(config.listen, service).await
    })
}

struct SavepointService {
    database: Database,
    confession: Confession,
    written: AtomicU64,
}

impl Path for SavepointService {
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
        let fails = self.written.fetch_add(1, Relaxed) % 50 == 49;
        say(&mut transaction, "savepoint announcing").await?;
        let announced = self.database.announce(&mut transaction, &change, version);
        announced.await?;
        let counted = sqlx::query(COUNT).bind(!fails);
        if counted.execute(&mut *transaction).await.is_err() {
            // Statistics are not worth a lost order.
            say(&mut transaction, "rollback to savepoint announcing").await?;
            self.confession.admit("unannounced", &change.name(version));
        }
        commit(transaction).await?;
        Ok(Answer::Committed { version })
    }
}

async fn say(to: &mut PgConnection, statement: &'static str) -> Result<(), String> {
    let done = sqlx::raw_sql(statement).execute(to).await;
    done.map(drop).map_err(|e| format!("{statement}: {e}"))
}
