//! The outbox, claimed with SQL.
//!
//! A claim deletes (or marks) the first rows by `seq` in a transaction that is committed only when
//! their events are durable: a relay that dies in between leaves the rows as they were.
//!
//! Why this keeps the order of each key. An order's events get their `seq` under the lock of the
//! order's row, which is held until the commit: a snapshot that shows an event shows all earlier
//! ones of its order. A claim takes a prefix by `seq` of one snapshot. And there is one claimant:
//! SKIP LOCKED would let a second one take an order's later event while the first still holds an
//! earlier one, so the relays of a schema elect a leader with an advisory lock.
//!
//! Why each claim starts at the lowest `seq` that is there, and not where the last one ended.
//! Sequence numbers are drawn before the commit: a transaction that takes its time commits a lower
//! `seq` than some that were published. A low-water mark in the claim skips it; and with a full
//! look-up only now and then, a later event of the same order overtakes it meanwhile. What starting
//! from the front costs, passing the index entries of deleted rows, the scan pays once: it marks
//! them dead as it goes, and vacuum removes them.

use super::session::{bounded, connect, connect_plain, options, place, quoted};
use super::{Event, Held, Source, SourceError};
use crate::config::{AfterPublish, PostgresTarget};
use crate::trace::Stage;
use futures::TryStreamExt;
use sqlx::postgres::{PgConnection, PgListener, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, Row};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Bytes of payload that a claim should not exceed by much.
const CLAIM_BYTES: usize = 8 << 20;
/// Rows of the first claim of a session: enough to learn how large they are.
const FIRST_CLAIM: u32 = 256;
/// How long one call of `connect` waits for another relay to give up leadership.
const LEADER_WAIT: Duration = Duration::from_secs(4);
/// Between two attempts to become the leader.
const LEADER_RETRY: Duration = Duration::from_millis(50);
/// Longest time that `next` sleeps.
const PATIENCE: Duration = Duration::from_millis(100);
/// Between two attempts to listen again.
const LISTEN_RETRY: Duration = Duration::from_millis(500);
/// Payloads that [`pending_payloads`] reads at most.
const PENDING_MAX: u32 = 2_000_000;

// Columns of a claim's answer.
const SEQ: usize = 0;
const ID: usize = 1;
const AGGREGATE_ID: usize = 2;
const TYPE: usize = 3;
const VERSION: usize = 4;
const PAYLOAD: usize = 5;

/// A claimed row, as the server sent it: text, never copied.
pub struct ClaimedRow(PgRow);

impl ClaimedRow {
    fn text(&self, column: usize) -> Result<&str, SourceError> {
        let wrong = |reason: &dyn std::fmt::Display| {
            SourceError::new(
                "read a claimed row of the outbox",
                format!("column {column}: {reason}"),
            )
        };
        let value = self.0.try_get_raw(column).map_err(|e| wrong(&e))?;
        value.as_str().map_err(|e| wrong(&e))
    }

    fn seq(&self) -> Result<i64, SourceError> {
        let text = self.text(SEQ)?;
        text.parse().map_err(|e| {
            SourceError::new("read a claimed row of the outbox", format!("{e}: {text:?}"))
        })
    }
}

impl Held for ClaimedRow {
    fn event(&self) -> Result<Event<'_>, SourceError> {
        Ok(Event {
            key: self.text(AGGREGATE_ID)?,
            id: self.text(ID)?,
            event_type: self.text(TYPE)?,
            version: self.text(VERSION)?,
            payload: self.text(PAYLOAD)?,
        })
    }

    fn taken_as(&self) -> Option<(Stage, u64)> {
        let seq = self.seq().ok()?;
        Some((Stage::Claimed, seq.cast_unsigned()))
    }
}

/// The session that holds the leadership, and the state of its transaction.
struct Leader {
    connection: PgConnection,
    /// Events taken before the open transaction, since the count began.
    before: u64,
    /// Rows that the open transaction has claimed; `None` without a transaction.
    claimed: Option<u64>,
    /// All of them are durable: the next statement commits.
    durable: bool,
    /// Rows the next claim asks for.
    limit: u32,
    /// The statements of the next claim, without and with a commit before them.
    claim: (String, String),
}

