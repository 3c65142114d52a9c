//! What is known of a run at a moment, for whoever shows it.

use super::breakage::Breakage;
use super::ending::Ending;
use super::expected::Promise;
use super::occasion::Occasion;
use crate::history::FenceStep;
use crate::nemesis::Turn;
use crate::run::lane_counts::LaneCounts;
use crate::scenario::{Expectation, Topology};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// Rates that are kept of each lane: more than any screen is wide.
pub const RATES: usize = 400;

/// How the lanes of a run are in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneOrder {
    /// All of them at once, with one timeline.
    Together,
    /// One after the other; the timeline is that of the lane whose turn it is.
    InTurn,
}

/// Where a lane is on its way.
#[derive(Debug, Clone, PartialEq)]
pub enum LanePhase {
    /// Its turn has not come.
    Waiting,
    /// Its parts are started.
    Rising,
    /// The load has begun, and orders come in.
    Load,
    /// The fence takes this step.
    Fence(FenceStep),
    /// The strategy is judged: `pass`, `fail` or `unknown`.
    Judged(String),
}

/// This is what is known of one lane, in which one strategy runs.
#[derive(Debug, Clone)]
pub struct LaneNow {
    /// The lane's strategy has this name in the scenario.
    pub name: String,
    /// The strategy is made of this.
    pub topology: Topology,
    /// The lane is in this phase, from its start to its verdict.
    pub phase: LanePhase,
    /// What is counted in it.
    pub counts: LaneCounts,
    /// What is expected of it.
    pub expectations: Vec<Expectation>,
    /// What became of that, once it is judged and that is known here.
    pub judged: Option<Vec<Promise>>,
    /// What is broken in it, by the places of the faults in the scenario.
    pub in_force: BTreeSet<u32>,
    /// Each look so far found so many changes committed and events seen a second, the newest last.
    pub rates: VecDeque<(u64, u64)>,
}

impl LaneNow {
    /// Adds the rates of a look, in changes committed and events seen a second.
    pub fn add_rate(&mut self, rate: (u64, u64)) {
        self.rates.push_back(rate);
        if self.rates.len() > RATES {
            self.rates.pop_front();
        }
    }
}

/// Something that is marked on the timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// It happened so many seconds after the load began.
    pub at_s: f64,
    /// This is what began or ended.
    pub breakage: Breakage,
    /// This tells whether it began or ended.
    pub turn: Turn,
}

/// All that is known at a moment.
#[derive(Debug, Clone)]
pub struct Now {
    /// What is shown, and in which words.
    pub occasion: Arc<Occasion>,
    /// Whether the lanes run at once.
    pub order: LaneOrder,
    /// So many seconds have passed since it began.
    pub s: f64,
    /// Seconds since the load began, and no more than it lasts; `None` before that.
    pub load_s: Option<f64>,
    /// How long the load lasts, in seconds.
    pub load_lasts_s: Option<f64>,
    /// The lanes are in the scenario's order.
    pub lanes: Vec<LaneNow>,
    /// These are the begins and ends of what was broken so far, the newest last.
    pub marks: Vec<Mark>,
    /// This tells what happened beside that, one line each.
    pub said: Vec<String>,
    /// This is the answer to the last key; `None` where nothing is to be said of one.
    pub answer: Option<String>,
    /// By its place in the scenario, what a fault breaks.
    pub breakages: Arc<[Breakage]>,
    /// Where the page is, where there is one.
    pub page: Option<String>,
    /// What came of it, once it is over.
    pub ending: Option<Ending>,
}

impl Now {
    /// Returns whether orders still come in, in any lane.
    pub fn is_under_load(&self) -> bool {
        let loaded = |lane: &LaneNow| lane.phase == LanePhase::Load;
        self.lanes.iter().any(loaded)
    }

    /// Returns the place of the lane whose turn it is, or was last: of lanes that run together, and before the first
    /// turn, the first.
    pub fn whose_turn(&self) -> usize {
        match self.order {
            LaneOrder::Together => 0,
            LaneOrder::InTurn => {
                let has_begun = |lane: &LaneNow| lane.phase != LanePhase::Waiting;
                self.lanes.iter().rposition(has_begun).unwrap_or(0)
            }
        }
    }

    /// Notes that a fault began or ended in the lane of this number, so many seconds after its load began.
    pub fn turned(&mut self, lane: usize, (fault, turn): (u32, Turn), at_s: Option<f64>) {
        let Some(lane) = self.lanes.get_mut(lane) else {
            return;
        };
        match turn {
            Turn::Injected => lane.in_force.insert(fault),
            Turn::Healed => lane.in_force.remove(&fault),
        };
        let breakage = self.breakages.get(fault as usize).cloned();
        let Some((breakage, at_s)) = breakage.zip(at_s) else {
            return;
        };
        // It is the same in all lanes, and the first tells it.
        let same = |m: &&Mark| m.breakage == breakage && m.turn == turn;
        let told = self.marks.iter().filter(same).count();
        let place = self.breakages[..fault as usize].iter();
        if told <= place.filter(|b| **b == breakage).count() {
            self.marks.push(Mark {
                at_s,
                breakage,
                turn,
            });
        }
    }
}
