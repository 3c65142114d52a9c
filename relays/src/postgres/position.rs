//! Events that stay where they are, read from a position on.
//!
//! Nothing tells of an event in its table whether it was published, so the reader keeps how far it has come, in a
//! table of its own, once everything up to there is durable elsewhere. A relay that dies in between leaves
//! the position as it was, and its successor publishes again what follows (at least once).
//!
//! Why the position is a transaction's id with a number, and not the number alone. Numbers are drawn before the commit:
//! a transaction that takes its time commits a lower number than some that were published, and whoever goes on
//! behind those never sees it. So a read stops below the horizon, the oldest transaction that is still running
//! (`pg_snapshot_xmin` of the very snapshot that it reads by): every transaction below that has ended, and none can come to be
//! there. What it costs: whoever writes anything anywhere on the server and does not commit, or has prepared a transaction and
//! forgotten it, holds the horizon back, and with it every event of later transactions. They come late then, and none is lost.
//!
//! A new session reads on behind what it finds kept, and not behind what the relay remembers: what a server had answered
//! before it crashed may be undone, and other transactions have those ids then. What was published in the half second
//! since the position was kept comes again.
//!
//! Why this keeps the order of each key. A version is appended by a transaction that sees the version before it,
//! which is committed then, and that had no id yet: so its id is higher. A transaction that had written something else
//! before it appended could have the lower id, and its event would come first; the order service has none.
//!
//! As with an outbox that is polled, one relay of a schema reads (see `leadership.rs`).

use super::bookmark::{Bookmark, Place};
use super::claiming::{ClaimedRow, fetch};
use super::leadership::{LEADER_WAIT, another_leads, leads_before};
use super::session::{bounded, connect, place};
use crate::config::{CommitMode, PostgresTarget};
use crate::postgres::schema::quote_identifier;
use crate::source::Appetite;
use crate::source::SessionLease;
use crate::source::{Source, SourceError, Standing};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// One call of `next` sleeps this long at most.
const PATIENCE: Duration = Duration::from_millis(100);
/// While events are on their way, the position of what is durable by then is kept so often.
const KEEP_EVERY: Duration = Duration::from_millis(500);
/// The position is kept within this at the end, or else the next relay publishes again what follows the one before.
const CLOSE_MAX: Duration = Duration::from_secs(4);

/// The session that leads.
struct Reader {
    connection: PgConnection,
    /// These are the rows of the last read; the vector is kept to be filled again.
    rows: Vec<(i64, ClaimedRow)>,
    /// When something was last asked of the session.
    asked: Instant,
}

/// Reads the events of one schema by their position.
pub struct PositionSource {
    target: PostgresTarget,
    commit: CommitMode,
    interval: Duration,
    appetite: Appetite,
    bookmark: Bookmark,
    reader: Option<Reader>,
    /// Nothing was there: not before this.
    next_poll: Instant,
}

impl PositionSource {
    /// Returns a source for these events, which connects later.
    pub fn new(target: PostgresTarget, interval: Duration, batch: u32) -> Self {
        Self {
            target,
            commit: CommitMode::default(),
            interval,
            appetite: Appetite::new(batch),
            bookmark: Bookmark::default(),
            reader: None,
            next_poll: Instant::now(),
        }
    }

    /// Returns the source with commits of its position in another mode than the default.
    pub fn committing(mut self, commit: CommitMode) -> Self {
        self.commit = commit;
        self
    }

    fn events(&self) -> String {
        format!(
            "events of schema {} at {}",
            self.target.schema,
            place(&self.target)
        )
    }

    fn position_table(&self) -> String {
        format!("{}.relay_position", quote_identifier(&self.target.schema))
    }

    /// A plan made once, whatever the table's statistics were at that moment: the plan is to walk the index in
    /// order and stop early. The one row of the position has no index, and a scan that is to be avoided seems so dear
    /// that the server would compile each update (JIT), which takes 15 ms; hence none of that.
    fn preparation(&self) -> String {
        let events = format!("{}.events", quote_identifier(&self.target.schema));
        format!(
            "SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off; \
             SET jit = off; SET plan_cache_mode = force_generic_plan; \
             PREPARE events_behind(xid8, bigint, bigint) AS \
             SELECT seq, id, aggregateid, type, version, payload, e.xid::text FROM {events} e \
             WHERE (e.xid, e.seq) > ($1, $2) AND e.xid < pg_snapshot_xmin(pg_current_snapshot()) \
             ORDER BY e.xid, e.seq LIMIT $3"
        )
    }

    /// The statement that keeps this position.
    fn keeping(&self, place: Place) -> String {
        let (table, Place { xid, seq }) = (self.position_table(), place);
        format!("UPDATE {table} SET xid = '{xid}', seq = {seq}")
    }

    /// Where the relay before this one was, or this one before it lost its session.
    async fn kept(&self, connection: &mut PgConnection) -> Result<Place, SourceError> {
        let doing = format!("read the position in the {}", self.events());
        let sql = format!("SELECT xid::text, seq FROM {}", self.position_table());
        let query = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(connection);
        let (xid, seq): (String, i64) = bounded(&doing, query).await?;
        let xid = xid.parse().map_err(|e| SourceError::new(doing, e))?;
        Ok(Place { xid, seq })
    }