impl Leader {
    fn set_limit(&mut self, limit: u32) {
        if limit != self.limit {
            self.limit = limit;
            self.claim = claim_statements(limit);
        }
    }
}

/// Both in one message: a round trip a batch.
fn claim_statements(limit: u32) -> (String, String) {
    let claim = format!("BEGIN; EXECUTE outbox_claim({limit})");
    let with_commit = format!("COMMIT; {claim}");
    (claim, with_commit)
}

/// A task that waits for notifications, and ends with this.
struct Hints {
    arrived: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for Hints {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Claims rows of one schema's outbox.
pub struct PollingSource {
    target: PostgresTarget,
    after_publish: AfterPublish,
    interval: Duration,
    batch: u32,
    notify: bool,
    hints: Option<Hints>,
    leader: Option<Leader>,
    /// Rows of all claims whose commit was answered.
    settled: u64,
    /// Nothing was there: not before this.
    next_poll: Instant,
    rows: Vec<(i64, ClaimedRow)>,
}

impl PollingSource {
    /// For this outbox; connects later. With `notify` it also listens on the channel named as the
    /// schema: a notification ends a pause early, and nothing depends on it.
    pub fn new(
        target: PostgresTarget,
        after_publish: AfterPublish,
        interval: Duration,
        batch: u32,
        notify: bool,
    ) -> Self {
        Self {
            target,
            after_publish,
            interval,
            batch: batch.max(1),
            notify,
            hints: None,
            leader: None,
            settled: 0,
            next_poll: Instant::now(),
            rows: Vec::new(),
        }
    }

    fn outbox(&self) -> String {
        format!(
            "outbox of schema {} at {}",
            self.target.schema,
            place(&self.target)
        )
    }

    /// A plan made once, whatever the table's statistics were at that moment: the plan is to walk
    /// the index in order and stop early, and with sorting and sequential scans out of the way
    /// there is no other.
    fn preparation(&self) -> String {
        let outbox = format!("{}.outbox", quoted(&self.target.schema));
        let first = |condition: &str| {
            format!(
                "ctid = ANY (ARRAY(SELECT ctid FROM {outbox} {condition} ORDER BY seq LIMIT $1 \
                 FOR UPDATE SKIP LOCKED)) RETURNING seq, id, aggregateid, type, version, payload"
            )
        };
        let claim = match self.after_publish {
            AfterPublish::Delete => format!("DELETE FROM {outbox} WHERE {}", first("")),
            AfterPublish::Mark => format!(
                "UPDATE {outbox} SET status = 'processed' WHERE {}",
                first("WHERE status = 'pending'")
            ),
        };
        format!(
            "SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off; \
             SET plan_cache_mode = force_generic_plan; PREPARE outbox_claim(bigint) AS {claim}"
        )
    }

    /// Waits, within a bound, until no other relay leads.
    async fn lead(&self, connection: &mut PgConnection) -> Result<(), SourceError> {
        let deadline = Instant::now() + LEADER_WAIT;
        let name = format!("outbox-relay of schema {}", self.target.schema);
        loop {
            let doing = "ask for the relay leadership";
            let attempt =
                sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))")
                    .bind(&name)
                    .fetch_one(&mut *connection);
            let leading: bool = bounded(doing, attempt).await?;
            if leading {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(SourceError::new(
                    format!("lead the relays of the {}", self.outbox()),
                    "another relay does; it must end first (see pg_locks, locktype advisory)",
                ));
            }
            tokio::time::sleep(LEADER_RETRY).await;
        }
    }

    fn listen(&mut self) {
        if !self.notify || self.hints.is_some() {
            return;
        }
        let arrived = Arc::new(Notify::new());
        let task = tokio::spawn(pass_on_notifications(
            self.target.clone(),
            Arc::clone(&arrived),
        ));
        self.hints = Some(Hints { arrived, task });
    }

    /// Sleeps until the next poll is due or a hint arrives, and says whether one of them is; or
    /// until it has been long enough.
    async fn rest(&self) -> bool {
        let now = Instant::now();
        if now >= self.next_poll {
            return true;
        }
        let until = self.next_poll.min(now + PATIENCE);
        let hinted = match &self.hints {
            None => {
                tokio::time::sleep_until(until).await;
                false
            }
            Some(hints) => tokio::time::timeout_at(until, hints.arrived.notified())
                .await
                .is_ok(),
        };
        hinted || Instant::now() >= self.next_poll
    }

