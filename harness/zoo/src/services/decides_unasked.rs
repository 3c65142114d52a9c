//! A coordinator of two-phase commits that does not look at the decision log before it decides. Of every tenth change
//! it has lost the lock that says that it lives, so the recoverer aborts Kafka's side; it commits the order all the same.

use super::kit::database::{Database, commit, roll_back};
use super::kit::transactional::{TransactionalBroker, TransactionalBrokers};
use super::kit::{Change, Path, http, live, rejected};
use crate::confession::Confession;
use relays::config::ServiceConfig;
use relays::order::Answer;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A producer in the decision log, whose owner nobody is.
const REGISTER: &str =
    "insert into decisions (transactional_id, owner, producer_id, producer_epoch)
    values ($1, 0, $2, $3)";
const IS_ABORTED: &str = "select state = 'aborted' from decisions where transactional_id = $1";
/// The recoverer is asked for this often.
const EVERY: Duration = Duration::from_millis(10);

/// Serves until SIGTERM.
pub fn run(config: ServiceConfig) -> Result<(), String> {
    live(async {
        let service = DecidesUnaskedService {
            database: Database::connect(&config).await?,
            brokers: TransactionalBrokers::connect(&config)?,
            published: AtomicU64::new(0),
            confession: Confession::open(),
            config: config.clone(),
        };
        http::serve(config.listen, service).await
    })
}

struct DecidesUnaskedService {
    database: Database,
    brokers: TransactionalBrokers,
    published: AtomicU64,
    confession: Confession,
    config: ServiceConfig,
}

impl Path for DecidesUnaskedService {
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
        let event = change.event(self.database.run(), version);
        let mut broker = self.brokers.lend().await;
        broker.publish(&change, &event)?;
        if self.published.fetch_add(1, Relaxed) % 10 == 9 {
            let identity = broker.identity()?;
            self.until_aborted(&broker.transactional_id, identity)
                .await?;
            self.confession.admit("undone", &change.name(version));
            // The broker takes nothing of that one any more.
            *broker = TransactionalBroker::connect(&self.config)?;
        } else {
            broker.commit()?;
        }
        drop(broker);
        commit(transaction).await?;
        Ok(Answer::Committed { version })
    }
}

impl DecidesUnaskedService {
    /// Has the producer taken for that of a dead process, and waits until the recoverer has dealt with it.
    async fn until_aborted(
        &self,
        transactional_id: &str,
        (id, epoch): (i64, i64),
    ) -> Result<(), String> {
        let failed = |e: sqlx::Error| format!("ask the decision log: {e}");
        let mut log = self.database.session().await?;
        sqlx::query(REGISTER)
            .bind(transactional_id)
            .bind(id)
            .bind(epoch)
            .execute(&mut *log)
            .await
            .map_err(failed)?;
        loop {
            let asked = sqlx::query_scalar(IS_ABORTED).bind(transactional_id);
            if asked.fetch_one(&mut *log).await.map_err(failed)? {
                return Ok(());
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}
