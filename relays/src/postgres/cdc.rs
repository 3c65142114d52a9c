//! The outbox, read from the write-ahead log through a logical replication slot (`pgoutput`).
//!
//! PostgreSQL sends transactions whole, in commit order: no polling, no skipped late commits. The
//! slot remembers what was acknowledged; a relay that starts again begins after that. What is
//! acknowledged is the end of a transaction before which every event is durable.
//!
//! Of several relays one has the slot, and the server gives it to nobody else meanwhile (`object_in_use`).
//! One that hangs sends no reports, so the server ends its session (`wal_sender_timeout`) and the slot is
//! free. What it had been sent by then it still publishes when it wakes up, in the order of the log and
//! without a gap, and so does its successor from what the slot has as acknowledged on, before which
//! everything is durable: whichever brings an event of an order first has brought all those before it that
//! were not there yet (see the polling source, where this is argued at length). Its reports go nowhere,
//! and a position that it has as acknowledged is one before which everything is durable, whoever reads
//! the slot.
//!
//! A relay whose reader waits for the rest of a row on a slow link sends no reports either. So after a loss its
//! next session has a longer lease (see `lease.rs`), or a transaction of such rows would never be read to its
//! end. The server takes a lease at the start of a session only: once the link is quick again, the relay lets
//! all that it has taken be confirmed, ends its session, and begins another one where the slot is, if no other
//! relay was quicker. That is what a relay does that ends, and one that starts: the argument is the same.

#[cfg(test)]
mod tests;

use super::pgoutput::{DecodeError, OutboxDecoder, OutboxRow};
use super::positions::Positions;
use super::session::{CONNECT_TIMEOUT, bounded, connect, place};
use super::sweeper::sweep_for_ever;
use crate::config::{CommitMode, Logged, PostgresTarget};
use crate::source::SessionLease;
use crate::source::{Source, SourceError, Standing};
use futures::FutureExt;
use pgwire_replication::{
    Lsn, PgWireError, ReplicationClient, ReplicationConfig, ReplicationEvent,
};
use sqlx::postgres::PgConnection;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::task::{JoinHandle, unconstrained, yield_now};
use tokio::time::Instant;

/// How often the position is reported at most.
const STATUS_INTERVAL: Duration = Duration::from_millis(100);
/// So many messages are read ahead at most; beyond them there is back-pressure on the server. A transaction
/// of one event has three.
const READ_AHEAD: usize = 1024;
/// Bytes of rows taken at a time, beyond which no more are.
const READ_BYTES: usize = 1 << 20;
/// A row larger than this cannot become a Kafka message anyway.
const MESSAGE_MAX: usize = 64 << 20;
/// Longest time that `next` waits.
const PATIENCE: Duration = Duration::from_millis(100);
/// The server writes at least twice as often (`wal_sender_timeout` below): a link that is silent
/// for so long is dead. One that is only slow brings the largest event across in that time.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long one call of `connect` waits for another relay to let go of the slot.
const SLOT_WAIT: Duration = Duration::from_secs(4);
/// So much time passes between two attempts to get the slot.
const SLOT_RETRY: Duration = Duration::from_millis(100);
/// This bounds each wait at the end: for the last transaction's end, for the last report and for the stream's end.
const LAST_REPORT: Duration = Duration::from_secs(2);
/// Further behind than this, throughput counts and not latency.
const BEHIND: Duration = Duration::from_millis(200);
/// Then the stream is read this much at a time: what a TCP socket's buffer holds easily.
const LAZY_READ: Duration = Duration::from_millis(2);
/// A Unix socket holds some two hundred of the server's packets, and the server is faster with it.
const LAZY_READ_LOCAL: Duration = Duration::from_micros(400);
/// This is 2000-01-01, where PostgreSQL's clock starts, as the time since the Unix epoch.
const POSTGRES_EPOCH: Duration = Duration::from_secs(946_684_800);

/// These settings make the replication session notice when the other side is gone.
///
/// `tcp_user_timeout` is not among them: that also ends a session whose reader is alive and does not read,
/// as it must while the broker is slow. The reports of this side are what shows that it is alive, and they
/// go on meanwhile.
const SESSION: &str = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 \
                       -c tcp_keepalives_count=3";
