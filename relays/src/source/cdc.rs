//! The outbox, read from the write-ahead log through a logical replication slot (`pgoutput`).
//!
//! PostgreSQL sends transactions whole, in commit order: no polling, no skipped late commits. The
//! slot remembers what was acknowledged; a relay that starts again begins after that. What is
//! acknowledged is the end of a transaction before which every event is durable.

#[cfg(test)]
mod tests;

use super::pgoutput::{OutboxDecoder, OutboxRow};
use super::positions::Positions;
use super::session::{CONNECT_TIMEOUT, bounded, connect, place};
use super::sweeper::sweep_for_ever;
use super::{Source, SourceError};
use crate::config::{CommitMode, PostgresTarget};
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
/// Messages read ahead; back-pressure on the server beyond them. A transaction of one event has
/// three.
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
/// Between two attempts to get the slot.
const SLOT_RETRY: Duration = Duration::from_millis(100);
/// Bound of the wait for the last report at the end, and of the end.
const LAST_REPORT: Duration = Duration::from_secs(2);
/// Further behind than this, throughput counts and not latency.
const BEHIND: Duration = Duration::from_millis(200);
/// Then the stream is read this much at a time: what a TCP socket's buffer holds easily.
const LAZY_READ: Duration = Duration::from_millis(2);
/// A Unix socket holds some two hundred of the server's packets, and the server is faster with it.
const LAZY_READ_LOCAL: Duration = Duration::from_micros(400);
/// 2000-01-01, where PostgreSQL's clock starts.
const POSTGRES_EPOCH: Duration = Duration::from_secs(946_684_800);

/// Settings of the replication session: notice when the other side is gone.
///
/// Not `tcp_user_timeout`: that also ends a session whose reader is alive and does not read, as it must
/// while the broker is slow. The reports of this side are what shows that it is alive, and they go
/// on meanwhile.
const SESSION: &str = "-c wal_sender_timeout=30s -c tcp_keepalives_idle=5 \
                       -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3";
/// SQLSTATE `object_in_use`: another session holds the slot.
const OBJECT_IN_USE: &str = "55006";

/// Streams one outbox's inserts from its slot.
pub struct CdcSource {
    target: PostgresTarget,
    commit: CommitMode,
    slot: String,
    publication: String,
    client: Option<ReplicationClient>,
    decoder: OutboxDecoder,
    positions: Positions,
    /// What the sweeper may know of them.
    acknowledged: Arc<AtomicU64>,
    sweeper: Option<JoinHandle<()>>,
    /// Time waited without a word from the server, and how much of it is enough.
    silent: Duration,
    silence_max: Duration,
    behind: bool,
    /// The last read took all that the socket had.
    dry: bool,
}

impl CdcSource {
    /// For this slot and publication, which exist; connects later.
    pub fn new(target: PostgresTarget, slot: String, publication: String) -> Self {
        Self {
            target,
            commit: CommitMode::default(),
            slot,
            publication,
            client: None,
            decoder: OutboxDecoder::default(),
            positions: Positions::default(),
            acknowledged: Arc::new(AtomicU64::new(0)),
            sweeper: None,
            silent: Duration::ZERO,
            silence_max: SILENCE_MAX,
            behind: false,
            dry: false,
        }
    }

    /// With the sessions that delete rows in another mode than the default.
    pub fn committing(mut self, commit: CommitMode) -> Self {
        self.commit = commit;
        self
    }

    fn error(&self, doing: &str, reason: impl ToString) -> SourceError {
        let place = place(&self.target);
        SourceError::new(format!("{doing} slot {} at {place}", self.slot), reason)
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
        config.options = Some(SESSION.to_owned());
        config
    }

    /// Starts the stream, once another session has let go of the slot.
    async fn start(&self) -> Result<ReplicationClient, SourceError> {
        let deadline = Instant::now() + SLOT_WAIT;
        loop {
            let attempt = async {
                let mut client = ReplicationClient::connect(self.config()).await?;
                client.wait_started().await?;
                Ok(client)
            };
            match tokio::time::timeout(CONNECT_TIMEOUT, attempt).await {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(PgWireError::Server(reason)))
                    if sqlstate(&reason) == Some(OBJECT_IN_USE) && Instant::now() < deadline =>
                {
                    tokio::time::sleep(SLOT_RETRY).await;
                }
                Ok(Err(error)) => return Err(self.error("stream from", error)),
                Err(_) => {
                    let reason = format!("no answer within {CONNECT_TIMEOUT:?}");
                    return Err(self.error("stream from", reason));
                }
            }
        }
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
                if let Some(row) = row.map_err(|e| self.error("decode", e))? {
                    self.positions.event();
                    batch.push_back(row);
                    return Ok(bytes);
                }
            }
            ReplicationEvent::Commit { end_lsn, .. } => self.positions.commit(end_lsn.0),
            ReplicationEvent::KeepAlive { wal_end, .. } => {
                self.behind = false;
                self.positions.sent_up_to(wal_end.0);
            }
            ReplicationEvent::Message { .. } | ReplicationEvent::StoppedAt { .. } => {}
        }
        Ok(0)
    }
}

/// The code that the client library puts behind a server's message, whose words depend on the
/// server's `lc_messages`.
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

    async fn connect(&mut self) -> Result<(), SourceError> {
        if self.client.is_some() {
            return Ok(());
        }
        self.positions.restart();
        // Tables are described anew in each session.
        self.decoder = OutboxDecoder::default();
        self.client = Some(self.start().await?);
        (self.silent, self.behind) = (Duration::ZERO, false);
        if self.sweeper.is_none() {
            let acknowledged = Arc::clone(&self.acknowledged);
            let sweeper = sweep_for_ever(self.target.clone(), self.commit, acknowledged);
            self.sweeper = Some(tokio::spawn(sweeper));
        }
        Ok(())
    }

    /// As many as the publisher takes.
    fn accepts(&self, _unconfirmed: u64) -> bool {
        true
    }

    /// Cancel-safe: it waits for the next message only, and what was read is in `batch`.
    async fn next(&mut self, batch: &mut VecDeque<OutboxRow>) -> Result<(), SourceError> {
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
            let reason = format!("not a word for {:?}; the link seems dead", self.silent);
            return Err(self.error("read from", reason));
        };
        self.silent = Duration::ZERO;
        // What is there already comes along.
        let mut bytes = 0;
        loop {
            match received {
                Ok(Some(event)) => bytes += self.take(event, batch)?,
                Ok(None) => return Err(self.error("read from", "the server ended the stream")),
                Err(error) => return Err(self.error("read from", error)),
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
        self.acknowledge();
        Ok(())
    }

    fn confirm(&mut self, events: u64) {
        self.positions.confirm(events);
        self.acknowledge();
    }

    /// Acknowledged to the reader of the stream, which reports it every tenth of a second.
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
}
