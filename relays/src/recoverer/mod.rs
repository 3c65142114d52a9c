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
use std::time::Duration;

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
    async fn round(&mut self) -> Result<(), String> {
        let in_doubt = self.log.take().await?;
        self.has_database();
        for one in in_doubt {
            self.finish(&one).await?;
        }
        Ok(())
    }

    /// PostgreSQL's side first: it can always be done, and whoever asks for the order then sees it.
    async fn finish(&mut self, one: &InDoubt) -> Result<(), String> {
        if let Some(gid) = &one.gid {
            self.log.finish(gid, one.is_commit).await?;
            let what = if one.is_commit {
                "committed"
            } else {
                "rolled back"
            };
            tracing::info!(gid, "{what} a transaction that was in doubt");
        }
        if one.is_over {
            return Ok(());
        }
        let end = match broker::end(&self.bootstrap, &one.producer, one.is_commit).await {
            Ok(end) => end,
            Err(reason) => {
                tracing::warn!("{reason}");
                self.lost_broker(reason);
                return Ok(());
            }
        };
        self.has_broker();
        let state = state_of(&end, one.is_commit);
        let id = &one.producer.transactional_id;
        if let (BrokerEnd::Otherwise(reason), true) = (&end, one.is_commit) {
            tracing::error!(
                reason,
                transactional_id = id,
                "heuristic outcome: it was decided, and committed in PostgreSQL, and Kafka has aborted it"
            );
        }
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