/// This is SQLSTATE `object_in_use`: another session holds the slot.
const OBJECT_IN_USE: &str = "55006";
/// This is SQLSTATE `undefined_object`, of a slot or of a publication.
const UNDEFINED_OBJECT: &str = "42704";
/// The server cannot stream from the slot as it is now; for ever, where it has removed log that the slot needs.
const NOT_IN_PREREQUISITE_STATE: &str = "55000";

/// Streams one outbox's inserts from its slot.
pub struct CdcSource {
    target: PostgresTarget,
    commit: CommitMode,
    slot: String,
    publication: String,
    logged: Logged,
    one_of_several: bool,
    /// These are the leases of the next session and of the running one: the server takes a lease at the start only.
    lease: SessionLease,
    session_lease: SessionLease,
    /// Another relay has the slot, as far as is known.
    stands_by: bool,
    /// Where one that stands by asks whether the slot is free.
    lookout: Option<PgConnection>,
    client: Option<ReplicationClient>,
    decoder: OutboxDecoder,
    positions: Positions,
    /// What the sweeper may know of them.
    acknowledged: Arc<AtomicU64>,
    sweeper: Option<JoinHandle<()>>,
    /// When the server was last heard of.
    heard: Instant,
    /// Longest wait for a row in this session, and among those since something was last confirmed. A row
    /// comes right after the beginning of its transaction or another row, so that is how long it took to arrive.
    slowest: Duration,
    slowest_lately: Option<Duration>,
    /// Time waited without a word from the server, and how much of it is enough.
    silent: Duration,
    silence_max: Duration,
    behind: bool,
    /// The last read took all that the socket had.
    dry: bool,
}

impl CdcSource {
    /// Makes a source for this slot and publication, which exist; it connects later.
    pub fn new(target: PostgresTarget, slot: String, publication: String) -> Self {
        Self {
            target,
            commit: CommitMode::default(),
            slot,
            publication,
            logged: Logged::default(),
            one_of_several: false,
            lease: SessionLease::ALONE,
            session_lease: SessionLease::ALONE,
            stands_by: false,
            lookout: None,
            client: None,
            decoder: OutboxDecoder::default(),
            positions: Positions::default(),
            acknowledged: Arc::new(AtomicU64::new(0)),
            sweeper: None,
            heard: Instant::now(),
            slowest: Duration::ZERO,
            slowest_lately: None,
            silent: Duration::ZERO,
            silence_max: SILENCE_MAX,
            behind: false,
            dry: false,
        }
    }

    /// Lets the sessions that delete rows commit in another mode than the default.
    pub fn committing(mut self, commit: CommitMode) -> Self {
        self.commit = commit;
        self
    }

    /// Says as what the events stand in the log. Rows are deleted once they are published, but for those that are
    /// kept; of messages nothing is left to be deleted, and their prefix is the schema.
    pub fn of(mut self, logged: Logged) -> Self {
        self.logged = logged;
        self
    }

    fn new_decoder(&self) -> OutboxDecoder {
        match self.logged {
            Logged::Row | Logged::Event => OutboxDecoder::default(),
            Logged::Message => OutboxDecoder::of_messages(self.target.schema.clone()),
        }
    }

    /// Says whether it is one of several: then it stands by while another one has the slot, and loses it when
    /// it hangs.
    pub fn of_several(mut self, one_of_several: bool) -> Self {
        self.one_of_several = one_of_several;
        self.lease = SessionLease::of(one_of_several);
        self
    }

    fn error(&self, doing: &str, reason: impl ToString) -> SourceError {
        let place = place(&self.target);
        SourceError::new(format!("{doing} slot {} at {place}", self.slot), reason)
    }

