//! MariaDB's outbox, polled with SQL.
//!
//! A read takes the first rows by `seq`; when their events are durable, the rows are deleted (or marked) in the message
//! of the next read. A relay that dies in between leaves them as they were.
//!
//! Why this keeps the order of each key. An order's events draw their `seq` under the lock of the order's row, which is
//! held until the commit, and InnoDB shows a transaction to new readers before it lets go of its locks: whatever sees an
//! event sees all earlier ones of its order. A read is one statement of READ COMMITTED without locks, so of one snapshot,
//! and takes a prefix by `seq` of it. And there is one relay that reads, by a lock of its session (see `leadership.rs`):
//! no other deletes or marks, and one that was away too long has lost its session and can do neither.
//!
//! Why it reads without FOR UPDATE. A locking read has no snapshot: it meets rows that are not committed yet. It waits for
//! them, and the whole outbox with it, for as long as the slowest transaction takes. Or it skips them (SKIP LOCKED), and takes
//! a later event of their order if both are committed before it comes there: an overtaking.
//!
//! Why each read starts at the lowest `seq` that is there, and not where the last one ended: numbers are drawn before the
//! commit, and a transaction that takes its time commits a lower one than some that were published.

use super::leadership::{Lead, Leadership};
use super::read_rows::ReadRows;
use super::row::MariaDbRow;
use super::session::place;
use crate::config::{AfterPublish, MariaDbTarget};
use crate::source::{Appetite, Source, SourceError, Standing};
use crate::trace::Stage;
use mysql_async::{FromRowError, Row};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// One call of `next` sleeps this long at most.
const PATIENCE: Duration = Duration::from_millis(100);
/// The last rows are deleted or marked within this time: those that are not by then are published again by the next relay.
const CLOSE_MAX: Duration = Duration::from_secs(4);

/// Reads the outbox of one database.
pub struct MariaDbPolling {
    lead: Leadership,
    after_publish: AfterPublish,
    interval: Duration,
    appetite: Appetite,
    rows: ReadRows,
    /// Nothing was there: not before this.
    next_poll: Instant,
}

impl MariaDbPolling {
    /// Returns a source for the outbox of this database, which connects later. No read has more rows than `batch`.
    pub fn new(
        target: MariaDbTarget,
        after_publish: AfterPublish,
        interval: Duration,
        batch: u32,
    ) -> Self {
        Self {
            lead: Leadership::new(target),
            after_publish,
            interval,
            appetite: Appetite::new(batch),
            rows: ReadRows::default(),
            next_poll: Instant::now(),
        }
    }

    /// Makes the relay one of several, or alone: one of several stands by while another one leads, and loses the lead
    /// when it hangs.
    pub fn of_several(mut self, one_of_several: bool) -> Self {
        self.lead.of_several(one_of_several);
        self
    }

    fn outbox(&self) -> String {
        format!("outbox of MariaDB at {}", place(self.lead.target()))
    }

    /// Returns the statement that takes what is durable out of the way; `None` where nothing is.
    fn settling(&self) -> Option<String> {
        let each = self.rows.each_due(match self.after_publish {
            AfterPublish::Delete => "DELETE FROM outbox",
            AfterPublish::Mark => "UPDATE outbox SET status = 'processed'",
        })?;
        Some(format!(
            "BEGIN NOT ATOMIC START TRANSACTION; {each}COMMIT; END"
        ))
    }

    fn reading(&self) -> String {
        let pending = match self.after_publish {
            AfterPublish::Delete => "",
            AfterPublish::Mark => "WHERE status = 'pending' ",
        };
        format!(
            "SELECT seq, id, aggregateid, type, version, payload FROM outbox {pending}ORDER BY seq LIMIT {}",
            self.appetite.rows()
        )
    }

    /// What was due is done.
    fn settled_due(&mut self) {
        if self.rows.is_due() {
            self.lead.progressed();
        }
        self.rows.done();
    }

