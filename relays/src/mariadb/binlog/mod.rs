//! MariaDB's outbox, read from the binlog.
//!
//! The server sends transactions whole, in commit order. Rows are published when the end of their transaction was read;
//! where that is an XA transaction, when its decision was (see `groups.rs`).
//!
//! The server remembers nothing of who reads its log. So the relay keeps its position, in a table of the strategy's database, in
//! the transaction that deletes what was published; a relay that starts again goes on from there. What is kept is a position
//! before which every event is durable. What was published since comes again (at least once).
//!
//! Of several relays the one reads that has the lock (see `leadership.rs`): its session is also the one that keeps the position.
//! One that hangs loses both. What it had been sent by then it still publishes when it wakes up, in the order of the log and
//! without a gap, and so does its successor from what is kept on: whichever brings an event of an order first has brought all
//! those before it that were not there yet.
//!
//! A log that was purged behind the kept position is the end: what was in it is nowhere else, but for the rows in the outbox.

mod bytes;
mod event;
mod groups;
mod outbox_table;
mod position;
mod progress;
mod stream;
#[cfg(test)]
mod tests;
pub mod unconfirmed;

use super::MariaDbRow;
use super::leadership::{Lead, Leadership};
use super::read_rows::ReadRows;
use super::session::{place, quote_literal};
use crate::config::MariaDbTarget;
use crate::source::{Source, SourceError, Standing};
use event::LogEvent;
use groups::{GroupError, Groups};
use position::LogPosition;
use progress::LogProgress;
use std::collections::VecDeque;
use std::time::Duration;
use stream::{LogStream, SentEvent, StreamError};
use tokio::time::Instant;

/// Longest time that `next` waits.
const PATIENCE: Duration = Duration::from_millis(100);
/// While events are on their way, the position is kept so often.
const KEEP_EVERY: Duration = Duration::from_millis(100);
/// The server says twice a second that it is there: a link that is silent for so long is dead. One that is only slow
/// brings the largest event across in that time.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// So many rows, or bytes of log, are taken at a time, beyond which no further transaction is.
const ROWS_AHEAD: usize = 1_024;
const READ_BYTES: usize = 1 << 20;
/// The position is kept within this at the end, or else the next relay publishes again what follows the one before.
const CLOSE_MAX: Duration = Duration::from_secs(4);

/// Reads one outbox's inserts from the binlog.
pub struct BinlogSource {
    /// Its session has the lock, and keeps the position.
    lead: Leadership,
    stream: Option<LogStream>,
    groups: Groups,
    progress: LogProgress,
    rows: ReadRows,
    /// When a position was last kept.
    kept_at: Instant,
    /// Time waited without a word from the server.
    silent: Duration,
}

impl BinlogSource {
    /// Makes a source for the outbox of this database, which has a table for the position; it connects later.
    pub fn new(target: MariaDbTarget) -> Self {
        Self {
            lead: Leadership::new(target),
            stream: None,
            groups: Groups::default(),
            progress: LogProgress::default(),
            rows: ReadRows::default(),
            kept_at: Instant::now(),
            silent: Duration::ZERO,
        }
    }

    /// Says whether it is one of several: then it stands by while another one leads, and loses the lead when it hangs.
    pub fn of_several(mut self, one_of_several: bool) -> Self {
        self.lead.of_several(one_of_several);
        self
    }

    fn error(&self, doing: &str, reason: impl ToString) -> SourceError {
        let place = place(self.lead.target());
        SourceError::new(format!("{doing} the binlog of MariaDB at {place}"), reason)
    }

    /// Nothing that is done here makes it any better.
    fn final_error(&self, doing: &str, reason: String) -> SourceError {
        SourceError {
            is_final: true,
            ..self.error(doing, reason)
        }
    }

    /// Asks the session that leads; after a failure it is lost.
    async fn ask(&mut self, doing: &str, sql: &str) -> Result<Vec<Vec<String>>, SourceError> {
        let answer = self.lead.ask(doing, sql).await?;
        let text = |row: &mysql_async::Row, column| {
            let text = row.get_opt::<Option<String>, _>(column);
            text.and_then(Result::ok).flatten().unwrap_or_default()
        };
        let rows = answer.rows.iter();
        Ok(rows
            .map(|row| (0..row.len()).map(|column| text(row, column)).collect())
            .collect())
    }