    /// Runs a statement on the session, which is lost if that fails.
    async fn ask(&mut self, doing: &str, sql: &str) -> Result<(), SourceError> {
        let Some(mut reader) = self.reader.take() else {
            return Ok(());
        };
        let statement = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut reader.connection);
        bounded(doing, statement).await?;
        reader.asked = Instant::now();
        self.reader = Some(reader);
        Ok(())
    }

    /// Keeps the position, if it is not kept yet.
    async fn keep_position(&mut self) -> Result<(), SourceError> {
        let Some(due) = self.bookmark.due().filter(|_| self.reader.is_some()) else {
            return Ok(());
        };
        let sql = self.keeping(due);
        self.ask("keep the relay's position", &sql).await?;
        self.bookmark.keep(due);
        Ok(())
    }

    /// Reads the next events into `batch`, and keeps the position before that in the same message; says whether there
    /// were any.
    async fn read(&mut self, batch: &mut VecDeque<ClaimedRow>) -> Result<bool, SourceError> {
        let doing = "read events by their position";
        let (due, from) = (self.bookmark.due(), self.bookmark.read());
        let keeping = due.map_or_else(String::new, |due| {
            // In a transaction of its own: its id would be a horizon for the read.
            format!("BEGIN; {}; COMMIT; ", self.keeping(due))
        });
        let rows = self.appetite.rows();
        let sql = format!(
            "{keeping}EXECUTE events_behind('{}', {}, {rows})",
            from.xid, from.seq
        );
        let mut reader =
            (self.reader.take()).ok_or_else(|| SourceError::new(doing, "not connected"))?;
        let answer = match fetch(&mut reader.connection, doing, &sql, &mut reader.rows).await {
            Ok(answer) => answer,
            Err(error) => {
                self.appetite.failed();
                return Err(error);
            }
        };
        reader.asked = Instant::now();
        if let Some(due) = due {
            self.bookmark.keep(due);
        }
        self.appetite
            .fed(reader.rows.len(), answer.bytes, answer.spread);
        let some = !reader.rows.is_empty();
        for (seq, row) in reader.rows.drain(..) {
            self.bookmark.took(Place {
                xid: row.xid()?,
                seq,
            });
            batch.push_back(row);
        }
        self.reader = Some(reader);
        Ok(some)
    }

    /// A session of which nothing is asked for a while is asked something, before the server ends it for its silence.
    async fn keep_session(&mut self) -> Result<(), SourceError> {
        let silent = self.reader.as_ref().map(|reader| reader.asked.elapsed());
        match silent {
            Some(silent) if silent >= SessionLease::ALONE.renewal() => {
                self.ask("keep the relay's session alive", "SELECT 1").await
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Source for PositionSource {
    type Item = ClaimedRow;

    async fn connect(&mut self) -> Result<Standing, SourceError> {
        if self.reader.is_some()
            && (self
                .ask("ask whether the session is alive", "SELECT 1")
                .await)
                .is_ok()
        {
            self.bookmark.rewind();
            return Ok(Standing::Leads);
        }
        let mut connection = connect(&self.target, self.commit).await?;
        let deadline = Instant::now() + LEADER_WAIT;
        if !leads_before(&mut connection, &self.target.schema, deadline).await? {
            return Err(another_leads(&self.events()));
        }
        let preparation = self.preparation();
        let prepare = sqlx::raw_sql(AssertSqlSafe(preparation.as_str())).execute(&mut connection);
        let doing = format!("prepare to read the {}", self.events());
        bounded(&doing, prepare).await?;
        let kept = self.kept(&mut connection).await?;
        self.bookmark.resume(kept);
        self.reader = Some(Reader {
            connection,
            rows: Vec::new(),
            asked: Instant::now(),
        });
        self.next_poll = Instant::now();
        Ok(Standing::Leads)
    }

    /// A read cannot be cancelled, so there is one at a time.
    fn accepts(&self, unconfirmed: u64) -> bool {
        unconfirmed == 0
    }

    async fn keep_alive(&mut self) -> Result<(), SourceError> {
        let silent = self.reader.as_ref().map(|reader| reader.asked.elapsed());
        if silent >= Some(KEEP_EVERY) {
            self.keep_position().await?;
        }
        self.keep_session().await
    }

    async fn next(&mut self, batch: &mut VecDeque<ClaimedRow>) -> Result<(), SourceError> {
        let now = Instant::now();
        if now < self.next_poll {
            tokio::time::sleep_until(self.next_poll.min(now + PATIENCE)).await;
            if Instant::now() < self.next_poll {
                return self.keep_session().await;
            }
        }
        let began = Instant::now();
        if !self.read(batch).await? {
            self.next_poll = began + self.interval;
        }
        Ok(())
    }

    fn confirm(&mut self, events: u64) {
        self.bookmark.confirm(events);
    }

    fn settled(&self) -> Option<u64> {
        Some(self.bookmark.settled())
    }

    async fn rewind(&mut self) {
        self.bookmark.rewind();
    }

    async fn close(&mut self) -> Result<(), SourceError> {
        let kept = tokio::time::timeout(CLOSE_MAX, self.keep_position()).await;
        self.reader = None;
        kept.unwrap_or_else(|_| {
            let doing = format!("keep the position in the {}", self.events());
            Err(SourceError::new(doing, format!("not within {CLOSE_MAX:?}")))
        })
    }
}
