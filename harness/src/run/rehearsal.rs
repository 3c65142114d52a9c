//! Before strategies are compared, the stack does their kind of work for a while, unmeasured.
//!
//! Whatever strategy came first would otherwise pay for what has just been started: a broker's JVM
//! that still interprets, a log whose files were never written, proxies and caches that are cold.

use super::context::Context;
use super::deployment::Deployment;
use super::strategy;
use super::{Event, RunError, ScenarioRun};
use crate::clock::RunClock;
use crate::fence::patience::Patience;
use crate::observer::Observer;
use crate::scenario::{BrokerChoice, Scenario, Strategy, StrategyKind};
use crate::workload::{self, Progress};
use relays::config::{CommitMode, DatabaseKind, WriteOrder};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// No strategy's name begins with `_`.
const NAME: &str = "_rehearsal";
/// Its closed loop has so many clients: enough to keep two cores busy, not so many that they wait in line.
const CLIENTS: usize = 16;
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);
/// The observer's start is bounded by this.
const OBSERVER_WITHIN: Duration = Duration::from_secs(60);
/// Bound on the answers to what was sent, once it was enough.
const ANSWERS_WITHIN: Duration = Duration::from_secs(15);
/// A rehearsal commits and publishes so many bytes of content at most (and a round more).
const CONTENT_BYTES_MAX: u64 = 256 << 20;

/// How long a rehearsal lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rehearsal {
    /// For a broker whose compiler is soon done.
    Brief,
    /// The rehearsal goes on until the stack gets no faster.
    UntilSteady,
}

impl Rehearsal {
    const ROUND: Duration = Duration::from_secs(1);

    /// Returns how many rounds it lasts at most.
    fn rounds_max(self) -> u32 {
        match self {
            Self::Brief => 3,
            Self::UntilSteady => 30,
        }
    }
}

/// Watches how many orders each round had.
#[derive(Debug, Default)]
struct SteadyState {
    best: u64,
    rounds_since: u32,
}

impl SteadyState {
    /// After so many rounds without a gain it is steady: a JVM's compiler has plateaus of three seconds.
    const PATIENCE: u32 = 6;

    /// Whether the last rounds brought no gain that is more than noise.
    fn is_steady_after(&mut self, orders: u64) -> bool {
        if orders > self.best + self.best / 20 {
            self.best = orders;
            self.rounds_since = 0;
        } else {
            self.rounds_since += 1;
        }
        self.rounds_since >= Self::PATIENCE
    }
}

/// Has orders placed and published with the workload's own sizes, partitions and proxies, by a dual
/// write: it alone uses every server in each request. That a stack is slow or fails some of it is no
/// failure; that it cannot be set up is one.
pub(crate) async fn rehearse(
    scenario_run: &ScenarioRun<'_>,
    rehearsal: Rehearsal,
) -> Result<(), RunError> {
    let longest = Rehearsal::ROUND * rehearsal.rounds_max();
    let text = match rehearsal {
        Rehearsal::Brief => format!("rehearsal: {} s of orders, unmeasured", longest.as_secs()),
        Rehearsal::UntilSteady => format!(
            "rehearsal: orders, unmeasured, until the stack gets no faster, for {} s at most",
            longest.as_secs()
        ),
    };
    scenario_run.reporter.event(Event::Note { text });
    let scenario = scenario(scenario_run.scenario, longest);
    let context = Context {
        scenario: &scenario,
        keep: false,
        trace: false,
        lane: None,
        ..scenario_run.context()
    };
    // A server of its own speed is none the faster for what another one did.
    let mut systems: Vec<(DatabaseKind, BrokerChoice)> = Vec::new();
    for strategy in scenario_run.chosen() {
        let own = (strategy.database, strategy.broker.kind());
        if systems
            .iter()
            .all(|(database, broker)| (*database, broker.kind()) != own)
        {
            systems.push((strategy.database, strategy.broker.clone()));
        }
    }
    for (database, broker) in systems {
        strategy::in_deployment(
            &context,
            &dual_write(database, broker),
            async |deployment| place_orders(&context, deployment, rehearsal).await,
        )
        .await?;
    }
    Ok(())
}

