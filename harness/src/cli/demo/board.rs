//! What is known of a demo while it goes on, for whoever shows it: what happened, and what is counted in each
//! lane. It is told by the run, and it asks nobody.

use super::occasion::occasion;
use super::programme::{Action, Programme, actions};
use crate::cli::live::ending::Ending;
use crate::cli::live::now::{LaneNow, LanePhase, Mark, Now, RATES};
use crate::nemesis::Turn;
use crate::run::keyboard::Press;
use crate::run::stage::{Audience, LaneCounts};
use crate::run::{Event, Reporter};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is known, and by what it is told how fast.
struct Noted {
    now: Now,
    /// When the load began, and how long it lasts.
    load: Option<(Instant, Duration)>,
    /// When each lane was looked at last.
    looked: Vec<Option<Instant>>,
}

impl Noted {
    /// Seconds since the load began.
    fn since_load_s(&self) -> Option<f64> {
        let (from, _) = self.load?;
        Some(from.elapsed().as_secs_f64())
    }
}

/// The one place where all of it is noted.
pub struct Board {
    began: Instant,
    noted: Mutex<Noted>,
}

impl Board {
    /// Nothing has happened yet.
    pub fn of(programme: &Programme) -> Self {
        let strategies = &programme.scenario.strategies;
        let lanes = strategies.iter().map(|s| LaneNow {
            name: s.name.clone(),
            topology: s.topology(),
            phase: LanePhase::Rising,
            counts: LaneCounts::ZERO,
            expectations: s.expectations.clone(),
            in_force: BTreeSet::new(),
            rates: VecDeque::new(),
        });
        let now = Now {
            occasion: Arc::new(occasion()),
            s: 0.0,
            load_s: None,
            load_lasts_s: None,
            lanes: lanes.collect(),
            marks: Vec::new(),
            said: Vec::new(),
            answer: None,
            breakages: programme.breakages.iter().cloned().collect(),
            page: None,
            ending: None,
        };
        Self {
            began: Instant::now(),
            noted: Mutex::new(Noted {
                now,
                load: None,
                looked: vec![None; strategies.len()],
            }),
        }
    }

    /// A copy of what is known now.
    pub fn now(&self) -> Now {
        let noted = self.noted();
        let mut now = noted.now.clone();
        now.s = self.began.elapsed().as_secs_f64();
        let lasts_s = noted.load.map(|(_, lasts)| lasts.as_secs_f64());
        now.load_lasts_s = lasts_s;
        now.load_s = noted
            .since_load_s()
            .zip(lasts_s)
            .map(|(s, lasts_s)| s.min(lasts_s));
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
        self.noted().now.answer = Some(answer);
    }

    /// It can be seen in a browser, there.
    pub fn has_page(&self, url: String) {
        self.noted().now.page = Some(url);
    }

    /// Notes that the demo is over, and what came of it.
    pub fn ended(&self, ending: Ending) {
        let now = &mut self.noted().now;
        // What was said of keys is of no use any more.
        now.answer = None;
        now.said.push(ending.verdict.clone());
        now.ending = Some(ending);
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter for Board {
    fn event(&self, event: Event) {
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
        self.noted().now.said.push(said);
    }
}

impl Audience for Board {
    fn event(&self, lane: usize, event: Event) {
        let mut noted = self.noted();
        let since_load_s = noted.since_load_s();
        let Noted { now, load, .. } = &mut *noted;
        let Some(lane) = now.lanes.get_mut(lane) else {
            return;
        };
        match event {
            Event::LoadStarted { duration, .. } => {
                lane.phase = LanePhase::Load;
                load.get_or_insert_with(|| (Instant::now(), duration));
            }
            Event::Fault {
                turn: Some((fault, turn)),
                ..
            } => {
                match turn {
                    Turn::Injected => lane.in_force.insert(fault),
                    Turn::Healed => lane.in_force.remove(&fault),
                };
                let breakage = now.breakages.get(fault as usize).cloned();
                let Some((breakage, at_s)) = breakage.zip(since_load_s) else {
                    return;
                };
                // It is the same in all lanes, and the first tells it.
                let same = |m: &&Mark| m.breakage == breakage && m.turn == turn;
                let told = now.marks.iter().filter(same).count();
                let place = now.breakages[..fault as usize].iter();
                if told <= place.filter(|b| **b == breakage).count() {
                    now.marks.push(Mark {
                        at_s,
                        breakage,
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
        let mut noted = self.noted();
        let Noted { now, looked, .. } = &mut *noted;
        let looked = looked.get_mut(lane);
        let Some((lane, looked)) = now.lanes.get_mut(lane).zip(looked) else {
            return;
        };
        let at = Instant::now();
        if let Some(before) = looked.replace(at) {
            let since_s = at.duration_since(before).as_secs_f64().max(0.001);
            let rate = |now: Option<u64>, before: Option<u64>| {
                let more = now.unwrap_or(0).saturating_sub(before.unwrap_or(0));
                (more as f64 / since_s) as u64
            };
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
        for committed in [Some(0), Some(50)] {
            board.counts(
                0,
                LaneCounts {
                    committed,
                    ..LaneCounts::ZERO
                },
            );
        }
        let now = board.now();
        assert_eq!(now.lanes[0].rates.len(), 1);
        assert!(now.lanes[0].rates[0].0 > 0);
        assert_eq!(now.lanes[0].counts.committed, Some(50));
    }
}