    /// What to do where nothing comes from the slot any more: the server has removed log that the slot needs, or has no
    /// such slot. The code alone does not say so: it is also that of a slot that is synchronised just now, of a database
    /// that takes no connections, or of a publication that is not there. Who cannot ask tries again, and who is told so
    /// by a standby: it gets its slots from its primary, and before it took that one's place they may still be on their
    /// way.
    async fn remedy_of_lost(&self) -> Option<&'static str> {
        let asked = async {
            let mut session = connect(&self.target, self.commit).await?;
            let sql = "SELECT pg_is_in_recovery(), (SELECT coalesce(wal_status = 'lost', false) \
                       FROM pg_replication_slots WHERE slot_name = $1)";
            let status = sqlx::query_as::<_, (bool, Option<bool>)>(sql).bind(&self.slot);
            bounded(
                "ask what became of the slot",
                status.fetch_one(&mut session),
            )
            .await
        };
        match asked.await {
            Ok((_, Some(true))) => Some(
                "what was committed since the slot's last position is in no log any more: publish what the outbox \
                 table still has, then make a new slot (and see max_slot_wal_keep_size)",
            ),
            Ok((false, None)) => Some(
                "this server has no such slot, as one that took the place of another does not where the slot was not \
                 made with `failover`; what was committed since the slot's last position comes from no slot any more: \
                 publish what the outbox table still has, then make a new slot",
            ),
            Ok((true, None) | (_, Some(false))) | Err(_) => None,
        }
    }

    /// Nothing that is done here brings it back, and to go on from a new slot would leave out what was between.
    fn lost_slot(&self, reason: String, remedy: &str) -> SourceError {
        SourceError {
            is_final: true,
            ..self.error("stream from", format!("{reason}; {remedy}"))
        }
    }

    fn config(&self) -> ReplicationConfig {
        let target = &self.target;
        let mut config = ReplicationConfig::new(
            &target.host,
            &target.user,
            &target.password,
            &target.database,
            // Sent as it is; a slot's name needs no quotes.
            &self.slot,
            self.publication.as_str(),
        );
        config.port = target.port;
        // The server goes on where the slot is, or here if this is later: after a lost connection
        // it may not have heard of the last acknowledgement, which need not be read again.
        config.start_lsn = Lsn(self.positions.acknowledged());
        config.status_interval = STATUS_INTERVAL;
        config.idle_wakeup_interval = Duration::from_secs(1);
        config.buffer_events = READ_AHEAD;
        config.max_message_size = MESSAGE_MAX;
        config.application_name = Some("outbox-relay".to_owned());
        let lease = self.lease.setting();
        config.options = Some(format!("{SESSION} -c wal_sender_timeout={lease}"));
        config
    }

    /// Starts the stream, once another session has let go of the slot; `None` if that takes too long.
    async fn start(&mut self) -> Result<Option<ReplicationClient>, SourceError> {
        // One of several says that it stands by before it waits.
        let patience = match self.one_of_several && !self.stands_by {
            true => Duration::ZERO,
            false => SLOT_WAIT,
        };
        let deadline = Instant::now() + patience;
        if self.stands_by && !self.is_set_free_by(deadline).await? {
            return Ok(None);
        }
        loop {
            let attempt = async {
                let mut client = ReplicationClient::connect(self.config()).await?;
                client.wait_started().await?;
                Ok(client)
            };
            match tokio::time::timeout(CONNECT_TIMEOUT, attempt).await {
                Ok(Ok(client)) => return Ok(Some(client)),
                Ok(Err(PgWireError::Server(reason)))
                    if sqlstate(&reason) == Some(OBJECT_IN_USE) =>
                {
                    if !self.is_set_free_by(deadline).await? {
                        return if self.one_of_several {
                            Ok(None)
                        } else {
                            Err(self.error("stream from", reason))
                        };
                    }
                }
                Ok(Err(PgWireError::Server(reason)))
                    if matches!(
                        sqlstate(&reason),
                        Some(NOT_IN_PREREQUISITE_STATE | UNDEFINED_OBJECT)
                    ) =>
                {
                    let remedy = self.remedy_of_lost().await;
                    return Err(match remedy {
                        Some(remedy) => self.lost_slot(reason, remedy),
                        None => self.error("stream from", reason),
                    });
                }
                Ok(Err(error)) => return Err(self.error("stream from", error)),
                Err(_) => {
                    let reason = format!("no answer within {CONNECT_TIMEOUT:?}");
                    return Err(self.error("stream from", reason));
                }
            }
        }
    }

    /// Waits until the slot is worth another try. One that stands by looks at the catalogue, in a session of
    /// its own: a try costs the server a walsender and a line of its log, a look next to nothing.
    async fn is_set_free_by(&mut self, deadline: Instant) -> Result<bool, SourceError> {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        if !self.one_of_several {
            tokio::time::sleep(SLOT_RETRY).await;
            return Ok(true);
        }
        let mut lookout = match self.lookout.take() {
            Some(lookout) => lookout,
            None => connect(&self.target, self.commit).await?,
        };
        let mut active = true;
        while active && Instant::now() < deadline {
            tokio::time::sleep(SLOT_RETRY).await;
            let query =
                sqlx::query_scalar("SELECT active FROM pg_replication_slots WHERE slot_name = $1")
                    .bind(&self.slot)
                    .fetch_optional(&mut lookout);
            let found: Option<bool> = bounded("ask whether the slot is free", query).await?;
            // One that is not there is an error of its own when it is tried.
            active = found.unwrap_or(false);
        }
        self.lookout = Some(lookout);
        Ok(!active)
    }

    fn begin_session(&mut self, client: ReplicationClient) {
        self.client = Some(client);
        self.lookout = None;
        // Tables are described anew in each session.
        self.decoder = self.new_decoder();
        self.session_lease = self.lease;
        (self.silent, self.behind) = (Duration::ZERO, false);
        (self.slowest, self.slowest_lately) = (Duration::ZERO, None);
        self.heard = Instant::now();
    }

    /// The session ended, and nobody here wanted it to. Of a row that was on its way nothing can be seen but that
    /// its transaction had begun.
    fn lose_session(&mut self) {
        let on_its_way = match self.positions.is_within_transaction() {
            true => self.heard.elapsed(),
            false => Duration::ZERO,
        };
        self.lease.lost(self.slowest.max(on_its_way));
    }

    /// Whether the session has a lease that was needed once, and is not any more: those who wait would wait for
    /// too long.
    fn outlives_its_lease(&self) -> bool {
        self.session_lease != self.lease && self.lease.is_least()
    }

    /// Another session, with the lease that the relay has come back to, in place of this one. Of nothing that
    /// was sent in this one is anything left to be confirmed, so events are counted on. Bounded in time.
    async fn renew_session(&mut self) -> Result<(), SourceError> {
        self.end_session().await?;
        // The server lets go of the slot a moment later, so it is waited for.
        self.stands_by = true;
        let started = self.start().await?;
        let Some(client) = started else {
            return Err(self.error("stream from", "another relay took it meanwhile"));
        };
        self.stands_by = false;
        self.begin_session(client);
        Ok(())
    }

    /// What the slot has as acknowledged.
    async fn slot_position(&self, session: &mut PgConnection) -> Result<u64, SourceError> {
        let query = sqlx::query_scalar(
            "SELECT coalesce((confirmed_flush_lsn - '0/0')::bigint, 0) FROM pg_replication_slots \
             WHERE slot_name = $1",
        )
        .bind(&self.slot)
        .fetch_one(session);
        let position: i64 = bounded("ask for the slot's position", query).await?;
        Ok(position as u64)
    }

    fn acknowledge(&mut self) {
        let position = self.positions.acknowledged();
        if let Some(client) = &self.client {
            client.update_applied_lsn(Lsn(position));
        }
        self.acknowledged.store(position, Ordering::Relaxed);
    }

    /// Ends the stream once the slot has what is acknowledged. Bounded in time.
    async fn end_session(&mut self) -> Result<(), SourceError> {
        let Some(mut client) = self.client.take() else {
            return Ok(());
        };
        // Ending the stream reports nothing by itself, and closing a socket with unread data in it
        // makes the server forget what it has not read: wait until the slot has the position.
        let position = self.positions.acknowledged();
        let wait = async {
            let mut session = connect(&self.target, self.commit).await?;
            while client.is_running() && self.slot_position(&mut session).await? < position {
                tokio::time::sleep(STATUS_INTERVAL / 10).await;
            }
            Ok(())
        };
        let reported = tokio::time::timeout(LAST_REPORT, wait).await;
        let ended = tokio::time::timeout(LAST_REPORT, client.shutdown()).await;
        client.abort();
        match (reported, ended) {
            (Ok(Ok(())), Ok(Ok(()))) => Ok(()),
            (Ok(Err(error)), _) => Err(error),
            (_, Ok(Err(error))) => Err(self.error("end the stream from", error)),
            (Err(_), _) | (_, Err(_)) => {
                let reason = format!("no answer within {LAST_REPORT:?}");
                Err(self.error("end the stream from", reason))
            }
        }
    }

    /// Reads up to the end of the transaction whose events were taken, if no more of them come: a
    /// transaction can only be acknowledged by its end.
    async fn finish_transaction(&mut self) {
        while self.positions.is_within_transaction() {
            let Some(client) = &mut self.client else {
                return;
            };
            let Ok(Some(event)) = client.recv().await else {
                return;
            };
            let mut rows = VecDeque::new();
            if self.take(event, &mut rows).is_err() || !rows.is_empty() {
                return;
            }
        }
        self.acknowledge();
    }

    /// What was sent already, if anything: in the channel, or in the socket for the reading task to
    /// fetch. Without the runtime's budget, which would end each turn after 128 messages.
    async fn more(&mut self) -> Option<Result<Option<ReplicationEvent>, PgWireError>> {
        let client = self.client.as_mut()?;
        if let Some(more) = unconstrained(client.recv()).now_or_never() {
            return Some(more);
        }
        yield_now().await;
        unconstrained(client.recv()).now_or_never()
    }

    /// Takes note of it; says how many bytes it added to the batch.
    fn take(
        &mut self,
        event: ReplicationEvent,
        batch: &mut VecDeque<OutboxRow>,
    ) -> Result<usize, SourceError> {
        match event {
            ReplicationEvent::Begin {
                final_lsn,
                commit_time_micros,
                ..
            } => {
                self.decoder.begin(final_lsn.0);
                self.positions.begin();
                self.behind = age(commit_time_micros) > BEHIND;
            }
            ReplicationEvent::XLogData { data, .. } => {
                let bytes = data.len();
                let row = self.decoder.decode(data);
                return self.keep(row, bytes, batch);
            }
            ReplicationEvent::Message {
                transactional,
                prefix,
                content,
                ..
            } => {
                let bytes = content.len();
                let row = self
                    .decoder
                    .message(transactional, prefix.as_bytes(), content);
                return self.keep(row, bytes, batch);
            }
            ReplicationEvent::Commit { end_lsn, .. } => self.positions.commit(end_lsn.0),
            ReplicationEvent::KeepAlive { wal_end, .. } => {
                self.behind = false;
                self.positions.sent_up_to(wal_end.0);
            }
            ReplicationEvent::StoppedAt { .. } => {}
        }
        Ok(0)
    }

    /// Adds what was decoded to the batch, if it is an event; returns how many bytes that added.
    fn keep(
        &mut self,
        decoded: Result<Option<OutboxRow>, DecodeError>,
        bytes: usize,
        batch: &mut VecDeque<OutboxRow>,
    ) -> Result<usize, SourceError> {
        let Some(row) = decoded.map_err(|e| self.error("decode", e))? else {
            return Ok(0);
        };
        self.positions.event();
        batch.push_back(row);
        Ok(bytes)
    }
}