/// The scenario's own, but for its load, which is as much as the stack takes.
fn scenario(of: &Scenario, longest: Duration) -> Scenario {
    let mut scenario = of.clone();
    scenario.consumers.clear();
    let workload = &mut scenario.workload;
    workload.clients = Some(CLIENTS);
    workload.duration = longest;
    workload.hold_ratio = 0.0;
    workload.request_timeout = PUBLISH_TIMEOUT * 2;
    scenario
}

/// Writes to this database, and publishes to this broker.
fn dual_write(database: DatabaseKind, broker: BrokerChoice) -> Strategy {
    Strategy {
        name: NAME.to_owned(),
        kind: StrategyKind::DualWrite {
            order: WriteOrder::CommitThenPublish,
            publish_timeout: Some(PUBLISH_TIMEOUT),
            policy: relays::publish::PublishPolicy::default(),
        },
        linger_ms: 0.0,
        relay_commit: CommitMode::default(),
        failover_slot: false,
        instances: 1,
        broker,
        database,
        cache: None,
        expectations: Vec::new(),
        of_consumers: Vec::new(),
    }
}

async fn place_orders(
    context: &Context<'_>,
    deployment: &Deployment<'_>,
    rehearsal: Rehearsal,
) -> Result<(), RunError> {
    let clock = RunClock::start();
    let patience = Patience::new(context.interrupted.clone());
    let asked = ("starting the rehearsal's observer", OBSERVER_WITHIN);
    let _observer = context
        .bounded(&patience, asked, Observer::start(deployment.watch(clock)))
        .await?;
    let progress = Arc::new(Progress::default());
    let payload_bytes = context.scenario.workload.payload_bytes as u64;
    let load = deployment.load(clock, Arc::clone(&progress));
    let (halt, halted) = watch::channel(false);
    let loaded = workload::offer(load, clock.now_ns(), halted);
    tokio::pin!(loaded);
    tokio::select! {
        _ = &mut loaded => {}
        () = enough(&progress, rehearsal, payload_bytes) => {
            let _ = halt.send(true);
            // What is not answered by then goes with the order service.
            let _ = patience.give(ANSWERS_WITHIN, loaded).await;
        }
        failed = context.stack.ends_by_itself() => return Err(failed.into()),
        () = patience.interruption() => return Err(RunError::Interrupted {
            folder: context.folder.to_owned(),
        }),
    }
    if progress.acknowledged.load(Ordering::Relaxed) == 0 {
        let text =
            "no order of the rehearsal was acknowledged: the first strategy may be worse off";
        context.reporter.event(Event::Note {
            text: text.to_owned(),
        });
    }
    Ok(())
}

async fn enough(progress: &Progress, rehearsal: Rehearsal, payload_bytes: u64) {
    let mut pace = SteadyState::default();
    let mut before = 0;
    for _ in 0..rehearsal.rounds_max() {
        tokio::time::sleep(Rehearsal::ROUND).await;
        let now = progress.acknowledged.load(Ordering::Relaxed);
        let steady = rehearsal == Rehearsal::UntilSteady && pace.is_steady_after(now - before);
        if steady || now.saturating_mul(payload_bytes) > CONTENT_BYTES_MAX {
            return;
        }
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds_until_steady(orders: &[u64]) -> Option<usize> {
        let mut pace = SteadyState::default();
        orders.iter().position(|n| pace.is_steady_after(*n))
    }

    #[test]
    fn given_a_stack_that_gets_faster_over_plateaus_when_rehearsed_then_it_goes_on() {
        // As a broker's JVM with C2 did on two cores.
        let cold = [
            226, 604, 929, 1094, 1225, 1183, 1114, 1238, 1621, 1460, 1686, 1394, 1583, 1810, 2067,
            2172, 2412, 2133, 2162, 2158, 2148, 2338, 2397, 2076,
        ];
        assert_eq!(rounds_until_steady(&cold), Some(22));
    }

    #[test]
    fn given_a_stack_that_is_warm_when_rehearsed_then_it_is_soon_over() {
        assert_eq!(
            rounds_until_steady(&[2000, 2050, 1900, 2090, 2010, 1990, 2000, 2000]),
            Some(6)
        );
    }

    #[test]
    fn given_a_stack_that_does_nothing_when_rehearsed_then_it_ends() {
        assert_eq!(rounds_until_steady(&[0; 10]), Some(5));
    }
}
