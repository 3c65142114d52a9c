//! Keeping an outbox small: what the relay that leads does between two claims, on the session of its claims.
//!
//! On that session, and not beside it: no claim is open then, so the relay is in its own way with no lock; and only
//! who leads keeps house. While the broker is away a claim is open and nothing is done.
//!
//! Why no row is removed that was not published. A purge deletes marked rows alone, and a mark is committed when the
//! event is durable. A table of several is emptied as a whole, whatever its age, only if every row in it is marked, and
//! this is asked under a lock that no writer holds at the same time (ACCESS EXCLUSIVE): a transaction that inserted into it
//! and has not committed keeps its own lock until it ends, so the relay does not get there, and tries again later. The
//! question is a statement of its own after the lock, in a transaction that reads what is committed by then. One
//! that was asked before the lock, or with an older snapshot, would not see the row that such a transaction commits.
//!
//! How long writers wait. To truncate takes the lock of a table whose time is over, into which nobody inserts any more; or
//! that of the rest, into which they do where the relay has made no partition. To drop a partition takes the lock of the
//! whole outbox, for which others queue. So the relay waits for each for [`LOCK_WAIT_MS`] at most. To attach a partition
//! takes the lock of the rest, and holds it while the server reads the rest, all of it: who writes into the rest waits for
//! longer, the more is in it, up to the time that a statement may take. (A check of the rest that is validated before, without that
//! lock, would spare them; but a relay that dies before it is taken away again leaves a table that refuses orders.)
//! It asks for no lock to truncate or drop a table before it has seen, without one, that nothing waits in it. A statement with its locks
//! is one message: a relay that is stopped in the middle leaves none behind.

use super::session::{STATEMENT_TIMEOUT, bounded};
use crate::config::Housekeeping;
use crate::postgres::schema::by_turns::{REST, VACUUMED, number_of, period_now, table_of};
use crate::postgres::schema::quote_identifier;
use crate::source::SourceError;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use std::time::Duration;
use tokio::time::Instant;

/// A writer waits no longer than so for the relay's wait for a lock.
const LOCK_WAIT_MS: u64 = 50;
/// A purge deletes so many rows at a time, few enough that publishing does not wait for long.
const PURGE_MAX: u64 = 5_000;
/// So many tables are looked at, and so many of them emptied, at a time.
const LOOKED_AT_MAX: usize = 16;
const EMPTIED_MAX: usize = 4;
/// Partitions are made for so long ahead, and for the next two in any case.
const AHEAD_MS: u64 = 10_000;
const AHEAD_MIN: u64 = 2;
/// None is made for the period that is going on, nor for the next one: see [`Housekeeper::make_partition`].
const NOT_SOONER: i64 = 2;
/// One is given up if its time begins sooner than this.
const SPARE_MS: u64 = 500;
/// The shortest and the longest time between two looks at the tables.
const LOOK_MIN: Duration = Duration::from_millis(100);
const LOOK_MAX: Duration = Duration::from_secs(10);
/// Answers after which it is tried again the next time, and nothing is wrong: the lock is another's, or it is too late; rows
/// are in the rest that belong into the new partition; another relay has made the table meanwhile, or dropped it.
const LATER: [&str; 4] = ["55P03", "23514", "42P07", "42P01"];

/// Which tables are emptied.
#[derive(Debug, Clone, Copy)]
enum Filled {
    /// Those that have anything in them.
    Only,
    /// Those that have nothing in them as well: a partition that is over goes.
    OrNot,
}

/// Keeps the outbox of one schema small.
pub(super) struct Housekeeper {
    housekeeping: Housekeeping,
    /// Quoted, as all statements name it.
    schema: String,
    /// Not before this.
    due: Instant,
}

impl Housekeeper {
    /// Returns one for the outbox of a schema, which is due at once.
    pub fn new(housekeeping: Housekeeping, schema: &str) -> Self {
        Self {
            housekeeping,
            schema: quote_identifier(schema),
            due: Instant::now(),
        }
    }