/// Returns the code that the client library puts behind a server's message, whose words depend on the
/// server's `lc_messages`; `None` if there is none.
fn sqlstate(reason: &str) -> Option<&str> {
    let (_, code) = reason.rsplit_once("(SQLSTATE ")?;
    code.strip_suffix(')')
}

/// How long ago a transaction was committed, by the clocks of both sides. A difference between
/// them can at worst make the reading lazy, which costs two milliseconds.
fn age(commit_time_micros: i64) -> Duration {
    let committed = Duration::from_micros(commit_time_micros.max(0) as u64) + POSTGRES_EPOCH;
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .saturating_sub(committed)
}

impl Source for CdcSource {
    type Item = OutboxRow;

    async fn connect(&mut self) -> Result<Standing, SourceError> {
        if self.client.is_some() {
            return Ok(Standing::Leads);
        }
        self.positions.restart();
        let started = self.start().await?;
        self.stands_by = started.is_none();
        let Some(client) = started else {
            // What it acknowledged is no longer what the slot has.
            if let Some(sweeper) = self.sweeper.take() {
                sweeper.abort();
            }
            return Ok(Standing::StandsBy);
        };
        self.begin_session(client);
        if self.sweeper.is_none() && self.logged == Logged::Row {
            let acknowledged = Arc::clone(&self.acknowledged);
            let sweeper = sweep_for_ever(self.target.clone(), self.commit, acknowledged);
            self.sweeper = Some(tokio::spawn(sweeper));
        }
        Ok(Standing::Leads)
    }

