//! The recoverer of two-phase commits: finishes what a coordinator left in doubt, on both sides the same way, as the
//! decision log says. It holds nothing of its own: whatever it had begun when it died, the next one does again.

mod broker;
mod frames;
mod log;
mod questions;

use crate::config::RecovererConfig;
use crate::pump::backoff::Backoff;
use crate::pump::terminated;
use crate::signal::{Signal, emit};
use broker::BrokerEnd;
use log::{DecisionLog, InDoubt};
use questions::{InDoubtAnswer, Questions};
use std::time::Duration;
use tokio::time::Instant;

/// The log is looked at this often.
const EVERY: Duration = Duration::from_millis(100);
/// Then PostgreSQL's side has its turn again, whatever Kafka has not answered.
const BROKER_WITHIN: Duration = Duration::from_millis(500);

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
    /// Transactions of Kafka that are to be ended.
    ends: Questions,
    /// Producers of such as have ended, which the broker is to take nothing of any more.
    fences: Questions,
    is_ready: bool,
    is_without_database: bool,
    is_without_broker: bool,
    ended: u64,
}

impl Recoverer {
    fn new(config: RecovererConfig) -> Self {
        Self {
            log: DecisionLog::new(&config),
            ends: Questions::to(&config.kafka.bootstrap),
            fences: Questions::to(&config.kafka.bootstrap),
            is_ready: false,
            is_without_database: false,
            is_without_broker: false,
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
        let (over, open): (Vec<_>, Vec<_>) = finished.into_iter().partition(|one| one.is_over);
        let until = Instant::now() + BROKER_WITHIN;
        self.end_at_broker(open, until).await?;
        let unfenced = over.into_iter().filter(|one| !one.is_fenced).collect();
        self.fence_at_broker(unfenced, until).await?;
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

    /// Ends transactions of Kafka, as many as are answered by `until`. An Err is the database's.
    async fn end_at_broker(&mut self, open: Vec<InDoubt>, until: Instant) -> Result<(), String> {
        self.ends.have(open);
        while let Some((one, answer)) = self.ends.next(until).await {
            match answer {
                Ok(InDoubtAnswer::Ended(end)) => {
                    self.has_broker();
                    self.has_ended(&one, &end).await?;
                }
                // (it is not asked here)
                Ok(InDoubtAnswer::Fenced(_)) => {}
                Err(reason) => {
                    tracing::warn!("{reason}");
                    self.lost_broker(reason);
                }
            }
        }
        Ok(())
    }

    /// Has the broker take nothing more of producers whose last transaction has ended, as far as it answers by `until`;
    /// what it cannot say yet is asked again in the next round. That it refuses keeps no transaction from being ended. An
    /// Err is the database's.
    async fn fence_at_broker(&mut self, over: Vec<InDoubt>, until: Instant) -> Result<(), String> {
        self.fences.have(over);
        while let Some((one, answer)) = self.fences.next(until).await {
            match answer {
                Ok(InDoubtAnswer::Fenced(true)) => {
                    self.log.connect().await?;
                    self.log.fenced(&one.producer.transactional_id).await?;
                }
                Ok(InDoubtAnswer::Fenced(false) | InDoubtAnswer::Ended(_)) => {}
                Err(reason) => tracing::warn!("{reason}"),
            }
        }
        Ok(())
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
        if std::mem::take(&mut self.is_without_broker) {
            emit(Signal::PublishUp);
        }
    }

    fn lost_broker(&mut self, reason: String) {
        self.is_without_broker = true;
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
