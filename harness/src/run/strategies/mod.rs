//! What each kind of strategy brings to a run: the shape of its outbox, how the order service writes (or
//! another one in its place), its relay, and how its source is asked what it still holds. One kind, one file, one line in [`of`].

mod cdc;
pub(crate) mod debezium;
mod dual_write;
mod event_sourcing;
mod external;
mod logical_message;
mod polling;
mod two_phase_commit;

use super::RunError;
use super::deployment::Deployment;
use crate::database::{OutboxKind, TruthQuery};
use crate::process::reaper::Reaper;
use crate::process::{ChildSpec, Stop};
use crate::scenario::{Instance, Strategy, StrategyKind};
use crate::stack::Stack;
use futures::FutureExt;
use futures::future::BoxFuture;
use relays::config::{Isolation, WritePathConfig};
use std::path::Path;
use std::time::Duration;

/// An event that a source still holds, as the source tells of it.
pub(crate) enum Held<'a> {
    /// Its text, and where in the log its commit is (0: it is in no log).
    Event { lsn: u64, payload: &'a str },
    /// The source gives the id of the attempt that made it.
    Attempt(&'a str),
    /// It is not held any more, and never comes: the attempt was decided, and the broker has aborted it by itself.
    Heuristic(&'a str),
}

/// Hears of each event that is held.
pub(crate) type Keep<'a> = &'a mut (dyn FnMut(Held<'_>) + Send);

/// These are the parts that a kind of strategy brings. What is not said here is the same for all of them.
pub(crate) trait StrategyParts: Send + Sync {
    /// Returns which tables it has beside `orders`.
    fn outbox(&self) -> OutboxKind;

    /// What of the database is its own.
    fn isolation(&self) -> Isolation {
        Isolation::Schema
    }

    /// How our order service makes a change durable and announced; not asked where there is another.
    fn write_path(&self, deployment: &Deployment<'_>) -> WritePathConfig;

    /// The process of an order service that takes the place of ours, where it brings one.
    fn service(&self, deployment: &Deployment<'_>) -> Result<Option<ChildSpec>, RunError> {
        let _ = deployment;
        Ok(None)
    }

    /// How such a service tells what it committed; nothing where ours keeps `orders`.
    fn truth(&self, deployment: &Deployment<'_>) -> Option<TruthQuery> {
        let _ = deployment;
        None
    }

    /// Tries what will be asked at the end, now that everything is up and there is nothing to tell.
    fn try_out<'a>(
        &'a self,
        deployment: &'a Deployment<'_>,
    ) -> BoxFuture<'a, Result<(), RunError>> {
        let _ = deployment;
        async { Ok(()) }.boxed()
    }

    /// The process of one of its relays, where it has any.
    fn relay(
        &self,
        deployment: &Deployment<'_>,
        instance: Instance,
    ) -> Result<Option<ChildSpec>, RunError>;

    /// Hands over what its source still holds, and counts it. Its relay is dead by then.
    fn pending<'a>(
        &'a self,
        deployment: &'a Deployment<'_>,
        keep: Keep<'a>,
    ) -> BoxFuture<'a, Result<u64, String>>;

    /// Names who keeps every relay from some of what the source still holds, where it can be somebody that is no part of
    /// the strategy.
    fn held_up<'a>(
        &'a self,
        deployment: &'a Deployment<'_>,
    ) -> BoxFuture<'a, Result<Option<String>, String>> {
        let _ = deployment;
        async { Ok(None) }.boxed()
    }

    /// What it needs beside the stack is there, or is made so before anything is timed; `log` is for
    /// what that says.
    fn make_ready<'a>(
        &'a self,
        stack: &'a Stack,
        reaper: &'a Reaper,
        log: &'a Path,
    ) -> BoxFuture<'a, Result<(), RunError>> {
        let _ = (stack, reaper, log);
        async { Ok(()) }.boxed()
    }

    /// Makes what it needs in the database beyond [`StrategyParts::outbox`].
    fn lay_out<'a>(
        &'a self,
        deployment: &'a Deployment<'_>,
    ) -> BoxFuture<'a, Result<(), RunError>> {
        let _ = deployment;
        async { Ok(()) }.boxed()
    }

    /// Topics of one partition that it needs beside that of the events; their names begin with that
    /// one's, so that what dead runs leave is found.
    fn topics_beside(&self, topic: &str) -> Vec<String> {
        let _ = topic;
        Vec::new()
    }

    /// How long the order service may take for a publish; nothing where it does not publish, and
    /// `request_timeout` where nothing bounds it.
    fn publish_within(&self, request_timeout: Duration) -> Duration {
        let _ = request_timeout;
        Duration::ZERO
    }

    /// How its relay is told to end.
    fn stop(&self) -> Stop {
        Stop::default()
    }

    /// What is to be said of its relay's end, once it was told to end: whether it went by itself, and its
    /// exit code where no signal ended it.
    fn unusual_end(&self, by_itself: bool, exit_code: Option<i32>) -> Option<String> {
        let _ = exit_code;
        (!by_itself).then(|| "the relay had to be killed".to_owned())
    }

    /// The same of an order service that is not ours.
    fn unusual_end_of_service(&self, by_itself: bool, exit_code: Option<i32>) -> Option<String> {
        let _ = (by_itself, exit_code);
        None
    }

    /// How an order service that is not ours is told to end; nothing where it is.
    fn stop_service(&self) -> Option<Stop> {
        None
    }

    /// Whether its relay is started again when it ends by itself.
    fn restarts(&self) -> bool {
        false
    }

    /// Whether its relay finishes what the order service left prepared in the database.
    fn recovers(&self) -> bool {
        false
    }

    /// Says whose commits wait for the disk, in the record's words; nothing where no relay commits.
    fn relay_commit(&self) -> Option<String>;

    /// What the record says of the surroundings of the strategy of this name, beside that: names and
    /// values.
    fn describe(&self, stack: &Stack, name: &str) -> Vec<(String, String)> {
        let _ = (stack, name);
        Vec::new()
    }
}

/// Returns what this strategy's kind brings.
pub(crate) fn of(strategy: &Strategy) -> Box<dyn StrategyParts> {
    match &strategy.kind {
        StrategyKind::DualWrite {
            order,
            publish_timeout,
            policy,
        } => Box::new(dual_write::DualWrite {
            order: *order,
            publish_timeout: *publish_timeout,
            policy: *policy,
        }),
        StrategyKind::Polling {
            after_publish,
            housekeeping,
            interval,
            batch,
            notify,
        } => Box::new(polling::Polling {
            after_publish: *after_publish,
            housekeeping: *housekeeping,
            interval: *interval,
            batch: *batch,
            notify: *notify,
            commit: strategy.relay_commit,
        }),
        StrategyKind::Cdc {} => Box::new(cdc::Cdc {
            commit: strategy.relay_commit,
        }),
        StrategyKind::LogicalMessage {} => Box::new(logical_message::LogicalMessage),
        StrategyKind::EventSourcing { publish } => {
            Box::new(event_sourcing::EventSourcing { publish: *publish })
        }
        StrategyKind::Debezium {} => Box::new(debezium::Debezium),
        StrategyKind::TwoPhaseCommit {
            publish_timeout,
            transaction_timeout,
            in_doubt_after,
            producers,
        } => Box::new(two_phase_commit::TwoPhaseCommit {
            publish_timeout: *publish_timeout,
            transaction_timeout: *transaction_timeout,
            in_doubt_after: *in_doubt_after,
            producers: *producers,
        }),
        StrategyKind::External { relay } => Box::new(external::External {
            relay: relay.clone(),
        }),
    }
}
