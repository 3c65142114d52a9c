//! A run that somebody watches: its strategies run at the same time, side by side in lanes, and keys break
//! things for all of them at once. Its figures are for show: lanes take each other's time.

use super::keyboard::Keyboard;
use super::{Event, Ran, Reporter, RunError, ScenarioRun, one_strategy};
use crate::scenario::Scenario;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Barrier, Mutex};

/// Lanes wait so long for each other before their loads begin: one that cannot be raised holds up no other for
/// ever.
const TOGETHER_WITHIN: Duration = Duration::from_secs(30);

/// What is counted of a lane by a moment; a count is `None` where it is not known. In a run that goes on it is counted
/// around all proxies, and `committed` and `missing` are looked up in the database: they are exact for the moment of
/// the look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneCounts {
    /// This counts the changes in the database.
    pub committed: Option<u64>,
    /// This counts the different valid events on the topic.
    pub events: Option<u64>,
    /// This counts the committed changes without an event so far.
    pub missing: Option<u64>,
    /// Those of them whose event can no longer come; 0 where an outbox still holds them.
    pub lost: Option<u64>,
    /// There are at least so many events on the topic without a change in the database.
    pub phantom: Option<u64>,
    /// This counts the valid events beyond the first of each.
    pub duplicated: Option<u64>,
    /// From answer to first sight, the 99th percentile of what was seen in the last seconds; `None` where nothing was.
    pub propagation_p99: Option<Duration>,
}

impl LaneCounts {
    /// Nothing has happened yet.
    pub const ZERO: Self = Self {
        committed: Some(0),
        events: Some(0),
        missing: Some(0),
        lost: Some(0),
        phantom: Some(0),
        duplicated: Some(0),
        propagation_p99: None,
    };
}

/// An audience watches the lanes. It is called from several threads, and must not block for long.
pub trait Audience: Send + Sync {
    /// Something happened in the lane of this number.
    fn event(&self, lane: usize, event: Event);
    /// What is counted in it now.
    fn counts(&self, lane: usize, counts: LaneCounts);
}

/// What makes a run one that is watched.
#[derive(Clone)]
pub struct Stage {
    /// This takes the presses of keys, which are the triggers of faults.
    pub keyboard: Arc<Keyboard>,
    /// This is told what happens in each lane, and what is counted there.
    pub audience: Arc<dyn Audience>,
}

/// A lane is one strategy's place beside the others.
#[derive(Clone)]
pub struct Lane {
    /// This is the lane's number, from 0, in the order of the strategies.
    pub number: usize,
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

/// This reporter hands the events of a lane to the audience.
struct LaneReporter {
    lane: usize,
    audience: Arc<dyn Audience>,
}

impl Reporter for LaneReporter {
    fn event(&self, event: Event) {
        self.audience.event(self.lane, event);
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
            number,
            way,
            stage: stage.clone(),
            begin: Arc::clone(&begin),
        };
        way += usize::from(strategy.topology().relays);
        let reporter: Arc<dyn Reporter> = Arc::new(LaneReporter {
            lane: number,
            audience: Arc::clone(&stage.audience),
        });
        let judging = &judging;
        async move {
            let mut context = scenario_run.context();
            context.reporter = &reporter;
            context.lane = Some(lane);
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
