//! A session that claims rows of the outbox. A claim that nobody waits for any more goes on, and
//! whoever asks next gets its rows: the relay may look after its publisher meanwhile.

use super::session::{LONG_STATEMENT_TIMEOUT, bounded_by};
use super::{Event, Held, SourceError};
use crate::trace::Stage;
use futures::TryStreamExt;
use futures::future::{BoxFuture, FutureExt, MaybeDone, maybe_done};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};
use std::pin::Pin;

const DOING: &str = "claim rows of the outbox";

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

/// The rows of one claim.
pub(super) struct Claim {
    /// With their `seq`, by which they are in order.
    pub rows: Vec<(i64, ClaimedRow)>,
    /// Bytes of their payloads.
    pub bytes: usize,
}

type Claiming = MaybeDone<BoxFuture<'static, (PgConnection, Result<Claim, SourceError>)>>;

enum State {
    Idle(PgConnection),
    Claiming(Claiming),
    /// After a failure: of no more use.
    Lost,
}

/// See the module.
pub(super) struct Session {
    state: State,
    /// Of the last claim, to be filled again.
    spare: Vec<(i64, ClaimedRow)>,
}

impl Session {
    pub fn new(connection: PgConnection) -> Self {
        Self {
            state: State::Idle(connection),
            spare: Vec::new(),
        }
    }

    /// The connection, for other statements; an error while a claim is under way or after one failed.
    pub fn connection(&mut self) -> Result<&mut PgConnection, SourceError> {
        match &mut self.state {
            State::Idle(connection) => Ok(connection),
            State::Claiming(_) => Err(SourceError::new(DOING, "one is under way")),
            State::Lost => Err(SourceError::new(DOING, "not connected")),
        }
    }

    /// Whether a claim is under way.
    pub fn is_claiming(&self) -> bool {
        matches!(self.state, State::Claiming(_))
    }

    /// Begins a claim, if none is under way: `sql` is one or more statements, of which the last
    /// claims. They are on their way to the server when this returns, as far as the link takes them.
    pub async fn begin(&mut self, sql: String) {
        self.state = match std::mem::replace(&mut self.state, State::Lost) {
            State::Idle(connection) => {
                let rows = std::mem::take(&mut self.spare);
                let mut claiming = maybe_done(claim(connection, sql, rows).boxed());
                let _ = futures::poll!(&mut claiming);
                State::Claiming(claiming)
            }
            other => other,
        };
    }

    /// The rows of the claim that is under way. May be given up and called again.
    pub async fn rows(&mut self) -> Result<Claim, SourceError> {
        let State::Claiming(claiming) = &mut self.state else {
            return Err(SourceError::new(DOING, "none is under way"));
        };
        (&mut *claiming).await;
        let done = Pin::new(claiming).take_output();
        self.state = State::Lost;
        let Some((connection, claim)) = done else {
            return Err(SourceError::new(DOING, "its rows were taken already"));
        };
        if claim.is_ok() {
            self.state = State::Idle(connection);
        }
        claim
    }

    /// Takes back what a claim's rows were kept in.
    pub fn recycle(&mut self, rows: Vec<(i64, ClaimedRow)>) {
        self.spare = rows;
    }
}

async fn claim(
    mut connection: PgConnection,
    sql: String,
    rows: Vec<(i64, ClaimedRow)>,
) -> (PgConnection, Result<Claim, SourceError>) {
    let answer = read(&mut connection, sql, rows);
    let claimed = bounded_by(LONG_STATEMENT_TIMEOUT, DOING, answer).await;
    (connection, claimed.and_then(ordered))
}

async fn read(
    connection: &mut PgConnection,
    sql: String,
    mut rows: Vec<(i64, ClaimedRow)>,
) -> Result<Vec<(i64, ClaimedRow)>, sqlx::Error> {
    rows.clear();
    // The text is the relay's own, but for numbers.
    let mut answers = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(connection);
    while let Some(row) = answers.try_next().await? {
        rows.push((0, ClaimedRow(row)));
    }
    Ok(rows)
}

/// RETURNING follows the heap; the order is by seq.
fn ordered(mut rows: Vec<(i64, ClaimedRow)>) -> Result<Claim, SourceError> {
    let mut bytes = 0;
    for (seq, row) in &mut rows {
        *seq = row.seq()?;
        bytes += row.text(PAYLOAD)?.len();
    }
    rows.sort_unstable_by_key(|(seq, _)| *seq);
    Ok(Claim { rows, bytes })
}
