//! A run on a stage: its strategies run at the same time, side by side in lanes, and keys break things for all of
//! them at once. Its figures are for show: lanes take each other's time.

use super::keyboard::Keyboard;
use super::look_pace::LookPace;
use super::{Ran, RunError, ScenarioRun, one_strategy};
use crate::scenario::Scenario;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Barrier, Mutex};

/// Lanes wait so long for each other before their loads begin: one that cannot be raised holds up no other for
/// ever.
const TOGETHER_WITHIN: Duration = Duration::from_secs(30);

/// What makes a run one on a stage.
#[derive(Clone)]
pub struct Stage {
    /// This takes the presses of keys, which are the triggers of faults.
    pub keyboard: Arc<Keyboard>,
}

/// A lane is one strategy's place beside the others.
#[derive(Clone)]
pub struct Lane {
    /// Its relay's way to the broker is that of the relay of this index: of one way there is one proxy.
    pub way: usize,
    /// What all lanes have in common.
    pub stage: Stage,
    begin: Arc<Barrier>,
}

impl Lane {
    /// Waits until every lane is ready, for a bounded time.
    pub async fn begins_with_the_others(&self) {
        let _ = tokio::time::timeout(TOGETHER_WITHIN, self.begin.wait()).await;
    }

    /// The scenario as it was played so far.
    pub fn played(&self, scenario: &Scenario) -> Scenario {
        self.stage.keyboard.played(scenario)
    }
}

/// Runs all strategies at the same time; what fails in one lane leaves the others as they are.
pub(super) async fn run(scenario_run: &ScenarioRun<'_>, stage: &Stage) -> Ran {
    let chosen = scenario_run.chosen();
    let begin = Arc::new(Barrier::new(chosen.len()));
    // The offences of all of them go to one file.
    let judging = Mutex::new(());
    let mut way = 0;
    let lanes = chosen.into_iter().enumerate().map(|(number, strategy)| {
        let lane = Lane {
            way,
            stage: stage.clone(),
            begin: Arc::clone(&begin),
        };
        way += usize::from(strategy.topology().relays);
        let reporter = scenario_run.reporter.of_lane(number);
        let judging = &judging;
        async move {
            let mut context = scenario_run.context();
            context.reporter = &reporter;
            context.lane = Some(lane);
            context.looked_at = Some(LookPace::Often);
            one_strategy(&context, strategy, judging).await
        }
    });
    let mut ran = Ran::default();
    for done in futures::future::join_all(lanes).await {
        match done {
            Ok(judged) => ran.judged.push(judged),
            // What failed first, in the order of the strategies, explains the rest.
            Err(error) => {
                ran.failure.get_or_insert(error);
            }
        }
    }
    if ran.failure.is_none() && *scenario_run.interrupted.borrow() {
        let folder = scenario_run.folder.to_owned();
        ran.failure = Some(RunError::Interrupted { folder });
    }
    ran
}
