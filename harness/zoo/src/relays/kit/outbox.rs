//! The outbox table, as a naive relay uses it: select, then mark or delete.

use super::Entry;
use relays::config::PostgresTarget;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};

/// A session on one outbox.
pub struct Outbox {
    session: PgConnection,
    table: String,
}

/// A row, with its place in the table's sequence.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Its `seq`.
    pub seq: i64,
    /// Its event.
    pub entry: Entry,
}

/// How to log in.
pub fn options(target: &PostgresTarget) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host(&target.host)
        .port(target.port)
        .username(&target.user)
        .password(&target.password)
        .database(&target.database)
        .ssl_mode(PgSslMode::Disable)
        .disable_statement_logging()
}

fn failed(doing: &str) -> impl Fn(sqlx::Error) -> String {
    move |reason| format!("{doing}: {reason}")
}

impl Outbox {
    /// Connects.
    pub async fn connect(target: &PostgresTarget) -> Result<Self, String> {
        let session = options(target)
            .connect()
            .await
            .map_err(failed("connect to PostgreSQL"))?;
        Ok(Self {
            session,
            table: format!("\"{}\".outbox", target.schema),
        })
    }

    /// The first rows by `seq` for which `condition` (SQL) is true.
    pub async fn first(&mut self, condition: &str, limit: u64) -> Result<Vec<Pending>, String> {
        let sql = format!(
            "SELECT seq, id::text, aggregateid, type, version::text, payload FROM {} \
             WHERE {condition} ORDER BY seq LIMIT {limit}",
            self.table
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .fetch_all(&mut self.session)
            .await
            .map_err(failed("select rows of the outbox"))?;
        rows.iter()
            .map(pending)
            .collect::<Result<_, _>>()
            .map_err(failed("read a row of the outbox"))
    }

    /// Gives these rows a status.
    pub async fn mark(&mut self, rows: &[i64], status: &str) -> Result<(), String> {
        let sql = format!("UPDATE {} SET status = $1 WHERE seq = ANY ($2)", self.table);
        sqlx::query(AssertSqlSafe(sql))
            .bind(status)
            .bind(rows)
            .execute(&mut self.session)
            .await
            .map(drop)
            .map_err(failed("mark rows of the outbox"))
    }

    /// Deletes these rows.
    pub async fn delete_rows(&mut self, rows: &[i64]) -> Result<(), String> {
        let sql = format!("DELETE FROM {} WHERE seq = ANY ($1)", self.table);
        sqlx::query(AssertSqlSafe(sql))
            .bind(rows)
            .execute(&mut self.session)
            .await
            .map(drop)
            .map_err(failed("delete rows of the outbox"))
    }

    /// Deletes the rows for which `condition` (SQL) is true; their `seq`.
    pub async fn delete(&mut self, condition: &str) -> Result<Vec<i64>, String> {
        let sql = format!("DELETE FROM {} WHERE {condition} RETURNING seq", self.table);
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(&mut self.session)
            .await
            .map_err(failed("delete rows of the outbox"))
    }
}

fn pending(row: &PgRow) -> Result<Pending, sqlx::Error> {
    Ok(Pending {
        seq: row.try_get(0)?,
        entry: Entry {
            id: row.try_get(1)?,
            key: row.try_get(2)?,
            event_type: row.try_get(3)?,
            version: row.try_get(4)?,
            payload: row.try_get(5)?,
        },
    })
}
