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
//! Why that holds for several relays, one of which hangs (SIGSTOP, a long collection of garbage) and wakes
//! up again. The lock is its session's, and so is the transaction of its claim: the server ends that
//! session when nothing is heard of it for a lease, rolls the claim back and lets go of the lock, in this
//! order. Whoever leads next finds the rows where they were and begins at the first of them. The one that
//! wakes up learns that its session is gone when it next asks something; until then it publishes what it
//! has claimed: what is in its producer, in its hands, and in its socket (the answer to a claim that the
//! server has rolled back since). So two relays publish the same events, and the topic has both sequences,
//! shuffled. No event of an order appears before an earlier one of that order all the same: each sequence
//! begins at an event before which everything is durable, and goes on without a gap within each order;
//! so whichever of the two brings an event first has brought, before it, all those of its order that were
//! not there when it began. What the late one adds are copies behind the first: at least once allows them.
//! For this it needs no fence at the broker. It would need one if a relay left out anything that it had
//! claimed, or if it claimed anew without asking the server whether it still leads: both go through the
//! session that holds the lock. Nothing of this depends on how long the lease is, so it may be learned (see
//! `lease.rs`): on a link on which an answer takes longer, sessions would end for ever before their claims
//! are committed.
//!
//! Why each claim starts at the lowest `seq` that is there, and not where the last one ended.
//! Sequence numbers are drawn before the commit: a transaction that takes its time commits a lower
//! `seq` than some that were published. A low-water mark in the claim skips it; and with a full
//! look-up only now and then, a later event of the same order overtakes it meanwhile. What starting
//! from the front costs, passing the index entries of deleted rows, the scan pays once: it marks
//! them dead as it goes, and vacuum removes them.

use super::claiming::{ClaimedRow, claim};
use super::housekeeping::Housekeeper;
use super::leadership::{LEADER_WAIT, another_leads, leads_before};
use super::session::{bounded, connect, connect_for, options, place};
use super::transaction::{Ending, Transaction, claim_of};
use crate::config::{AfterPublish, CommitMode, Housekeeping, PostgresTarget};
use crate::postgres::schema::quote_identifier;
use crate::source::SessionLease;
use crate::source::{Source, SourceError, Standing};
use futures::TryStreamExt;
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgListener, PgPoolOptions};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// One call of `next` sleeps this long at most.
const PATIENCE: Duration = Duration::from_millis(100);
/// The end of the last transaction takes this long at most: what is not committed by then is published again by the
/// next relay.
const CLOSE_MAX: Duration = Duration::from_secs(4);
/// This long passes between two attempts to listen for notifications again.
const LISTEN_RETRY: Duration = Duration::from_millis(500);

/// The session that holds the leadership.
struct Leader {
    connection: PgConnection,
    transaction: Transaction,
    /// These are the rows of the last claim, each with its `seq`; the vector is kept to be filled again.
    rows: Vec<(i64, ClaimedRow)>,
    /// As the server has it.
    lease: SessionLease,
    /// When something was last asked of the session.
    asked: Instant,
    /// How long the answer to the last claim took, or did not come.
    answered_in: Duration,
    /// The highest `seq` of any claim of this session, or of what was found published when it began.
    claimed: i64,
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
    commit: CommitMode,
    after_publish: AfterPublish,
    housekeeper: Housekeeper,
    interval: Duration,
    batch: u32,
    notify: bool,
    one_of_several: bool,
    /// Of the next session, and of this one if it is shorter.
    lease: SessionLease,
    /// Another relay leads, as far as is known.
    stands_by: bool,
    hints: Option<Hints>,
    leader: Option<Leader>,
    /// The next session begins with this transaction if the last one failed; `None` if it did not.
    begin_with: Option<Transaction>,
    /// Rows of all claims whose commit was answered.
    settled: u64,
    /// Nothing was there: not before this.
    next_poll: Instant,
}

impl PollingSource {
    /// Returns a source for this outbox, which connects later. With `notify` it also listens on the channel named as
    /// the schema: a notification ends a pause early, and nothing depends on it.
    pub fn new(
        target: PostgresTarget,
        after_publish: AfterPublish,
        interval: Duration,
        batch: u32,
        notify: bool,
    ) -> Self {
        Self {
            housekeeper: Housekeeper::new(Housekeeping::None, &target.schema),
            target,
            commit: CommitMode::default(),
            after_publish,
            interval,
            batch: batch.max(1),
            notify,
            one_of_several: false,
            lease: SessionLease::ALONE,
            stands_by: false,
            hints: None,
            leader: None,
            begin_with: None,
            settled: 0,
            next_poll: Instant::now(),
        }
    }

    /// Returns the source with commits in another mode than the default.
    pub fn committing(mut self, commit: CommitMode) -> Self {
        self.commit = commit;
        self
    }