    /// Whether the outbox is of several tables.
    pub fn has_tables(&self) -> bool {
        self.housekeeping.has_tables()
    }

    /// Whether there is something to do by now.
    pub fn is_due(&self) -> bool {
        self.housekeeping != Housekeeping::None && Instant::now() >= self.due
    }

    /// Returns up to which `seq` there are rows that a session before this one has published and a purge may find; 0 where
    /// nothing is purged. What is above the first row that waits, this session finds with its own claims.
    pub async fn claimed_before(&self, connection: &mut PgConnection) -> Result<i64, SourceError> {
        let Housekeeping::Purge { .. } = self.housekeeping else {
            return Ok(0);
        };
        let outbox = format!("{}.outbox", self.schema);
        let sql = format!(
            "SELECT coalesce((SELECT min(seq) FROM {outbox} WHERE status = 'pending') - 1, \
             (SELECT max(seq) FROM {outbox}), 0)"
        );
        let query = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection);
        bounded("look for rows that were published before", query).await
    }

    /// Does what is due, on a session without an open transaction. Rows up to `claimed` have been claimed by it; none
    /// above is looked at by a purge. What the server refuses is tried again the next time; an error is one of the session.
    pub async fn keep(
        &mut self,
        connection: &mut PgConnection,
        claimed: i64,
    ) -> Result<(), SourceError> {
        let pause = match self.housekeeping {
            Housekeeping::None => return Ok(()),
            Housekeeping::Purge { every_ms } => Duration::from_millis(every_ms),
            Housekeeping::Partitions { period_ms } | Housekeeping::Rotate { period_ms, .. } => {
                look_every(period_ms)
            }
        };
        // Before the work: what takes too long ends the session, and the next one is to publish first.
        let began = Instant::now();
        self.due = began + pause;
        match self.housekeeping {
            Housekeeping::None => {}
            Housekeeping::Purge { .. } => {
                if self.purge(connection, claimed).await? {
                    self.due = began;
                }
            }
            Housekeeping::Partitions { period_ms } => {
                self.drop_partitions(connection, period_ms).await?;
            }
            Housekeeping::Rotate { period_ms, tables } => {
                self.truncate_tables(connection, period_ms, tables).await?;
            }
        }
        Ok(())
    }

    /// Deletes marked rows; says whether there may be more.
    async fn purge(
        &self,
        connection: &mut PgConnection,
        claimed: i64,
    ) -> Result<bool, SourceError> {
        let outbox = format!("{}.outbox", self.schema);
        let sql = format!(
            "DELETE FROM {outbox} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {outbox} \
             WHERE seq <= {claimed} AND status = 'processed' ORDER BY seq LIMIT {PURGE_MAX}))"
        );
        let deleted = attempt(connection, "purge the outbox of published rows", &sql).await?;
        Ok(deleted == Some(PURGE_MAX))
    }

    /// Drops what is over and published, then makes partitions ahead. The rest is emptied first: its rows would keep a
    /// partition from being made. What the server refuses ends the round, so that writers wait for one lock of each kind.
    async fn drop_partitions(
        &self,
        connection: &mut PgConnection,
        period_ms: u64,
    ) -> Result<(), SourceError> {
        let (now, partitions) = self.partitions(connection, period_ms).await?;
        let over = partitions.iter().filter(|number| **number < now);
        let over: Vec<String> = over.map(|number| table_of(*number)).collect();
        let rest = self
            .published(connection, &[REST.to_owned()], Filled::Only)
            .await?;
        for table in rest {
            self.truncate(connection, &table).await?;
        }
        for table in self.published(connection, &over, Filled::OrNot).await? {
            if !self.drop_partition(connection, &table).await? {
                break;
            }
        }
        let ahead = AHEAD_MS.div_ceil(period_ms.max(1)).max(AHEAD_MIN) as i64;
        let first = now.saturating_add(NOT_SOONER);
        let most = match self.has_rest(connection).await? {
            true => 1,
            false => ahead as usize,
        };
        let lacking = (first..first.saturating_add(ahead)).filter(|n| !partitions.contains(n));
        for number in lacking.take(most) {
            if !self.make_partition(connection, number, period_ms).await? {
                break;
            }
        }
        Ok(())
    }

    /// Whether the rest has anything in it. The server reads all of it for each partition that is attached, while who
    /// writes into it waits; so there is one a round then, and a round takes half a period.
    async fn has_rest(&self, connection: &mut PgConnection) -> Result<bool, SourceError> {
        let rest = format!("{}.{REST}", self.schema).replace('\'', "''");
        let sql = format!("SELECT pg_relation_size('{rest}') > 0");
        let query = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection);
        bounded("look whether the rest has rows", query).await
    }

    /// Returns the number of the partition of now, and those that there are, the oldest first.
    async fn partitions(
        &self,
        connection: &mut PgConnection,
        period_ms: u64,
    ) -> Result<(i64, Vec<i64>), SourceError> {
        let sql = format!(
            "SELECT {}, coalesce(array_agg(c.relname::text), '{{}}') \
             FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
             WHERE i.inhparent = '{}.outbox'::regclass",
            period_now(period_ms),
            self.schema.replace('\'', "''")
        );
        let query = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(connection);
        let (now, names): (i64, Vec<String>) =
            bounded("list the outbox's partitions", query).await?;
        let mut numbers: Vec<i64> = names.iter().filter_map(|name| number_of(name)).collect();
        numbers.sort_unstable();
        Ok((now, numbers))
    }

    /// Returns those of the tables in which nothing waits; so many as are emptied at a time.
    async fn published(
        &self,
        connection: &mut PgConnection,
        tables: &[String],
        filled: Filled,
    ) -> Result<Vec<String>, SourceError> {
        if tables.is_empty() {
            return Ok(Vec::new());
        }
        let schema = &self.schema;
        let questions = tables.iter().take(LOOKED_AT_MAX).map(|table| {
            let filled = match filled {
                Filled::Only => {
                    let name = format!("{schema}.{table}").replace('\'', "''");
                    format!("AND pg_relation_size('{name}') > 0")
                }
                Filled::OrNot => String::new(),
            };
            format!(
                "SELECT '{table}'::text WHERE NOT EXISTS \
                 (SELECT FROM {schema}.{table} WHERE status <> 'processed') {filled}"
            )
        });
        let sql = questions.collect::<Vec<_>>().join(" UNION ALL ");
        let query = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection);
        let mut found: Vec<String> = bounded("look for tables without waiting rows", query).await?;
        found.truncate(EMPTIED_MAX);
        Ok(found)
    }

    /// Truncates the tables whose turn is over, if all in them is published.
    async fn truncate_tables(
        &self,
        connection: &mut PgConnection,
        period_ms: u64,
        tables: u32,
    ) -> Result<(), SourceError> {
        let turn = format!("SELECT {} % {}", period_now(period_ms), tables.max(1));
        let query = sqlx::query_scalar(AssertSqlSafe(turn)).fetch_one(&mut *connection);
        let turn: i64 = bounded("ask whose turn it is", query).await?;
        let over = (0..i64::from(tables)).filter(|number| *number != turn);
        let over: Vec<String> = over.map(table_of).collect();
        for table in self.published(connection, &over, Filled::Only).await? {
            self.truncate(connection, &table).await?;
        }
        Ok(())
    }

    /// Empties a table, unless something waits in it, or is not committed yet.
    async fn truncate(
        &self,
        connection: &mut PgConnection,
        table: &str,
    ) -> Result<(), SourceError> {
        let table = format!("{}.{table}", self.schema);
        let sql = under_locks(
            &format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;"),
            &table,
            &format!("TRUNCATE {table}"),
        );
        let doing = format!("empty {table} of published rows");
        attempt(connection, &doing, &sql).await.map(drop)
    }

    /// Drops a partition, unless something waits in it, or is not committed yet. Whoever inserts holds a lock of the
    /// outbox as a whole, so under this one nobody is under way. Says whether the server did it, or found that something waits.
    async fn drop_partition(
        &self,
        connection: &mut PgConnection,
        partition: &str,
    ) -> Result<bool, SourceError> {
        let schema = &self.schema;
        let table = format!("{schema}.{partition}");
        let sql = under_locks(
            &format!(
                "LOCK TABLE ONLY {schema}.outbox IN ACCESS EXCLUSIVE MODE; \
                 LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE NOWAIT;"
            ),
            &table,
            &format!("DROP TABLE {table}"),
        );
        let doing = format!("drop the published partition {table}");
        let done = attempt(connection, &doing, &sql).await?;
        Ok(done.is_some())
    }

    /// Makes the partition of this number, of a time that is still to come. To attach one that is ready takes no lock that
    /// writers wait for, but for that of the rest, which the server reads meanwhile. Who waits for that with a row that
    /// belongs into the new partition is refused by the server afterwards, so it is not made while there can be such a row.
    async fn make_partition(
        &self,
        connection: &mut PgConnection,
        number: i64,
        period_ms: u64,
    ) -> Result<bool, SourceError> {
        let schema = &self.schema;
        let table = format!("{schema}.{}", table_of(number));
        let bound = |number: i64| {
            let since_1970_ms = number.saturating_mul(period_ms as i64);
            format!("to_timestamp({since_1970_ms} / 1000.0)")
        };
        let too_late = format!(
            "clock_timestamp() > {} - interval '{SPARE_MS} milliseconds'",
            bound(number)
        );
        let sql = format!(
            "DO $$ BEGIN {}; \
             CREATE TABLE {table} (LIKE {schema}.outbox) WITH ({VACUUMED}); \
             ALTER TABLE {schema}.outbox ATTACH PARTITION {table} FOR VALUES FROM ({}) TO ({}); \
             IF {too_late} THEN RAISE lock_not_available; END IF; \
             END $$",
            lock_wait(),
            bound(number),
            bound(number.saturating_add(1)),
        );
        let doing = format!("make the partition {table}");
        let done = attempt(connection, &doing, &sql).await?;
        Ok(done.is_some())
    }
}

