//! The session of a relay, and which of the relays of a database works: the one whose session has a lock by name.
//!
//! The lock is the session's, which the server ends when nothing is heard of it for a lease. Who wakes up after that learns
//! it when it next asks something: it can delete or mark nothing any more, nor keep a position.

use super::session::{self, abort, bounded, connect, words};
use crate::config::MariaDbTarget;
use crate::source::{SessionLease, SourceError, Standing};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row};
use std::time::Duration;
use tokio::time::Instant;

/// Connecting, authentication included, takes this long at most.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One statement with its answer takes this long at most, by the client's clock.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// The same of a statement whose answer is large, on a link that may be slow; the server ends statements then, in
/// seconds, and sessions that do not read their answers.
const LONG_STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
const STATEMENT_S: u64 = 30;
/// How long one call waits for another relay to give up leadership.
const LEADER_WAIT: Duration = Duration::from_secs(4);
/// A relay that does not lead waits this long between two attempts to become the leader.
const LEADER_RETRY: Duration = Duration::from_millis(50);

/// This is the session that leads.
pub(super) struct LeadingSession {
    connection: Conn,
    lease: SessionLease,
    /// When something was last asked.
    asked: Instant,
    /// The longest time that an answer took lately, or did not come.
    slowest: Duration,
}

/// The rows of an answer, with what is known of their arrival.
pub(super) struct AnsweredRows {
    /// The rows of all its statements, in this order.
    pub rows: Vec<Row>,
    /// This is the time from the first row's arrival to the end.
    pub spread: Duration,
}

fn lease_settings(lease: SessionLease) -> [(&'static str, u64); 2] {
    // What the server counts in whole seconds is never shorter than the lease.
    let term_s = lease.term().as_millis().div_ceil(1_000) as u64;
    [
        ("wait_timeout", term_s),
        ("idle_transaction_timeout", term_s),
    ]
}

/// Makes the session that leads the relays of this database, within a bound. It is `None` where another relay leads and
/// `patience` is over.
pub(super) async fn lead(
    target: &MariaDbTarget,
    lease: SessionLease,
    patience: Duration,
) -> Result<Option<LeadingSession>, SourceError> {
    let place = session::place(target);
    let mut settings = vec![
        ("max_statement_time", STATEMENT_S),
        ("net_write_timeout", STATEMENT_S),
    ];
    settings.extend(lease_settings(lease));
    let options = session::options(target, &settings);
    let connection = connect(&options, CONNECT_TIMEOUT).await.map_err(|error| {
        let doing = format!("connect to MariaDB at {place} as {}", target.user);
        SourceError::new(doing, words(&error))
    })?;
    let mut session = LeadingSession {
        connection,
        lease,
        asked: Instant::now(),
        slowest: Duration::ZERO,
    };
    // A lock's name has 64 characters at most.
    let name = session::quote_literal(&format!("outbox-relay of database {}", target.database));
    let sql = format!("SELECT GET_LOCK(MD5({name}), 0)");
    let deadline = Instant::now() + patience;
    loop {
        let answer = session.ask("ask for the relay leadership", &sql).await?;
        let got = answer.rows.first().and_then(|row| row.get_opt::<u8, _>(0));
        if matches!(got, Some(Ok(1))) {
            return Ok(Some(session));
        }
        if Instant::now() >= deadline {
            session::close(session.connection).await;
            return Ok(None);
        }
        tokio::time::sleep(LEADER_RETRY).await;
    }
}

/// The same, for one that stands by where it is one of several, and says so before it waits; alone it must lead.
pub(super) async fn lead_or_stand_by(
    target: &MariaDbTarget,
    lease: SessionLease,
    one_of_several: bool,
    stands_by: &mut bool,
) -> Result<(Standing, Option<LeadingSession>), SourceError> {
    let patience = match one_of_several && !*stands_by {
        true => Duration::ZERO,
        false => LEADER_WAIT,
    };
    let session = lead(target, lease, patience).await?;
    *stands_by = session.is_none();
    match (session, one_of_several) {
        (Some(session), _) => Ok((Standing::Leads, Some(session))),
        (None, true) => Ok((Standing::StandsBy, None)),
        (None, false) => Err(SourceError::new(
            format!("lead the relays of {}", session::place(target)),
            "another relay does; it must end first (see GET_LOCK in the process list)",
        )),
    }
}

impl LeadingSession {
    /// Runs statements in one message, bounded in time. After an error the session is of no more use.
    pub async fn ask(&mut self, doing: &str, sql: &str) -> Result<AnsweredRows, SourceError> {
        self.ask_within(STATEMENT_TIMEOUT, doing, sql).await
    }

    /// The same, where the answer is large.
    pub async fn fetch(&mut self, doing: &str, sql: &str) -> Result<AnsweredRows, SourceError> {
        self.ask_within(LONG_STATEMENT_TIMEOUT, doing, sql).await
    }

    async fn ask_within(
        &mut self,
        within: Duration,
        doing: &str,
        sql: &str,
    ) -> Result<AnsweredRows, SourceError> {
        let began = Instant::now();
        let answer = bounded(within, rows_of(&mut self.connection, sql)).await;
        self.asked = Instant::now();
        self.slowest = self.slowest.max(self.asked - began);
        answer.map_err(|error| SourceError::new(doing, words(&error)))
    }

    /// Whether the server still answers.
    pub async fn is_alive(&mut self) -> bool {
        self.ask("ask whether the session is alive", "DO 1")
            .await
            .is_ok()
    }

    /// A session of which nothing is asked for a while is asked something, before the server ends it for its silence.
    pub async fn keep_alive(&mut self) -> Result<(), SourceError> {
        if self.asked.elapsed() < self.lease.renewal() {
            return Ok(());
        }
        let kept = self.ask("keep the relay's session alive", "DO 1").await;
        kept.map(drop)
    }

    /// Gives the session the lease that the relay has come back to.
    pub async fn shorten_lease(&mut self, lease: SessionLease) -> Result<(), SourceError> {
        if self.lease == lease {
            return Ok(());
        }
        let settings = lease_settings(lease).map(|(name, value)| format!("{name} = {value}"));
        let sql = format!("SET {}", settings.join(", "));
        self.ask("shorten the session's lease", &sql).await?;
        self.lease = lease;
        Ok(())
    }

    /// The longest time that an answer took since this was last asked.
    pub fn take_slowest(&mut self) -> Duration {
        std::mem::take(&mut self.slowest)
    }

    /// Says good-bye.
    pub async fn close(self) {
        session::close(self.connection).await;
    }

    /// Closes the socket at once.
    pub fn abort(self) {
        abort(self.connection);
    }
}

async fn rows_of(connection: &mut Conn, sql: &str) -> Result<AnsweredRows, Error> {
    let mut rows = Vec::new();
    let mut first = None;
    let mut answers = connection.query_iter(sql).await?;
    while !answers.is_empty() {
        let took = |row| {
            first.get_or_insert_with(Instant::now);
            rows.push(row);
        };
        answers.for_each(took).await?;
    }
    let spread = first.map_or(Duration::ZERO, |first| first.elapsed());
    Ok(AnsweredRows { rows, spread })
}