    /// Whether the log has whole rows in it. Without that, what is inserted would be passed over in silence.
    async fn check_log(&mut self) -> Result<(), SourceError> {
        let sql = "SELECT @@global.log_bin, @@global.binlog_format, @@global.binlog_row_image";
        let rows = self.ask("ask how the binlog is written", sql).await?;
        let found = rows.first().map(|row| row.join(", ")).unwrap_or_default();
        if found == "1, ROW, FULL" {
            return Ok(());
        }
        let reason = format!(
            "log_bin, binlog_format and binlog_row_image are {found}: they have to be 1, ROW and FULL"
        );
        Err(self.final_error("read", reason))
    }

    /// Where the relay before this one was, or this one before it lost its session.
    async fn kept_position(&mut self) -> Result<LogPosition, SourceError> {
        let doing = "read the position in relay_position";
        let rows = self.ask(doing, "SELECT gtid FROM relay_position").await?;
        match rows.as_slice() {
            [row] => row.concat().parse().map_err(|e| SourceError::new(doing, e)),
            rows => {
                let reason = format!("there are {} rows, and there has to be one", rows.len());
                Err(SourceError::new(doing, reason))
            }
        }
    }

    /// Begins the stream where everything before is durable.
    async fn open_stream(&mut self) -> Result<(), SourceError> {
        let position = self.progress.reached().clone();
        // What was read behind it and is not confirmed is read again.
        self.progress = LogProgress::resume(position.clone());
        (self.groups, self.silent) = (Groups::default(), Duration::ZERO);
        match LogStream::open(self.lead.target(), &position, false).await {
            Ok(stream) => {
                self.stream = Some(stream);
                Ok(())
            }
            Err(error) if error.is_of_log && self.is_purged(&position).await => {
                let remedy = "what was committed since then is in no log any more: publish what the outbox table still \
                              has, then set relay_position to @@gtid_binlog_pos (and see binlog_expire_logs_seconds)";
                let reason = format!("{}; {remedy}", error.reason);
                Err(self.final_error(&format!("read from {position} on"), reason))
            }
            Err(error) => Err(self.error(&format!("read from {position} on"), error.reason)),
        }
    }

    /// Whether the log begins behind this position. The server's error alone does not say so: it has one code for all that
    /// keeps it from reading its log. Who cannot ask tries again.
    async fn is_purged(&mut self, position: &LogPosition) -> bool {
        let doing = "ask where the binlog begins";
        let asked = async {
            let files = self.ask(doing, "SHOW BINARY LOGS").await?;
            let first = files.first().and_then(|row| row.first()).cloned();
            let Some(first) = first else {
                return Ok(String::new());
            };
            let sql = format!("SELECT BINLOG_GTID_POS({}, 4)", quote_literal(&first));
            let rows = self.ask(doing, &sql).await?;
            Ok::<_, SourceError>(rows.concat().concat())
        };
        let first = asked.await.ok().and_then(|text| text.parse().ok());
        first.is_some_and(|first: LogPosition| !position.is_continued_by(&first))
    }

    /// Goes back to where the kept position is.
    async fn resume(&mut self) -> Result<(), SourceError> {
        self.check_log().await?;
        let kept = self.kept_position().await?;
        self.rows.restart();
        self.progress = LogProgress::resume(kept);
        Ok(())
    }

    /// Deletes what was published and keeps the position, if either is due.
    async fn keep(&mut self) -> Result<(), SourceError> {
        let deleted = self.rows.each_due("DELETE FROM outbox");
        let position = self.progress.due();
        if deleted.is_none() && position.is_none() || !self.lead.is_held() {
            return Ok(());
        }
        let kept =
            position.map(|position| format!("UPDATE relay_position SET gtid = '{position}'; "));
        let sql = [
            "BEGIN; ",
            &deleted.unwrap_or_default(),
            &kept.unwrap_or_default(),
            "COMMIT",
        ];
        self.ask("keep the relay's position", &sql.concat()).await?;
        self.rows.done();
        self.progress.kept();
        self.kept_at = Instant::now();
        self.lead.progressed();
        Ok(())
    }

    /// Keeps the session, and gives it the lease that the relay has come back to.
    async fn keep_session(&mut self) -> Result<(), SourceError> {
        self.lead.shorten_lease().await?;
        self.lead.keep_alive().await
    }

