//! One claim of rows of the outbox, and its answer.

use super::session::{LONG_STATEMENT_TIMEOUT, bounded_by};
use crate::source::{Event, Held, SourceError};
use crate::trace::Stage;
use futures::TryStreamExt;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::{Duration, Instant};

// Columns of a claim's answer.
const SEQ: usize = 0;
const ID: usize = 1;
const AGGREGATE_ID: usize = 2;
const TYPE: usize = 3;
const VERSION: usize = 4;
const PAYLOAD: usize = 5;
/// Of a read by position only.
const XID: usize = 6;

/// This is a claimed row, as the server sent it: text, never copied.
pub struct ClaimedRow(PgRow);

impl ClaimedRow {
    fn text(&self, column: usize) -> Result<&str, SourceError> {
        let wrong = |reason: &dyn std::fmt::Display| {
            SourceError::new(
                "read the row of an event",
                format!("column {column}: {reason}"),
            )
        };
        let value = self.0.try_get_raw(column).map_err(|e| wrong(&e))?;
        value.as_str().map_err(|e| wrong(&e))
    }

    fn number<N: FromStr<Err = ParseIntError>>(&self, column: usize) -> Result<N, SourceError> {
        let text = self.text(column)?;
        text.parse()
            .map_err(|e| SourceError::new("read the row of an event", format!("{e}: {text:?}")))
    }

    fn seq(&self) -> Result<i64, SourceError> {
        self.number(SEQ)
    }

    /// The id of the transaction that wrote the row, where that was asked for.
    pub(super) fn xid(&self) -> Result<u64, SourceError> {
        self.number(XID)
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

/// What is known of a claim's answer beside its rows.
pub(super) struct Answer {
    /// The payloads have so many bytes together.
    pub bytes: usize,
    /// This is the time from the first row's arrival to the end. What comes before that is not the link's
    /// bandwidth: it is the work of the server, and the way there and back.
    pub spread: Duration,
}

/// Runs `sql`, one or more statements in one message of which the last claims, and fills `rows` with
/// what was claimed, in the order of `seq`, each with its own.
///
/// Bounded in time. After an error the session is of no more use.
pub(super) async fn claim(
    connection: &mut PgConnection,
    sql: &str,
    rows: &mut Vec<(i64, ClaimedRow)>,
) -> Result<Answer, SourceError> {
    let answer = fetch(connection, "claim rows of the outbox", sql, rows).await?;
    // RETURNING follows the heap; the order is by seq.
    rows.sort_unstable_by_key(|(seq, _)| *seq);
    Ok(answer)
}

/// The same, of rows that stay where they are: in the order in which the last statement gives them.
pub(super) async fn fetch(
    connection: &mut PgConnection,
    doing: &str,
    sql: &str,
    rows: &mut Vec<(i64, ClaimedRow)>,
) -> Result<Answer, SourceError> {
    rows.clear();
    let mut first = None;
    let answer = async {
        // The text is the relay's own, but for numbers.
        let mut answers = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(connection);
        while let Some(row) = answers.try_next().await? {
            first.get_or_insert_with(Instant::now);
            rows.push((0, ClaimedRow(row)));
        }
        Ok(())
    };
    bounded_by(LONG_STATEMENT_TIMEOUT, doing, answer).await?;
    let spread = first.map_or(Duration::ZERO, |first| first.elapsed());
    let mut bytes = 0;
    for (seq, row) in rows.iter_mut() {
        *seq = row.seq()?;
        bytes += row.text(PAYLOAD)?.len();
    }
    Ok(Answer { bytes, spread })
}
