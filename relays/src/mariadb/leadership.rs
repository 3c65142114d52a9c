//! The session of a relay, and which of the relays of a database works: the one whose session has a lock by name.
//!
//! The lock is the session's, which the server ends when nothing is heard of it for a lease. Who wakes up after that learns
//! it when it next asks something: it can delete or mark nothing any more, nor keep a position.

use super::session::{self, abort, bounded, connect, words};
use crate::config::MariaDbTarget;
use crate::source::{SessionLease, SourceError};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row};
use std::time::Duration;
use tokio::time::Instant;

/// Connecting, authentication included, takes this long at most.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
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

/// The session that leads.
struct LeadingSession {
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

/// What came of asking for the lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lead {
    /// It is held by the session that had it.
    Kept,
    /// It is held by a new session, which knows nothing of the one before.
    New,
    /// Another relay has it.
    Elsewhere,
}

/// What a relay has of the lead: the session that holds it, if one does, and how long the next one may be silent. After a
/// failure of anything that is asked the session is lost, and the lead with it.
pub(super) struct Leadership {
    target: MariaDbTarget,
    one_of_several: bool,
    /// Of the next session, and of this one if it is shorter.
    lease: SessionLease,
    /// Another relay leads, as far as is known.
    stands_by: bool,
    session: Option<LeadingSession>,
}

impl Leadership {
    /// Of a relay of this database, which is alone; nothing is connected yet.
    pub fn new(target: MariaDbTarget) -> Self {
        Self {
            target,
            one_of_several: false,
            lease: SessionLease::ALONE,
            stands_by: false,
            session: None,
        }
    }

    /// Says whether the relay is one of several: then it stands by while another one leads, and loses the lead when it
    /// hangs.
    pub fn of_several(&mut self, one_of_several: bool) {
        self.one_of_several = one_of_several;
        self.lease = SessionLease::of(one_of_several);
    }

    /// Returns the database whose relays are led.
    pub fn target(&self) -> &MariaDbTarget {
        &self.target
    }

    /// Whether a session holds the lead, as far as is known.
    pub fn is_held(&self) -> bool {
        self.session.is_some()
    }

    /// Makes sure of the lead, within a bound: one that stands by says so before it waits, and one that is alone must lead.
    pub async fn take(&mut self) -> Result<Lead, SourceError> {
        if let Some(session) = &mut self.session {
            if session.is_alive().await {
                return Ok(Lead::Kept);
            }
            self.lose();
        }
        let patience = match self.one_of_several && !self.stands_by {
            true => Duration::ZERO,
            false => LEADER_WAIT,
        };
        self.session = lead(&self.target, self.lease, patience).await?;
        self.stands_by = self.session.is_none();
        match (self.stands_by, self.one_of_several) {
            (false, _) => Ok(Lead::New),
            (true, true) => Ok(Lead::Elsewhere),
            (true, false) => Err(SourceError::new(
                format!("lead the relays of {}", session::place(&self.target)),
                "another relay does; it must end first (see GET_LOCK in the process list)",
            )),
        }
    }

    /// Runs statements in one message, bounded in time.
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
        let Some(session) = &mut self.session else {
            return Err(SourceError::new(doing, "not connected"));
        };
        let answer = session.ask(within, doing, sql).await;
        self.or_lose(answer)
    }

    /// A session of which nothing is asked for a while is asked something, before the server ends it for its silence.
    pub async fn keep_alive(&mut self) -> Result<(), SourceError> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let kept = session.keep_alive().await;
        self.or_lose(kept)
    }

    /// Gives the session the lease that the relay has come back to.
    pub async fn shorten_lease(&mut self) -> Result<(), SourceError> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let shortened = session.shorten_lease(self.lease).await;
        self.or_lose(shortened)
    }

    /// Something became durable, and was confirmed.
    pub fn progressed(&mut self) {
        if let Some(session) = &mut self.session {
            self.lease.progressed(session.take_slowest());
        }
    }

    /// The session is of no more use.
    pub fn lose(&mut self) {
        if let Some(mut session) = self.session.take() {
            self.lease.lost(session.take_slowest());
            abort(session.connection);
        }
    }

    fn or_lose<T>(&mut self, result: Result<T, SourceError>) -> Result<T, SourceError> {
        if result.is_err() {
            self.lose();
        }
        result
    }

    /// Lets another relay lead, where there are several: perhaps it has more luck with the broker.
    pub async fn give_way(&mut self) {
        if self.one_of_several {
            self.end(true).await;
        }
    }

    /// Ends the session: with a good-bye where everything was answered, else at once.
    pub async fn end(&mut self, in_order: bool) {
        if let Some(session) = self.session.take() {
            match in_order {
                true => session::close(session.connection).await,
                false => abort(session.connection),
            }
        }
    }
}

/// Makes the session that leads the relays of this database, within a bound. It is `None` where another relay leads and
/// `patience` is over.
async fn lead(
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
        let doing = "ask for the relay leadership";
        let answer = session.ask(STATEMENT_TIMEOUT, doing, &sql).await?;
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

impl LeadingSession {
    async fn ask(
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
    async fn is_alive(&mut self) -> bool {
        let doing = "ask whether the session is alive";
        self.ask(STATEMENT_TIMEOUT, doing, "DO 1").await.is_ok()
    }

    async fn keep_alive(&mut self) -> Result<(), SourceError> {
        if self.asked.elapsed() < self.lease.renewal() {
            return Ok(());
        }
        let doing = "keep the relay's session alive";
        self.ask(STATEMENT_TIMEOUT, doing, "DO 1").await.map(drop)
    }

    async fn shorten_lease(&mut self, lease: SessionLease) -> Result<(), SourceError> {
        if self.lease == lease {
            return Ok(());
        }
        let settings = lease_settings(lease).map(|(name, value)| format!("{name} = {value}"));
        let sql = format!("SET {}", settings.join(", "));
        let doing = "shorten the session's lease";
        self.ask(STATEMENT_TIMEOUT, doing, &sql).await?;
        self.lease = lease;
        Ok(())
    }

    /// The longest time that an answer took since this was last asked.
    fn take_slowest(&mut self) -> Duration {
        std::mem::take(&mut self.slowest)
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
