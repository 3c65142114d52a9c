//! The two writes of a change, as a service without much care has them: the order, and the outbox
//! row that announces it.

use super::Change;
use crate::relays::kit::outbox::options;
use relays::config::ServiceConfig;
use relays::order::{ChangeType, OrderState};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgPoolOptions};
use sqlx::query::{Query, QueryScalar};
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

// Parameters: $1 order, $2 attempt, $3 change, $4 state afterwards, $5 state required.
const PLACE: &str = "insert into orders (id, attempts, changes, state)
    values ($1, array[$2], array[$3], $4) on conflict (id) do nothing returning version";
const TRANSITION: &str = "update orders
    set attempts = attempts || $2, changes = changes || $3, state = coalesce($4, state)
    where id = $1 and ($5::text is null or state = $5) and $3 <> all (changes)
    returning version";
/// This statement writes without a look at the order's state or at the changes that it went through.
const UPSERT: &str = "insert into orders as o (id, attempts, changes, state)
    values ($1, array[$2], array[$3], coalesce($4, 'placed'))
    on conflict (id) do update
    set attempts = o.attempts || $2, changes = o.changes || $3, state = coalesce($4, o.state)
    returning version";
const ANNOUNCE: &str = "insert into outbox (id, aggregatetype, aggregateid, type, version, payload)
    values ($1, 'Order', $2, $3, $4, $5)";

/// The same, where the outbox holds a row an order: what is there already announces it.
const ANNOUNCE_ONCE: &str = "insert into outbox
    (id, aggregatetype, aggregateid, type, version, payload, seq) overriding system value
    values ($1, 'Order', $2, $3, $4, $5, $6) on conflict do nothing";

/// Sessions, and the run whose events are written.
pub struct Database {
    pool: PgPool,
    run: String,
}

impl Database {
    /// Opens a pool of at most `postgres_connections` sessions whose `search_path` is the strategy's schema.
    pub async fn connect(config: &ServiceConfig) -> Result<Self, String> {
        let schema = format!("\"{}\"", config.database.postgres()?.schema);
        let options =
            options(config.database.postgres()?).options([("search_path", schema.as_str())]);
        let pool = PgPoolOptions::new()
            .max_connections(config.database_connections as u32)
            .connect_with(options)
            .await
            .map_err(failed("connect to PostgreSQL"))?;
        let run = config.run.clone();
        Ok(Self { pool, run })
    }

    /// The run whose events are written.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Takes a session of the pool, on which each statement is a transaction; an error says why there is none.
    pub async fn session(&self) -> Result<PoolConnection<Postgres>, String> {
        self.pool.acquire().await.map_err(failed("take a session"))
    }

    /// Opens a transaction on a session of the pool; an error says why that failed.
    pub async fn begin(&self) -> Result<Transaction<'static, Postgres>, String> {
        self.pool.begin().await.map_err(failed("begin"))
    }

    /// Writes the order; its new version, or nothing where its state or a repetition forbids it.
    pub async fn write(
        &self,
        to: &mut PgConnection,
        change: &Change,
    ) -> Result<Option<u32>, String> {
        let query = match change.kind {
            ChangeType::Placed => of(PLACE, change),
            kind => of(TRANSITION, change).bind(kind.required_state().map(OrderState::name)),
        };
        let version = query.fetch_optional(to).await.map_err(failed(WRITE))?;
        Ok(version.map(i32::cast_unsigned))
    }

    /// Returns the version of an order; `None` where there is no such order.
    pub async fn version(&self, order: Uuid) -> Result<Option<u32>, String> {
        let query = sqlx::query_scalar("select version from orders where id = $1").bind(order);
        let version: Option<i32> = query
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read an order's version"))?;
        Ok(version.map(i32::cast_unsigned))
    }

    /// Writes the order whatever was written before; its new version.
    pub async fn write_again(&self, to: &mut PgConnection, change: &Change) -> Result<u32, String> {
        let version = of(UPSERT, change).fetch_one(to).await;
        version.map(i32::cast_unsigned).map_err(failed(WRITE))
    }

    /// Writes the outbox row.
    pub async fn announce(
        &self,
        to: &mut PgConnection,
        change: &Change,
        version: u32,
    ) -> Result<(), String> {
        let query = self.row(ANNOUNCE, change, version);
        let done = query.execute(to).await;
        done.map(drop).map_err(failed("write the outbox row"))
    }

    /// Writes the outbox row if the order has none there; says whether it did.
    pub async fn announce_once(
        &self,
        to: &mut PgConnection,
        change: &Change,
        version: u32,
    ) -> Result<bool, String> {
        // The first half of an order's id is its own.
        let seq = (change.order.as_u64_pair().0 >> 1).cast_signed();
        let query = self.row(ANNOUNCE_ONCE, change, version).bind(seq);
        let done = query.execute(to).await;
        let done = done.map_err(failed("write the outbox row"))?;
        Ok(done.rows_affected() > 0)
    }

    /// Returns `sql` with the first five parameters of an outbox row bound.
    fn row(
        &self,
        sql: &'static str,
        change: &Change,
        version: u32,
    ) -> Query<'static, Postgres, PgArguments> {
        sqlx::query(sql)
            .bind(Uuid::now_v7())
            .bind(change.order.to_string())
            .bind(change.kind.event_type())
            .bind(version.cast_signed())
            .bind(change.event(&self.run, version))
    }
}

const WRITE: &str = "write an order";

/// Returns `sql` with the first four parameters of a change bound.
fn of(sql: &'static str, change: &Change) -> QueryScalar<'static, Postgres, i32, PgArguments> {
    sqlx::query_scalar(sql)
        .bind(change.order)
        .bind(change.request.attempt)
        .bind(change.request.change_id)
        .bind(change.kind.next_state().map(OrderState::name))
}

/// Commits the transaction; an error says that it was the commit that failed, and why.
pub async fn commit(transaction: Transaction<'static, Postgres>) -> Result<(), String> {
    transaction.commit().await.map_err(failed("commit"))
}

/// Rolls the transaction back; an error says that it was the rollback that failed, and why.
pub async fn roll_back(transaction: Transaction<'static, Postgres>) -> Result<(), String> {
    transaction.rollback().await.map_err(failed("roll back"))
}

fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> String {
    move |reason| format!("{doing}: {reason}")
}
