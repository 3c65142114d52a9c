//! A finished run as it was at a moment, in the terms of the live view. All lanes count from the begin of their own load.

use crate::cli::demo::programme::breakage_of;
use crate::cli::live::breakage::Breakage;
use crate::cli::live::ending::Ending;
use crate::cli::live::expected::Promise;
use crate::cli::live::now::{LaneNow, LaneOrder, LanePhase, Mark, Now, RATES};
use crate::cli::live::occasion::Occasion;
use crate::course::{CourseFault, CourseStage, Snapshot};
use crate::nemesis::Turn;
use crate::run::lane_counts::LaneCounts;
use crate::run::replay::{Replay, ReplayLane};
use std::sync::Arc;
use std::time::Duration;

const SIDE_BY_SIDE: &str =
    "the strategies ran one after the other; here each begins with its own load";

/// A run and what came of it, of which every moment can be asked for.
pub struct Replayed {
    replay: Replay,
    occasion: Arc<Occasion>,
    breakages: Arc<[Breakage]>,
    /// Begins and ends of what was broken, in the first lane in which it was, by time.
    marks: Vec<Mark>,
    /// When each strategy was judged, and with what verdict, by time.
    judged: Vec<(f64, String)>,
    ending: Ending,
}

impl Replayed {
    /// Prepares it; what came of the run is known from the start.
    pub fn new(replay: Replay, occasion: Occasion, ending: Ending) -> Self {
        let faults = replay.scenario.faults.iter().enumerate();
        let breakages: Arc<[Breakage]> = faults
            .map(|(number, fault)| breakage_of(number, fault))
            .collect();
        let mut judged: Vec<(f64, String)> = replay
            .lanes
            .iter()
            .map(|lane| {
                let name = &lane.strategy.name;
                let verdict = verdict(&replay, lane);
                (
                    seconds(lane.course.lasts_ns()),
                    format!("{name} is judged: {verdict}"),
                )
            })
            .collect();
        judged.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self {
            marks: marks(&replay, &breakages),
            occasion: Arc::new(occasion),
            breakages,
            judged,
            replay,
            ending,
        }
    }

    /// How long the run is, from the begin of the load to the last verdict, in seconds.
    pub fn lasts_s(&self) -> f64 {
        let lasts = self.replay.lanes.iter().map(|lane| lane.course.lasts_ns());
        seconds(lasts.max().unwrap_or(0))
    }

    /// How long the load is.
    pub fn load_lasts_s(&self) -> f64 {
        let lasts = self.replay.lanes.iter();
        seconds(
            lasts
                .map(|lane| lane.course.load_lasts_ns())
                .max()
                .unwrap_or(0),
        )
    }

    /// The moments at which something begins or ends, in seconds.
    pub fn turns_s(&self) -> Vec<f64> {
        let loads = self
            .replay
            .lanes
            .iter()
            .map(|lane| lane.course.load_lasts_ns());
        let marks = self.marks.iter().map(|mark| mark.at_s);
        let judged = self.judged.iter().map(|(at_s, _)| *at_s);
        loads.map(seconds).chain(marks).chain(judged).collect()
    }

    /// What came of it.
    pub fn ending(&self) -> &Ending {
        &self.ending
    }

    /// What is known of it so many seconds after the load began.
    pub fn now(&self, at_s: f64) -> Now {
        let load_lasts_s = self.load_lasts_s();
        let is_over = at_s >= self.lasts_s();
        let intro = (self.replay.lanes.len() > 1 && !self.replay.at_the_same_time)
            .then(|| SIDE_BY_SIDE.to_owned());
        let judged = self.judged.iter().filter(|(then_s, _)| *then_s <= at_s);
        let lanes = self.replay.lanes.iter();
        Now {
            occasion: Arc::clone(&self.occasion),
            // Side by side, whenever each ran.
            order: LaneOrder::Together,
            s: at_s,
            load_s: Some(at_s.clamp(0.0, load_lasts_s)),
            load_lasts_s: Some(load_lasts_s),
            lanes: lanes.map(|lane| self.lane(lane, at_s)).collect(),
            marks: self
                .marks
                .iter()
                .filter(|mark| mark.at_s <= at_s)
                .cloned()
                .collect(),
            said: intro
                .into_iter()
                .chain(judged.map(|(_, said)| said.clone()))
                .collect(),
            answer: is_over.then(|| self.ending.verdict.clone()),
            breakages: Arc::clone(&self.breakages),
            page: None,
            ending: is_over.then(|| self.ending.clone()),
        }
    }

    fn judged_promises(&self, name: &str) -> Option<Vec<Promise>> {
        let mut all = self.replay.record.strategies.iter();
        let judged = all.find(|s| s.name == name)?;
        Some(judged.expectations.iter().map(Promise::judged).collect())
    }

    fn lane(&self, lane: &ReplayLane, at_s: f64) -> LaneNow {
        let at_ns = nanoseconds(at_s);
        let course = &lane.course;
        let snapshot = course.at(at_ns);
        let in_force = course.faults().iter().filter(|f| f.is_in_force(at_ns));
        LaneNow {
            name: lane.strategy.name.clone(),
            topology: lane.topology,
            phase: match snapshot.stage {
                CourseStage::Load => LanePhase::Load,
                CourseStage::Fence(step) => LanePhase::Fence(step),
                CourseStage::Over => LanePhase::Judged(verdict(&self.replay, lane).to_owned()),
            },
            counts: counts(&snapshot),
            expectations: lane.strategy.expectations.clone(),
            judged: match snapshot.stage {
                CourseStage::Load | CourseStage::Fence(_) => None,
                CourseStage::Over => self.judged_promises(&lane.strategy.name),
            },
            in_force: match snapshot.stage {
                CourseStage::Load | CourseStage::Fence(_) => in_force.map(|f| f.fault).collect(),
                CourseStage::Over => Default::default(),
            },
            rates: course.rates(at_ns, RATES).into(),
        }
    }
}

fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

/// To the next nanosecond, so that what happened at a moment has happened then.
fn nanoseconds(s: f64) -> i64 {
    (s * 1e9).ceil() as i64
}

fn verdict(replay: &Replay, lane: &ReplayLane) -> &'static str {
    let name = &lane.strategy.name;
    let judged = replay.record.strategies.iter().find(|s| s.name == *name);
    judged.map_or("unknown", |strategy| reports::verdict(strategy.verdict))
}

fn counts(snapshot: &Snapshot) -> LaneCounts {
    let p99_ns = snapshot.propagation_p99_ns;
    LaneCounts {
        committed: snapshot.committed,
        events: snapshot.seen,
        missing: snapshot.missing(),
        lost: snapshot.lost,
        phantom: snapshot.phantom,
        duplicated: snapshot.duplicated,
        propagation_p99: p99_ns.map(|ns| Duration::from_nanos(ns.unsigned_abs())),
    }
}

fn marks(replay: &Replay, breakages: &[Breakage]) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    for (number, breakage) in breakages.iter().enumerate() {
        let is_it = |fault: &&CourseFault| fault.fault as usize == number;
        let mut lanes = replay.lanes.iter();
        let Some(fault) = lanes.find_map(|lane| lane.course.faults().iter().find(is_it)) else {
            continue;
        };
        let begins = (Some(fault.from_ns), Turn::Injected);
        for (at_ns, turn) in [begins, (fault.until_ns, Turn::Healed)] {
            marks.extend(at_ns.map(|ns| Mark {
                at_s: seconds(ns),
                breakage: breakage.clone(),
                turn,
            }));
        }
    }
    marks.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    marks
}
