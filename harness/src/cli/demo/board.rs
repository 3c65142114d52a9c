//! What is known of a demo while it goes on, for whoever shows it: what happened, and what is counted in each
//! lane. It is told by the run, and it asks nobody.

use super::ending::Ending;
use super::programme::{Action, Programme, actions};
use crate::history::FenceStep;
use crate::nemesis::Turn;
use crate::run::keyboard::Press;
use crate::run::stage::{Audience, LaneCounts};
use crate::run::{Event, Reporter};
use crate::scenario::Expectation;
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Rates that are kept of each lane: more than any screen is wide.
const RATES: usize = 400;

/// Where a lane is on its way.
#[derive(Debug, Clone, PartialEq)]
pub enum LanePhase {
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
    /// Whether it has a relay.
    pub has_relay: bool,
    /// The lane is in this phase, from its start to its verdict.
    pub phase: LanePhase,
    /// What is counted in it.
    pub counts: LaneCounts,
    /// What is expected of it.
    pub expectations: Vec<Expectation>,
    /// Actions that are in force in it, by the places of their faults in the scenario.
    pub in_force: BTreeSet<u32>,
    /// Each look so far found so many changes committed and events seen a second, the newest last.
    pub rates: VecDeque<(u64, u64)>,
    looked: Option<Instant>,
}

/// Something that is marked on the timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// It happened so many seconds after the load began.
    pub at_s: f64,
    /// This is the action that began or ended, e.g. `cut the broker`.
    pub action: Action,
    /// This tells whether it began or ended.
    pub turn: Turn,
}

/// All that is known at a moment.
#[derive(Debug, Clone)]
pub struct Now {
    /// So many seconds have passed since the demo began.
    pub s: f64,
    /// When the load began, and how long it lasts.
    load: Option<(Instant, Duration)>,
    /// The lanes are in the scenario's order.
    pub lanes: Vec<LaneNow>,
    /// These are the begins and ends of actions so far, the newest last.
    pub marks: Vec<Mark>,
    /// This tells what happened beside that, one line each.
    pub said: Vec<String>,
    /// This is the answer to the last key; `None` where nothing is to be said of one.
    pub answer: Option<String>,
    /// By its place in the scenario, the action that a fault is.
    pub action_of: Vec<Action>,
    /// Where the page is, where there is one.
    pub page: Option<String>,
    /// What came of it, once it is over.
    pub ending: Option<Ending>,
}

impl Now {
    /// Seconds since the load began, and no more than it lasts.
    pub fn load_s(&self) -> Option<f64> {
        let (from, lasts) = self.load?;
        Some(from.elapsed().min(lasts).as_secs_f64())
    }

    /// How long it lasts.
    pub fn load_lasts_s(&self) -> Option<f64> {
        self.load.map(|(_, lasts)| lasts.as_secs_f64())
    }

    /// Returns whether orders still come in, in any lane.
    pub fn is_under_load(&self) -> bool {
        let loaded = |lane: &LaneNow| lane.phase == LanePhase::Load;
        self.lanes.iter().any(loaded)
    }
}

/// The one place where all of it is noted.
pub struct Board {
    began: Instant,
    now: Mutex<Now>,
}

impl Board {
    /// Nothing has happened yet.
    pub fn of(programme: &Programme) -> Self {
        let lanes = programme.scenario.strategies.iter().map(|s| LaneNow {
            name: s.name.clone(),
            has_relay: s.kind.has_relay(),
            phase: LanePhase::Rising,
            counts: LaneCounts::default(),
            expectations: s.expectations.clone(),
            in_force: BTreeSet::new(),
            rates: VecDeque::new(),
            looked: None,
        });
        Self {
            began: Instant::now(),
            now: Mutex::new(Now {
                s: 0.0,
                load: None,
                lanes: lanes.collect(),
                marks: Vec::new(),
                said: Vec::new(),
                answer: None,
                action_of: programme.action_of.clone(),
                page: None,
                ending: None,
            }),
        }
    }

    /// A copy of what is known now.
    pub fn now(&self) -> Now {
        let mut now = self.noted().clone();
        now.s = self.began.elapsed().as_secs_f64();
        now
    }

    /// A key was pressed, and this is what became of it.
    pub fn pressed(&self, key: char, press: Press) {
        let does = actions().into_iter().find(|a| a.key == key);
        let Some(Action { does, .. }) = does else {
            return;
        };
        let answer = match press {
            Press::Begins => format!("{key}: {does}"),
            Press::Unknown => return,
            Press::TooEarly => format!("{key}: orders do not come in yet"),
            Press::TooLate => {
                format!("{key}: too late, what is broken now would not be seen to recover")
            }
            Press::InForce => format!("{key}: that is so already"),
            Press::UsedUp => format!("{key}: not again in this demo"),
        };
        self.answer(answer);
    }

    /// What is said of the last key.
    pub fn answer(&self, answer: String) {
        self.noted().answer = Some(answer);
    }

    /// It can be seen in a browser, there.
    pub fn has_page(&self, url: String) {
        self.noted().page = Some(url);
    }

    /// Notes that the demo is over, and what came of it.
    pub fn ended(&self, ending: Ending) {
        let mut now = self.noted();
        // What was said of keys is of no use any more.
        now.answer = None;
        now.said.push(ending.verdict.clone());
        now.ending = Some(ending);
    }