    /// Claims the next rows into `self.rows`, after the commit that is due.
    async fn claim(&mut self) -> Result<(), SourceError> {
        let doing = "claim rows of the outbox";
        let Some(leader) = &mut self.leader else {
            return Err(SourceError::new(doing, "not connected"));
        };
        let sql = match leader.claimed {
            None => &leader.claim.0,
            Some(_) if leader.durable => &leader.claim.1,
            Some(_) => {
                return Err(SourceError::new(doing, "the last claim is not settled"));
            }
        };
        self.rows.clear();
        let rows = &mut self.rows;
        let mut bytes = 0;
        let connection = &mut leader.connection;
        let claim = async {
            // The text is fixed but for a number.
            let mut answers = sqlx::raw_sql(AssertSqlSafe(sql.as_str())).fetch(connection);
            while let Some(row) = answers.try_next().await? {
                rows.push((0, ClaimedRow(row)));
            }
            Ok(())
        };
        bounded(doing, claim).await?;
        for (seq, row) in rows.iter_mut() {
            *seq = row.seq()?;
            bytes += row.text(PAYLOAD)?.len();
        }
        // RETURNING follows the heap; the order is by seq.
        rows.sort_unstable_by_key(|(seq, _)| *seq);
        let committed = leader.claimed.unwrap_or(0);
        leader.before += committed;
        self.settled += committed;
        leader.claimed = Some(rows.len() as u64);
        leader.durable = false;
        if !rows.is_empty() {
            let affordable = CLAIM_BYTES / (bytes / rows.len()).max(1);
            let doubled = leader.limit.saturating_mul(2).min(self.batch);
            leader.set_limit(doubled.min(affordable.max(1) as u32));
        }
        Ok(())
    }

    /// Ends the open transaction: commits it if its events are durable.
    async fn end_transaction(&mut self) -> Result<(), SourceError> {
        let Some(leader) = &mut self.leader else {
            return Ok(());
        };
        let Some(claimed) = leader.claimed else {
            return Ok(());
        };
        let commits = leader.durable || claimed == 0;
        let end = if commits { "COMMIT" } else { "ROLLBACK" };
        let run = sqlx::raw_sql(end).execute(&mut leader.connection);
        bounded("end the claim's transaction", run).await?;
        leader.before += claimed;
        self.settled += if commits { claimed } else { 0 };
        leader.claimed = None;
        leader.durable = false;
        Ok(())
    }
}

impl Source for PollingSource {
    type Item = ClaimedRow;

    async fn connect(&mut self) -> Result<(), SourceError> {
        self.listen();
        if let Some(leader) = &mut self.leader {
            let alive = sqlx::raw_sql("SELECT 1").execute(&mut leader.connection);
            if bounded("ask whether the session is alive", alive)
                .await
                .is_ok()
            {
                return Ok(());
            }
            self.leader = None;
        }
        let mut connection = connect(&self.target).await?;
        self.lead(&mut connection).await?;
        let preparation = self.preparation();
        let prepare = sqlx::raw_sql(AssertSqlSafe(preparation.as_str())).execute(&mut connection);
        bounded(
            &format!("prepare to claim from the {}", self.outbox()),
            prepare,
        )
        .await?;
        let limit = self.batch.min(FIRST_CLAIM);
        self.leader = Some(Leader {
            connection,
            before: 0,
            claimed: None,
            durable: false,
            limit,
            claim: claim_statements(limit),
        });
        self.next_poll = Instant::now();
        Ok(())
    }

    /// One claim at a time: overlapping two would gain a fifth, and a failure would have to undo
    /// both in the right order.
    fn accepts(&self, unconfirmed: u64) -> bool {
        unconfirmed == 0
    }