    /// Reads the next rows, after those that are durable are out of the way; says whether there were any.
    async fn read(&mut self, batch: &mut VecDeque<MariaDbRow>) -> Result<bool, SourceError> {
        let doing = format!("read the {}", self.outbox());
        let settling = self.settling().map(|sql| sql + "; ").unwrap_or_default();
        let sql = settling + &self.reading();
        let answer = match self.lead.fetch(&doing, &sql).await {
            Ok(answer) => answer,
            Err(error) => {
                self.appetite.failed();
                return Err(error);
            }
        };
        self.settled_due();
        let mut bytes = 0;
        for row in answer.rows {
            let row = row_of(row).map_err(|e| SourceError::new(doing.as_str(), e))?;
            bytes += row.payload.len();
            self.rows.took(row.seq);
            batch.push_back(row);
        }
        self.appetite.fed(batch.len(), bytes, answer.spread);
        Ok(!batch.is_empty())
    }

    /// Takes what is durable out of the way.
    async fn settle(&mut self) -> Result<(), SourceError> {
        let Some(sql) = self.settling().filter(|_| self.lead.is_held()) else {
            return Ok(());
        };
        let doing = format!("take published rows out of the {}", self.outbox());
        self.lead.ask(&doing, &sql).await?;
        self.settled_due();
        Ok(())
    }
}

/// Reads and takes away everything that is in the outbox, with the relay's own statements, and publishes none of it: what
/// no relay with these statements can exceed. Returns how many rows there were. For the referee's benchmarks.
pub async fn claim_all(
    target: MariaDbTarget,
    after_publish: AfterPublish,
    batch: u32,
) -> Result<u64, SourceError> {
    let mut source = MariaDbPolling::new(target, after_publish, Duration::ZERO, batch);
    let doing = format!("take all rows of the {}", source.outbox());
    if source.connect().await? == Standing::StandsBy {
        return Err(SourceError::new(doing, "another relay reads it"));
    }
    let (mut rows, mut claimed) = (VecDeque::new(), 0);
    loop {
        let some = source.read(&mut rows).await?;
        claimed += rows.len() as u64;
        rows.clear();
        source.confirm(claimed);
        if !some {
            source.close().await?;
            return Ok(claimed);
        }
    }
}

/// A row of an answer, which is text.
fn row_of(row: Row) -> Result<MariaDbRow, FromRowError> {
    let (seq, id, key, event_type, version, payload) =
        mysql_async::from_row_opt::<(i64, String, String, String, String, String)>(row)?;
    Ok(MariaDbRow {
        seq,
        id,
        key,
        event_type,
        version,
        payload,
        taken_as: (Stage::Claimed, seq.cast_unsigned()),
    })
}

impl Source for MariaDbPolling {
    type Item = MariaDbRow;

    async fn connect(&mut self) -> Result<Standing, SourceError> {
        match self.lead.take().await? {
            Lead::Kept => Ok(Standing::Leads),
            Lead::New => {
                self.rows.restart();
                self.next_poll = Instant::now();
                Ok(Standing::Leads)
            }
            Lead::Elsewhere => Ok(Standing::StandsBy),
        }
    }

    /// A read cannot be cancelled, so there is one at a time.
    fn accepts(&self, unconfirmed: u64) -> bool {
        unconfirmed == 0
    }

    async fn keep_alive(&mut self) -> Result<(), SourceError> {
        self.lead.keep_alive().await
    }

    async fn next(&mut self, batch: &mut VecDeque<MariaDbRow>) -> Result<(), SourceError> {
        let now = Instant::now();
        if now < self.next_poll {
            tokio::time::sleep_until(self.next_poll.min(now + PATIENCE)).await;
            if Instant::now() < self.next_poll {
                return self.lead.keep_alive().await;
            }
        }
        self.lead.shorten_lease().await?;
        let began = Instant::now();
        if !self.read(batch).await? {
            self.next_poll = began + self.interval;
        }
        Ok(())
    }

    fn confirm(&mut self, events: u64) {
        self.rows.confirm(events);
    }

    fn settled(&self) -> Option<u64> {
        Some(self.rows.settled())
    }

    async fn rewind(&mut self) {
        if self.settle().await.is_err() {
            tracing::debug!("rows that are published may be published again");
        }
        self.rows.rewind();
        self.lead.give_way().await;
    }

    async fn close(&mut self) -> Result<(), SourceError> {
        let settled = tokio::time::timeout(CLOSE_MAX, self.settle()).await;
        self.lead.end(matches!(settled, Ok(Ok(())))).await;
        settled.unwrap_or_else(|_| {
            let doing = format!("take published rows out of the {}", self.outbox());
            Err(SourceError::new(doing, format!("not within {CLOSE_MAX:?}")))
        })
    }
}
