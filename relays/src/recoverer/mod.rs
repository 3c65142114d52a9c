//! The recoverer of two-phase commits: finishes what a coordinator left in doubt, on both sides the same way, as the
//! decision log says. It holds nothing of its own: whatever it had begun when it died, the next one does again.

mod broker;
mod frames;
mod log;

use crate::config::RecovererConfig;
use crate::pump::backoff::Backoff;
use crate::pump::terminated;
use crate::signal::{Signal, emit};
use broker::BrokerEnd;
use log::{DecisionLog, InDoubt};
use std::time::{Duration, Instant};

/// The log is looked at this often.
const EVERY: Duration = Duration::from_millis(100);

/// Recovers until SIGTERM, reconnecting with back-off on either side. Blocks its thread.
pub fn run(config: RecovererConfig) -> Result<(), String> {
    recover(config, terminated())
}

/// Recovers as [`run`] does, until `stop` completes.
pub fn recover(config: RecovererConfig, stop: impl Future<Output = ()>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("start the recoverer's runtime: {e}"))?;
    runtime.block_on(async {
        let work = Recoverer::new(config).work();
        tokio::select! {
            () = stop => {}
            () = work => {}
        }
    });
    Ok(())
}

struct Recoverer {
    log: DecisionLog,
    bootstrap: String,
    is_ready: bool,
    is_without_database: bool,
    is_without_broker: bool,
    /// Kafka is not asked before this, after it could not be.
    broker_from: Instant,
    broker_backoff: Backoff,
    /// This transaction could not be ended when one was last that could not.
    failed_last: Option<String>,
    ended: u64,
}

impl Recoverer {
    fn new(config: RecovererConfig) -> Self {
        Self {
            log: DecisionLog::new(&config),
            bootstrap: config.kafka.bootstrap,
            is_ready: false,
            is_without_database: false,
            is_without_broker: false,
            broker_from: Instant::now(),
            broker_backoff: Backoff::default(),
            failed_last: None,
            ended: 0,
        }
    }