    /// Takes note of an event; returns of how many bytes it was.
    fn take(
        &mut self,
        event: &SentEvent,
        batch: &mut VecDeque<MariaDbRow>,
    ) -> Result<usize, SourceError> {
        let (header, data) = (event.header(), event.data());
        self.progress.came(data.len() as u64);
        let decoded = LogEvent::decode(header, data, &self.lead.target().database);
        let ended = decoded
            .map_err(GroupError::from)
            .and_then(|event| self.groups.take(event));
        let group = match ended {
            Ok(Some(group)) => group,
            Ok(None) => return Ok(data.len()),
            Err(GroupError::Wrong(error)) => return Err(self.error("decode", error)),
            Err(GroupError::TooMuch(bytes)) => {
                let reason = format!(
                    "{bytes} bytes of rows wait for the end of their transactions, which is more than is held: commit or \
                     roll back what XA RECOVER lists, or make transactions smaller"
                );
                return Err(self.final_error("read", reason));
            }
        };
        let (events, held) = (group.rows.len() as u64, self.groups.holds_prepared());
        self.progress.passed(group.gtid, events, held);
        for row in group.rows {
            self.rows.took(row.seq);
            batch.push_back(row);
        }
        Ok(data.len())
    }

    fn lose_stream(&mut self, error: StreamError) -> SourceError {
        self.stream = None;
        self.error("read", error.reason)
    }
}

impl Source for BinlogSource {
    type Item = MariaDbRow;

    async fn connect(&mut self) -> Result<Standing, SourceError> {
        let lead = self.lead.take().await;
        if !matches!(lead, Ok(Lead::Kept)) {
            self.stream = None;
        }
        match lead? {
            Lead::Kept => {}
            Lead::New => {
                if let Err(error) = self.resume().await {
                    // A session without a position is not to be taken for one that has it.
                    self.lead.lose();
                    return Err(error);
                }
            }
            Lead::Elsewhere => return Ok(Standing::StandsBy),
        }
        if self.stream.is_none() {
            self.open_stream().await?;
        }
        Ok(Standing::Leads)
    }

    /// As many as the publisher takes.
    fn accepts(&self, _unconfirmed: u64) -> bool {
        true
    }

    async fn keep_alive(&mut self) -> Result<(), SourceError> {
        if self.kept_at.elapsed() >= KEEP_EVERY {
            self.keep().await?;
        }
        self.keep_session().await
    }

    /// Cancel-safe where something is unconfirmed: it waits for the next event only, and what was read is in `batch`.
    async fn next(&mut self, batch: &mut VecDeque<MariaDbRow>) -> Result<(), SourceError> {
        if self.rows.is_all_confirmed() {
            if self.kept_at.elapsed() >= KEEP_EVERY {
                self.keep().await?;
            }
            self.keep_session().await?;
        }
        let Some(stream) = &mut self.stream else {
            return Err(self.error("read", "not connected"));
        };
        let Ok(mut received) = tokio::time::timeout(PATIENCE, stream.next()).await else {
            self.silent += PATIENCE;
            if self.silent < SILENCE_MAX {
                return Ok(());
            }
            self.stream = None;
            let reason = format!("not a word for {:?}; the link seems dead", self.silent);
            return Err(self.error("read", reason));
        };
        self.silent = Duration::ZERO;
        let mut bytes = 0;
        loop {
            let event = received
                .and_then(|event| {
                    event.ok_or_else(|| StreamError::new("the server ended the stream"))
                })
                .map_err(|error| self.lose_stream(error))?;
            bytes += self.take(&event, batch)?;
            if batch.len() >= ROWS_AHEAD || bytes >= READ_BYTES {
                return Ok(());
            }
            // What is there already comes along.
            let more = self.stream.as_mut().and_then(LogStream::more);
            let Some(more) = more else {
                return Ok(());
            };
            received = more;
        }
    }

    fn confirm(&mut self, events: u64) {
        self.rows.confirm(events);
        self.progress.confirm(events);
    }

    fn settled(&self) -> Option<u64> {
        Some(self.rows.settled())
    }

    async fn rewind(&mut self) {
        self.stream = None;
        if self.keep().await.is_err() {
            tracing::debug!("events that are published may be published again");
        }
        self.rows.rewind();
        self.lead.give_way().await;
    }

    async fn close(&mut self) -> Result<(), SourceError> {
        self.stream = None;
        let kept = tokio::time::timeout(CLOSE_MAX, self.keep()).await;
        self.lead.end(matches!(kept, Ok(Ok(())))).await;
        kept.unwrap_or_else(|_| {
            let reason = format!("not within {CLOSE_MAX:?}");
            Err(self.error("keep the position in", reason))
        })
    }
}