    fn noted(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter for Board {
    fn event(&self, event: Event) {
        let mut now = self.noted();
        let said = match event {
            Event::StackStarting { .. } => "PostgreSQL, Kafka and Toxiproxy start".to_owned(),
            Event::StackUp { took, .. } => format!("they are up after {:.1} s", took.as_secs_f64()),
            Event::Note { text } => text,
            // Where the run's folder is, is said at the end; the rest is of lanes.
            Event::ScenarioStarted { .. }
            | Event::StrategyStarted { .. }
            | Event::LoadStarted { .. }
            | Event::Fault { .. }
            | Event::LoadEnded
            | Event::Fence { .. }
            | Event::StrategyJudged { .. } => return,
        };
        now.said.push(said);
    }
}

impl Audience for Board {
    fn event(&self, lane: usize, event: Event) {
        let mut now = self.noted();
        let now = &mut *now;
        let load = now.load;
        let Some(lane) = now.lanes.get_mut(lane) else {
            return;
        };
        match event {
            Event::LoadStarted { duration, .. } => {
                lane.phase = LanePhase::Load;
                now.load.get_or_insert_with(|| (Instant::now(), duration));
            }
            Event::Fault {
                turn: Some((fault, turn)),
                ..
            } => {
                match turn {
                    Turn::Injected => lane.in_force.insert(fault),
                    Turn::Healed => lane.in_force.remove(&fault),
                };
                let action = now.action_of.get(fault as usize).cloned();
                let Some((action, (from, _))) = action.zip(load) else {
                    return;
                };
                // It is the same in all lanes, and the first tells it.
                let same = |m: &&Mark| m.action == action && m.turn == turn;
                let told = now.marks.iter().filter(same).count();
                let place = now.action_of[..fault as usize].iter();
                if told <= place.filter(|a| **a == action).count() {
                    now.marks.push(Mark {
                        at_s: from.elapsed().as_secs_f64(),
                        action,
                        turn,
                    });
                }
            }
            Event::Fence { step } => lane.phase = LanePhase::Fence(step),
            Event::StrategyJudged { verdict, .. } => {
                now.said.push(format!("{} is judged", lane.name));
                lane.phase = LanePhase::Judged(verdict);
            }
            Event::Note { text } => now.said.push(format!("{}: {text}", lane.name)),
            Event::Fault { what, turn: None } => now.said.push(format!("{}: {what}", lane.name)),
            Event::LoadEnded
            | Event::ScenarioStarted { .. }
            | Event::StackStarting { .. }
            | Event::StackUp { .. }
            | Event::StrategyStarted { .. } => {}
        }
    }

    fn counts(&self, lane: usize, counts: LaneCounts) {
        let mut now = self.noted();
        let Some(lane) = now.lanes.get_mut(lane) else {
            return;
        };
        let at = Instant::now();
        if let Some(before) = lane.looked.replace(at) {
            let since_s = at.duration_since(before).as_secs_f64().max(0.001);
            let rate = |now: u64, before: u64| (now.saturating_sub(before) as f64 / since_s) as u64;
            lane.rates.push_back((
                rate(counts.committed, lane.counts.committed),
                rate(counts.events, lane.counts.events),
            ));
            if lane.rates.len() > RATES {
                lane.rates.pop_front();
            }
        }
        lane.counts = counts;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn board() -> Board {
        let board = Board::of(&Programme::scripted().unwrap());
        for lane in 0..3 {
            Audience::event(
                &board,
                lane,
                Event::LoadStarted {
                    duration: Duration::from_secs(20),
                    planned: 1,
                    progress: Default::default(),
                },
            );
        }
        board
    }

    fn fault(board: &Board, lane: usize, fault: u32, turn: Turn) {
        let event = Event::Fault {
            what: String::new(),
            turn: Some((fault, turn)),
        };
        Audience::event(board, lane, event);
    }

    #[test]
    fn given_a_key_that_hits_all_lanes_then_the_timeline_has_one_mark_for_each_press() {
        let board = board();
        for press in 0..2 {
            for turn in [Turn::Injected, Turn::Healed] {
                for lane in 0..3 {
                    fault(&board, lane, press, turn);
                }
            }
        }
        let turns: Vec<Turn> = board.now().marks.iter().map(|m| m.turn).collect();
        let once = [Turn::Injected, Turn::Healed];
        assert_eq!(turns, [once, once].concat());
    }

    #[test]
    fn given_a_fault_in_one_lane_then_it_is_in_force_there_until_it_is_healed() {
        let board = board();
        fault(&board, 1, 5, Turn::Injected);
        let in_force = |lane: usize| board.now().lanes[lane].in_force.len();
        assert_eq!((in_force(0), in_force(1)), (0, 1));
        fault(&board, 1, 5, Turn::Healed);
        assert_eq!(in_force(1), 0);
    }

    #[test]
    fn given_two_looks_then_their_difference_is_a_rate() {
        let board = board();
        for committed in [0, 50] {
            board.counts(
                0,
                LaneCounts {
                    committed,
                    ..LaneCounts::default()
                },
            );
        }
        let now = board.now();
        assert_eq!(now.lanes[0].rates.len(), 1);
        assert!(now.lanes[0].rates[0].0 > 0);
        assert_eq!(now.lanes[0].counts.committed, 50);
    }
}