    /// As many as the publisher takes; none before a session is renewed.
    fn accepts(&self, unconfirmed: u64) -> bool {
        unconfirmed == 0 || !self.outlives_its_lease()
    }

    /// Cancel-safe where something is unconfirmed: it waits for the next message only, and what was read is in
    /// `batch`.
    async fn next(&mut self, batch: &mut VecDeque<OutboxRow>) -> Result<(), SourceError> {
        if self.outlives_its_lease() && self.positions.is_all_confirmed() {
            return self.renew_session().await;
        }
        if self.behind && self.dry {
            // The walsender makes a packet of each event. With a backlog, waking up for each of
            // them is most of the work; letting them gather in the socket's buffer a few
            // milliseconds at a time is four times cheaper. This must stop the whole thread, and
            // the reading task with it. Deliveries are on threads of their own.
            std::thread::sleep(if self.target.host.starts_with('/') {
                LAZY_READ_LOCAL
            } else {
                LAZY_READ
            });
        }
        self.dry = false;
        let Some(client) = &mut self.client else {
            return Err(self.error("read from", "not connected"));
        };
        let Ok(mut received) = tokio::time::timeout(PATIENCE, client.recv()).await else {
            self.silent += PATIENCE;
            if self.silent < self.silence_max {
                return Ok(());
            }
            self.lose_session();
            let reason = format!("not a word for {:?}; the link seems dead", self.silent);
            return Err(self.error("read from", reason));
        };
        self.silent = Duration::ZERO;
        let mut waited = self.heard.elapsed();
        // What is there already comes along.
        let mut bytes = 0;
        loop {
            match received {
                Ok(Some(event)) => {
                    let taken = self.take(event, batch)?;
                    if taken > 0 {
                        self.slowest = self.slowest.max(waited);
                        self.slowest_lately = self.slowest_lately.max(Some(waited));
                    }
                    bytes += taken;
                    waited = Duration::ZERO;
                }
                Ok(None) => {
                    self.lose_session();
                    return Err(self.error("read from", "the server ended the stream"));
                }
                Err(error) => {
                    self.lose_session();
                    return Err(self.error("read from", error));
                }
            }
            if batch.len() >= READ_AHEAD || bytes >= READ_BYTES {
                break;
            }
            match self.more().await {
                Some(more) => received = more,
                None => {
                    self.dry = true;
                    break;
                }
            }
        }
        self.heard = Instant::now();
        self.acknowledge();
        Ok(())
    }

    fn confirm(&mut self, events: u64) {
        let before = self.positions.settled();
        self.positions.confirm(events);
        self.acknowledge();
        if self.positions.settled() > before
            && let Some(slowest) = self.slowest_lately.take()
        {
            self.lease.progressed(slowest);
        }
    }

    /// Returns how many events are acknowledged to the stream's reader, which reports it every tenth of a second.
    fn settled(&self) -> Option<u64> {
        Some(self.positions.settled())
    }

    async fn rewind(&mut self) {
        if let Some(mut client) = self.client.take() {
            // Hard: a broken link would not let it end well. The server sees the socket closed.
            client.abort();
        }
        self.positions.restart();
    }

    async fn close(&mut self) -> Result<(), SourceError> {
        if let Some(sweeper) = self.sweeper.take() {
            sweeper.abort();
        }
        let finish = tokio::time::timeout(LAST_REPORT, self.finish_transaction()).await;
        if finish.is_err() {
            tracing::debug!("the last transaction's end did not come");
        }
        self.end_session().await
    }
}