    /// Returns the source as one that keeps the outbox small in this way, which must be that of the outbox.
    pub fn keeping_house(mut self, housekeeping: Housekeeping) -> Self {
        self.housekeeper = Housekeeper::new(housekeeping, &self.target.schema);
        self
    }

    /// Makes the relay one of several, or alone: one of several stands by while another one leads, and loses the lead
    /// when it hangs.
    pub fn of_several(mut self, one_of_several: bool) -> Self {
        self.one_of_several = one_of_several;
        self.lease = SessionLease::of(one_of_several);
        self
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
    /// there is no other. A row's place in its table tells it from all others, unless the tables are several.
    fn preparation(&self) -> String {
        let outbox = format!("{}.outbox", quote_identifier(&self.target.schema));
        let (place, of_index) = match self.housekeeper.has_tables() {
            true => ("seq", "status = 'pending' AND "),
            false => ("ctid", ""),
        };
        let first = |condition: &str| {
            format!(
                "{of_index}{place} = ANY (ARRAY(SELECT {place} FROM {outbox} {condition} ORDER BY seq LIMIT $1 \
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
            "SET default_transaction_isolation = 'read committed'; \
             SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off; \
             SET plan_cache_mode = force_generic_plan; PREPARE outbox_claim(bigint) AS {claim}"
        )
    }

    /// Waits, within a bound, until no other relay leads.
    async fn lead(&self, connection: &mut PgConnection) -> Result<Standing, SourceError> {
        // One of several says that it stands by before it waits.
        let patience = match self.one_of_several && !self.stands_by {
            true => Duration::ZERO,
            false => LEADER_WAIT,
        };
        let deadline = Instant::now() + patience;
        if leads_before(connection, &self.target.schema, deadline).await? {
            return Ok(Standing::Leads);
        }
        if self.one_of_several {
            return Ok(Standing::StandsBy);
        }
        Err(another_leads(&self.outbox()))
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

    /// Claims the next rows for `batch`, after the commit that is due; says whether there were any.
    async fn claim(&mut self, batch: &mut VecDeque<ClaimedRow>) -> Result<bool, SourceError> {
        let wrong = |reason: &str| SourceError::new("claim rows of the outbox", reason);
        let Some(leader) = &mut self.leader else {
            return Err(wrong("not connected"));
        };
        leader.transaction.bound_by(leader.lease);
        let sql = leader.transaction.next_claim();
        let sql = sql.ok_or_else(|| wrong("the last claim is not settled"))?;
        let began = Instant::now();
        let claimed = claim(&mut leader.connection, &sql, &mut leader.rows).await;
        leader.asked = Instant::now();
        let answered_in = leader.asked - began;
        let slowest = answered_in.max(leader.answered_in);
        leader.answered_in = if claimed.is_ok() {
            answered_in
        } else {
            slowest
        };
        let answer = claimed?;
        leader.transaction.came_over(answer.spread);
        let settled = leader.transaction.note(leader.rows.len(), answer.bytes);
        let last = leader.rows.last().map_or(0, |(seq, _)| *seq);
        leader.claimed = leader.claimed.max(last);
        let some = !leader.rows.is_empty();
        batch.extend(leader.rows.drain(..).map(|(_, row)| row));
        self.settled += settled;
        if settled > 0 {
            self.lease.progressed(slowest);
        }
        Ok(some)
    }

    /// Gives the session the lease that the relay has come back to.
    async fn shorten_lease(&mut self) -> Result<(), SourceError> {
        let lease = self.lease;
        let Some(leader) = &mut self.leader else {
            return Ok(());
        };
        if leader.lease == lease {
            return Ok(());
        }
        let sql: String = (lease.settings().iter())
            .map(|(name, value)| format!("SET {name} = {value};"))
            .collect();
        leader.asked = Instant::now();
        let set = sqlx::raw_sql(AssertSqlSafe(sql.as_str())).execute(&mut leader.connection);
        bounded("shorten the session's lease", set).await?;
        leader.lease = lease;
        Ok(())
    }

    /// Keeps the outbox small, if that is due, after the commit of what is open.
    async fn keep_house(&mut self) -> Result<(), SourceError> {
        if !self.housekeeper.is_due() {
            return Ok(());
        }
        self.end_transaction().await?;
        let Some(leader) = &mut self.leader else {
            return Ok(());
        };
        leader.asked = Instant::now();
        (self.housekeeper)
            .keep(&mut leader.connection, leader.claimed)
            .await
    }

    /// A session of which nothing is asked for a while is asked something: the server ends one that is
    /// silent for a lease, and a slow broker may need longer for its events.
    async fn keep_session(&mut self) -> Result<(), SourceError> {
        let Some(leader) = &mut self.leader else {
            return Ok(());
        };
        if leader.asked.elapsed() < leader.lease.renewal() {
            return Ok(());
        }
        leader.asked = Instant::now();
        let ask = sqlx::raw_sql("SELECT 1").execute(&mut leader.connection);
        bounded("keep the relay's session alive", ask).await?;
        Ok(())
    }

    /// Ends the open transaction: commits it if its events are durable.
    async fn end_transaction(&mut self) -> Result<(), SourceError> {
        let Some(leader) = &mut self.leader else {
            return Ok(());
        };
        let Some(end) = leader.transaction.ending() else {
            return Ok(());
        };
        if end == Ending::Commit {
            leader.transaction.learn();
        }
        let began = Instant::now();
        let run = sqlx::raw_sql(end.statement()).execute(&mut leader.connection);
        bounded("end the claim's transaction", run).await?;
        let slowest = began.elapsed().max(leader.answered_in);
        let ended = leader.transaction.end();
        let settled = match end {
            Ending::Commit => ended,
            Ending::Rollback => 0,
        };
        self.settled += settled;
        if settled > 0 {
            self.lease.progressed(slowest);
        }
        Ok(())
    }
}

impl Source for PollingSource {
    type Item = ClaimedRow;

    async fn connect(&mut self) -> Result<Standing, SourceError> {
        if let Some(leader) = &mut self.leader {
            let alive = sqlx::raw_sql("SELECT 1").execute(&mut leader.connection);
            let alive = bounded("ask whether the session is alive", alive).await;
            if alive.is_ok() {
                return Ok(Standing::Leads);
            }
            self.leader = None;
        }
        let mut connection = connect_for(&self.target, self.commit, self.lease).await?;
        let standing = self.lead(&mut connection).await?;
        self.stands_by = standing == Standing::StandsBy;
        if self.stands_by {
            return Ok(standing);
        }
        self.listen();
        let preparation = self.preparation();
        let prepare = sqlx::raw_sql(AssertSqlSafe(preparation.as_str())).execute(&mut connection);
        bounded(
            &format!("prepare to claim from the {}", self.outbox()),
            prepare,
        )
        .await?;
        let claimed = self.housekeeper.claimed_before(&mut connection).await?;
        self.leader = Some(Leader {
            connection,
            transaction: (self.begin_with.take()).unwrap_or_else(|| Transaction::new(self.batch)),
            rows: Vec::new(),
            lease: self.lease,
            asked: Instant::now(),
            answered_in: Duration::ZERO,
            claimed,
        });
        self.next_poll = Instant::now();
        Ok(Standing::Leads)
    }

    /// Allows one transaction at a time: a failure of two that overlap would have to undo both in the right order,
    /// and claiming one in parts while its first events are on their way cost the server more than the relay gained.
    fn accepts(&self, unconfirmed: u64) -> bool {
        unconfirmed == 0
    }

    async fn next(&mut self, batch: &mut VecDeque<ClaimedRow>) -> Result<(), SourceError> {
        if !self.rest().await {
            return self.keep_session().await;
        }
        self.shorten_lease().await?;
        self.keep_house().await?;
        let began = Instant::now();
        if !self.claim(batch).await? {
            // Not idle in a transaction: that would hold vacuum back, and hints too.
            self.end_transaction().await?;
            self.next_poll = began + self.interval;
        }
        Ok(())
    }

    async fn keep_alive(&mut self) -> Result<(), SourceError> {
        self.keep_session().await
    }

    fn confirm(&mut self, events: u64) {
        if let Some(leader) = &mut self.leader {
            leader.transaction.confirm(events);
        }
    }

    fn settled(&self) -> Option<u64> {
        Some(self.settled)
    }

    async fn rewind(&mut self) {
        // The answer that did not come may still be on its way, and hold up whatever is asked next.
        let is_answered = (self.leader.as_ref()).is_some_and(|l| !l.transaction.is_in_doubt());
        let is_usable = is_answered && self.end_transaction().await.is_ok();
        match &mut self.leader {
            None => {}
            // The server rolls back when it sees the connection gone.
            Some(leader) if !is_usable => {
                self.lease.lost(leader.answered_in);
                self.begin_with = Some(leader.transaction.after_failure());
                self.leader = None;
            }
            // Perhaps another relay has more luck with the broker.
            Some(_) if self.one_of_several => self.leader = None,
            Some(leader) => leader.transaction.restart(),
        }
    }

    async fn close(&mut self) -> Result<(), SourceError> {
        let ended = tokio::time::timeout(CLOSE_MAX, self.end_transaction()).await;
        self.leader = None;
        self.hints = None;
        ended.unwrap_or_else(|_| {
            let doing = format!("end the last transaction on the {}", self.outbox());
            Err(SourceError::new(doing, format!("not within {CLOSE_MAX:?}")))
        })
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
        .connect_with(
            options(target, CommitMode::default()).options([("idle_session_timeout", "0")]),
        )
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
    let mut connection = connect(&source.target, source.commit).await?;
    let preparation = source.preparation();
    let prepare = sqlx::raw_sql(AssertSqlSafe(preparation.as_str())).execute(&mut connection);
    bounded("prepare to claim", prepare).await?;
    let first = claim_of(source.batch, false);
    let further = claim_of(source.batch, true);
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