/// Half a period, within bounds: a table is emptied soon after its time is over.
fn look_every(period_ms: u64) -> Duration {
    Duration::from_millis(period_ms / 2).clamp(LOOK_MIN, LOOK_MAX)
}

/// The statement, of a block, that bounds the block's waits for locks.
fn lock_wait() -> String {
    format!("PERFORM set_config('lock_timeout', '{LOCK_WAIT_MS}ms', true)")
}

/// Returns a statement that takes locks and then, if no row of `table` waits, does something. See the module.
fn under_locks(locks: &str, table: &str, then: &str) -> String {
    format!(
        "DO $$ BEGIN {}; {locks} \
         IF NOT EXISTS (SELECT FROM {table} WHERE status <> 'processed') THEN {then}; END IF; \
         END $$",
        lock_wait()
    )
}

/// Runs a statement, bounded in time, and returns how many rows it concerned; `None` if the server refused it, which is
/// said if it is more than a matter of time. An error says that the session is of no more use.
async fn attempt(
    connection: &mut PgConnection,
    doing: &str,
    sql: &str,
) -> Result<Option<u64>, SourceError> {
    let statement = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection);
    match tokio::time::timeout(STATEMENT_TIMEOUT, statement).await {
        Ok(Ok(done)) => Ok(Some(done.rows_affected())),
        Ok(Err(sqlx::Error::Database(error))) => {
            match error.code().is_some_and(|code| LATER.contains(&&*code)) {
                true => tracing::debug!("cannot {doing} now: {error}"),
                false => tracing::warn!("cannot {doing}, publishing goes on: {error}"),
            }
            Ok(None)
        }
        Ok(Err(error)) => Err(SourceError::new(doing, error)),
        Err(_) => Err(SourceError::new(
            doing,
            format!("no answer within {STATEMENT_TIMEOUT:?}"),
        )),
    }
}