    async fn next(&mut self, batch: &mut VecDeque<ClaimedRow>) -> Result<(), SourceError> {
        if !self.rest().await {
            return Ok(());
        }
        let began = Instant::now();
        self.claim().await?;
        if self.rows.is_empty() {
            // Not idle in a transaction: that would hold vacuum back, and hints too.
            self.end_transaction().await?;
            self.next_poll = began + self.interval;
            return Ok(());
        }
        batch.extend(self.rows.drain(..).map(|(_, row)| row));
        Ok(())
    }

    fn confirm(&mut self, events: u64) {
        // A claim is confirmed as a whole or not at all.
        if let Some(leader) = &mut self.leader {
            leader.durable = events >= leader.before + leader.claimed.unwrap_or(0);
        }
    }

    fn settled(&self) -> Option<u64> {
        Some(self.settled)
    }

    async fn rewind(&mut self) {
        let ended = self.end_transaction().await;
        match &mut self.leader {
            Some(leader) if ended.is_ok() => leader.before = 0,
            // The server rolls back when it sees the connection gone.
            _ => self.leader = None,
        }
    }

    async fn close(&mut self) -> Result<(), SourceError> {
        let ended = self.end_transaction().await;
        self.leader = None;
        self.hints = None;
        ended
    }
}

/// Wakes `arrived` at each notification, and after each reconnect: those sent meanwhile are lost.
async fn pass_on_notifications(target: PostgresTarget, arrived: Arc<Notify>) {
    loop {
        if let Err(error) = listen_once(&target, &arrived).await {
            tracing::debug!("notifications are off, polling goes on: {error}");
        }
        tokio::time::sleep(LISTEN_RETRY).await;
    }
}

async fn listen_once(target: &PostgresTarget, arrived: &Notify) -> Result<(), sqlx::Error> {
    // sqlx has listeners on pools only; this one has the listener's own connection and no other.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(super::session::CONNECT_TIMEOUT)
        .connect_with(options(target).options([("idle_session_timeout", "0")]))
        .await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(&target.schema).await?;
    arrived.notify_one();
    while listener.try_recv().await?.is_some() {
        arrived.notify_one();
    }
    Ok(())
}

/// Claims and commits everything that is in the outbox, `batch` rows at a time, with the statements
/// of the relay, and publishes none of it: what no relay with these statements can exceed. Returns
/// how many rows there were. For the referee's benchmarks.
pub async fn claim_all(
    target: PostgresTarget,
    after_publish: AfterPublish,
    batch: u32,
) -> Result<u64, SourceError> {
    let source = PollingSource::new(target, after_publish, Duration::ZERO, batch, false);
    let mut connection = connect(&source.target).await?;
    let preparation = source.preparation();
    let prepare = sqlx::raw_sql(AssertSqlSafe(preparation.as_str())).execute(&mut connection);
    bounded("prepare to claim", prepare).await?;
    let (first, further) = claim_statements(source.batch);
    let mut claimed = 0;
    loop {
        let sql = if claimed == 0 { &first } else { &further };
        let mut rows = 0;
        let claim = async {
            let mut answers = sqlx::raw_sql(AssertSqlSafe(sql.as_str())).fetch(&mut connection);
            while answers.try_next().await?.is_some() {
                rows += 1;
            }
            Ok(())
        };
        bounded("claim rows", claim).await?;
        if rows == 0 {
            let commit = sqlx::raw_sql("COMMIT").execute(&mut connection);
            bounded("end the last claim's transaction", commit).await?;
            return Ok(claimed);
        }
        claimed += rows;
    }
}

/// Payloads of the rows that are not yet processed, by `seq`: what the source still holds. For the
/// referee, as an administrator.
pub async fn pending_payloads(
    admin: &PostgresTarget,
    schema: &str,
    after_publish: AfterPublish,
) -> Result<Vec<String>, String> {
    let condition = match after_publish {
        AfterPublish::Delete => "",
        // Whatever else a relay calls a row that it did not publish, parked or failed: it is there.
        AfterPublish::Mark => "WHERE status <> 'processed'",
    };
    let sql = format!(
        "SELECT payload FROM {}.outbox {condition} ORDER BY seq LIMIT {PENDING_MAX}",
        quoted(schema)
    );
    let mut connection = connect_plain(admin).await.map_err(|e| e.to_string())?;
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_all(&mut connection)
        .await
        .map_err(|e| format!("read the pending rows of {schema}.outbox: {e}"))
}
