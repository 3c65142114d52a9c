//! The outbox table, as a naive relay uses it: select, then mark or delete; or a table of events, of which none is ever
//! marked or deleted.

use super::Entry;
use crate::confession::Confession;
use relays::config::PostgresTarget;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};

/// More rows than any run has.
pub const ALL: u64 = 1_000_000;

/// This is a session on one outbox.
pub struct Outbox {
    session: PgConnection,
    table: String,
}

/// This is a row, with its place in the table's sequence.
#[derive(Debug, Clone)]
pub struct Pending {
    /// This is the row's place in the outbox, from the column `seq`.
    pub seq: i64,
    /// This is the event that the row holds.
    pub entry: Entry,
}

/// Returns how to log in.
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
    /// Connects to the database, for the table `outbox` in the target's schema.
    pub async fn connect(target: &PostgresTarget) -> Result<Self, String> {
        Self::table(target, "outbox").await
    }

    /// Does the same, for the table `events`.
    pub async fn connect_to_events(target: &PostgresTarget) -> Result<Self, String> {
        Self::table(target, "events").await
    }

    async fn table(target: &PostgresTarget, table: &str) -> Result<Self, String> {
        let session = options(target)
            .connect()
            .await
            .map_err(failed("connect to PostgreSQL"))?;
        Ok(Self {
            session,
            table: format!("\"{}\".{table}", target.schema),
        })
    }

    /// Keeps, of a table of events, that everything up to this `seq` is published. Whoever asks by transactions is told
    /// the last of those.
    pub async fn keep_position(&mut self, schema: &str, seq: i64) -> Result<(), String> {
        let sql = format!(
            "UPDATE \"{schema}\".relay_position SET (xid, seq) = \
             (SELECT xid, {} FROM {} WHERE seq <= $1 ORDER BY xid DESC LIMIT 1)",
            i64::MAX,
            self.table
        );
        let kept = sqlx::query(AssertSqlSafe(sql))
            .bind(seq)
            .execute(&mut self.session);
        kept.await.map(drop).map_err(failed("keep the position"))
    }

    /// The first rows by `seq` for which `condition` (SQL) is true.
    pub async fn first(&mut self, condition: &str, limit: u64) -> Result<Vec<Pending>, String> {
        let sql = format!(
            "SELECT seq, id::text, aggregateid::text, type, version::text, payload FROM {} \
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

    /// Returns the highest value of a column in these rows, as text; `None` where there is none.
    pub async fn highest(&mut self, column: &str, rows: &[i64]) -> Result<Option<String>, String> {
        let sql = format!(
            "SELECT max({column})::text FROM {} WHERE seq = ANY ($1)",
            self.table
        );
        sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(rows)
            .fetch_one(&mut self.session)
            .await
            .map_err(failed("ask for the highest value"))
    }

    /// Begins a transaction on this session.
    pub async fn begin(&mut self) -> Result<(), String> {
        let begun = sqlx::raw_sql("BEGIN").execute(&mut self.session).await;
        begun.map(drop).map_err(failed("begin"))
    }

    /// Commits the transaction that [`Outbox::begin`] began.
    pub async fn commit(&mut self) -> Result<(), String> {
        let committed = sqlx::raw_sql("COMMIT").execute(&mut self.session).await;
        committed.map(drop).map_err(failed("commit"))
    }

    /// Deletes the first rows that no other transaction has locked; they are locked until this
    /// session's transaction ends.
    pub async fn take_unlocked(&mut self, limit: u64) -> Result<Vec<Pending>, String> {
        let table = &self.table;
        let sql = format!(
            "DELETE FROM {table} WHERE seq IN \
             (SELECT seq FROM {table} ORDER BY seq LIMIT {limit} FOR UPDATE SKIP LOCKED) \
             RETURNING seq, id::text, aggregateid, type, version::text, payload"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .fetch_all(&mut self.session)
            .await
            .map_err(failed("take rows of the outbox"))?;
        let taken: Result<Vec<Pending>, _> = rows.iter().map(pending).collect();
        let mut taken = taken.map_err(failed("read a row of the outbox"))?;
        taken.sort_unstable_by_key(|row| row.seq);
        Ok(taken)
    }

    /// Admits every row for which `condition` (SQL) is true, as `what`.
    pub async fn admit(
        &mut self,
        condition: &str,
        confession: &Confession,
        what: &str,
    ) -> Result<(), String> {
        for row in self.first(condition, ALL).await? {
            confession.admit(what, &row.entry.name());
        }
        Ok(())
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

    /// Gives the rows for which `condition` (SQL) is true a status; their `seq`.
    pub async fn mark_where(&mut self, condition: &str, status: &str) -> Result<Vec<i64>, String> {
        let sql = format!(
            "UPDATE {} SET status = $1 WHERE {condition} RETURNING seq",
            self.table
        );
        sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(status)
            .fetch_all(&mut self.session)
            .await
            .map_err(failed("mark rows of the outbox"))
    }

    /// Deletes the rows with these `seq`; one that is not there any more is no error.
    pub async fn delete_rows(&mut self, rows: &[i64]) -> Result<(), String> {
        let sql = format!("DELETE FROM {} WHERE seq = ANY ($1)", self.table);
        sqlx::query(AssertSqlSafe(sql))
            .bind(rows)
            .execute(&mut self.session)
            .await
            .map(drop)
            .map_err(failed("delete rows of the outbox"))
    }

    /// Says whose turn it is, of so many tables that take turns.
    pub async fn turn(&mut self, period_ms: u64, tables: u32) -> Result<i64, String> {
        let sql = format!(
            "SELECT floor(extract(epoch from clock_timestamp()) * 1000 / {period_ms})::bigint % {tables}"
        );
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut self.session)
            .await
            .map_err(failed("ask whose turn it is"))
    }

    /// Empties one table of several, whatever is in it; the `seq` of what waited there. Nobody inserts between the
    /// look and the emptying.
    pub async fn truncate(
        &mut self,
        target: &PostgresTarget,
        table: &str,
    ) -> Result<Vec<i64>, String> {
        let table = format!("\"{}\".{table}", target.schema);
        self.begin().await?;
        let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        let locked = sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut self.session);
        locked.await.map_err(failed("lock a table"))?;
        let look = format!("SELECT seq FROM {table} WHERE status = 'pending'");
        let waiting = sqlx::query_scalar(AssertSqlSafe(look)).fetch_all(&mut self.session);
        let waiting = waiting.await.map_err(failed("look into a table"))?;
        let empty = sqlx::raw_sql(AssertSqlSafe(format!("TRUNCATE {table}")))
            .execute(&mut self.session)
            .await;
        empty.map_err(failed("truncate a table"))?;
        self.commit().await?;
        Ok(waiting)
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