    async fn work(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let pause = match self.round().await {
                Ok(()) => {
                    backoff.reset();
                    EVERY
                }
                Err(reason) => {
                    tracing::warn!("{reason}");
                    self.lost_database(reason);
                    backoff.next()
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Takes what is in doubt and finishes what it can; an Err is the database's.
    ///
    /// PostgreSQL's side of all first: it needs no broker, and what is prepared keeps its locks.
    async fn round(&mut self) -> Result<(), String> {
        let in_doubt = self.log.take().await?;
        self.has_database();
        let (finished, failure) = self.finish_prepared(in_doubt).await?;
        let in_kafka = finished
            .into_iter()
            .filter(|one| !one.is_over || !one.is_fenced)
            .collect();
        self.end_in_kafka(in_kafka).await?;
        failure.map_or(Ok(()), Err)
    }

    /// Commits and rolls back what is prepared. One that cannot be ended is no reason not to end the others: what
    /// could be is returned, with the first failure. An Err is a database that is away.
    async fn finish_prepared(
        &mut self,
        in_doubt: Vec<InDoubt>,
    ) -> Result<(Vec<InDoubt>, Option<String>), String> {
        let mut finished = Vec::with_capacity(in_doubt.len());
        let mut failure = None;
        for one in in_doubt {
            if let Some(gid) = &one.gid {
                self.log.connect().await?;
                if let Err(reason) = self.log.finish(gid, one.is_commit).await {
                    failure.get_or_insert(format!("{gid}: {reason}"));
                    continue;
                }
                let what = match one.is_commit {
                    true => "committed",
                    false => "rolled back",
                };
                tracing::info!(gid, "{what} a transaction that was in doubt");
            }
            finished.push(one);
        }
        Ok((finished, failure))
    }

    /// Ends transactions of Kafka, and fences the producers of those that have ended, up to the first where that cannot be
    /// done, since a broker that is away costs seconds; the next ones are tried after a pause, those behind it first.
    async fn end_in_kafka(&mut self, mut in_kafka: Vec<InDoubt>) -> Result<(), String> {
        if Instant::now() < self.broker_from {
            return Ok(());
        }
        in_kafka.sort_by(|a, b| {
            let of = |one: &InDoubt| one.producer.transactional_id.clone();
            of(a).cmp(&of(b))
        });
        let behind = in_kafka.partition_point(|one| {
            let failed = self.failed_last.as_ref();
            failed.is_some_and(|failed| one.producer.transactional_id <= *failed)
        });
        in_kafka.rotate_left(behind);
        for one in &in_kafka {
            let done = match one.is_over {
                true => self.fence(&one.producer.transactional_id).await?,
                false => self.end(one).await?,
            };
            match done {
                Ok(()) => self.has_broker(),
                Err(reason) => {
                    tracing::warn!("{reason}");
                    self.lost_broker(reason);
                    self.failed_last = Some(one.producer.transactional_id.clone());
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Ends a transaction of Kafka. The outer Err is the database's, the inner one the broker's.
    async fn end(&mut self, one: &InDoubt) -> Result<Result<(), String>, String> {
        match broker::end(&self.bootstrap, &one.producer, one.is_commit).await {
            Ok(end) => self.has_ended(one, &end).await.map(Ok),
            Err(reason) => Ok(Err(reason)),
        }
    }

    /// Has the broker take nothing of a producer any more whose last transaction has ended; what it cannot say yet is
    /// asked again in the next round. The Errs are those of [`Recoverer::end`].
    async fn fence(&mut self, transactional_id: &str) -> Result<Result<(), String>, String> {
        match broker::fence(&self.bootstrap, transactional_id).await {
            Ok(true) => {
                self.log.connect().await?;
                self.log.fenced(transactional_id).await.map(Ok)
            }
            Ok(false) => Ok(Ok(())),
            Err(reason) => Ok(Err(reason)),
        }
    }

    /// Writes down that both sides have ended, and says so.
    async fn has_ended(&mut self, one: &InDoubt, end: &BrokerEnd) -> Result<(), String> {
        let state = state_of(end, one.is_commit);
        let id = &one.producer.transactional_id;
        if let (BrokerEnd::Otherwise(reason), true) = (end, one.is_commit) {
            tracing::error!(
                reason,
                transactional_id = id,
                "heuristic outcome: it was decided, and committed in PostgreSQL, and Kafka has aborted it"
            );
        }
        self.log.connect().await?;
        self.log.end(id, state).await?;
        self.ended += 1;
        emit(Signal::Progress {
            taken: self.ended,
            delivered: self.ended,
            confirmed: self.ended,
        });
        Ok(())
    }

    fn has_database(&mut self) {
        if std::mem::take(&mut self.is_without_database) {
            emit(Signal::DatabaseUp);
        }
        if !std::mem::replace(&mut self.is_ready, true) {
            emit(Signal::Ready);
        }
    }

    fn lost_database(&mut self, reason: String) {
        if self.is_ready && !std::mem::replace(&mut self.is_without_database, true) {
            emit(Signal::DatabaseLost { reason });
        }
    }

    fn has_broker(&mut self) {
        self.broker_backoff.reset();
        if std::mem::take(&mut self.is_without_broker) {
            emit(Signal::PublishUp);
        }
    }

    fn lost_broker(&mut self, reason: String) {
        self.is_without_broker = true;
        self.broker_from = Instant::now() + self.broker_backoff.next();
        emit(Signal::PublishFailed { count: 1, reason });
    }
}

/// What the log says of a transaction that has ended so. One that was to be aborted has nothing on the topic,
/// whatever the broker calls it.
fn state_of(end: &BrokerEnd, is_commit: bool) -> &'static str {
    match (is_commit, end) {
        (false, _) => "aborted",
        (true, BrokerEnd::AsAsked) => "committed",
        (true, BrokerEnd::Otherwise(_)) => "heuristic",
    }
}
