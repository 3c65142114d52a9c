//! What is known of a run while it goes on, for whoever shows it: what happened, and what is counted in each lane.
//! It is told by the run, and it asks nobody.

use super::breakage::Breakage;
use super::ending::Ending;
use super::expected::Promise;
use super::now::{LaneNow, LaneOrder, LanePhase, Now};
use super::occasion::Occasion;
use crate::run::event::Happening;
use crate::run::lane_counts::LaneCounts;
use crate::run::{Event, Sink};
use crate::scenario::Strategy;
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A rate is that since the last look; where counts in between are carried on, and a look may correct them, since so many
/// looks before.
const RATE_LOOKS: usize = 4;
/// So many lines of what happened are kept.
const SAID_MAX: usize = 1_000;

/// What is known, and by what it is told how fast.
struct Noted {
    now: Now,
    /// When the load begins, and how long it lasts.
    load: Option<(Instant, Duration)>,
    /// When each lane was looked at of late, and what was counted then, the newest last.
    looked: Vec<VecDeque<(Instant, LaneCounts)>>,
}

impl Noted {
    /// Seconds since the load began.
    fn since_load_s(&self) -> Option<f64> {
        let (from, _) = self.load?;
        // It is told of somewhat earlier.
        let since = Instant::now().saturating_duration_since(from);
        Some(since.as_secs_f64())
    }

    fn say(&mut self, said: String) {
        let all = &mut self.now.said;
        if all.len() >= SAID_MAX {
            all.remove(0);
        }
        all.push(said);
    }

    /// The timeline is that of the lane whose turn it is.
    fn begins_anew(&mut self) {
        self.load = None;
        self.now.marks.clear();
    }
}

/// The one place where all of it is noted.
pub struct Board {
    began: Instant,
    noted: Mutex<Noted>,
}

impl Board {
    /// Nothing has happened yet; `breakages` has what each fault of the scenario breaks, by its place there.
    pub fn new<'a>(
        occasion: Occasion,
        order: LaneOrder,
        strategies: impl IntoIterator<Item = &'a Strategy>,
        breakages: impl IntoIterator<Item = Breakage>,
    ) -> Self {
        let lanes = strategies.into_iter().map(|s| LaneNow {
            name: s.name.clone(),
            topology: s.topology(),
            phase: match order {
                LaneOrder::Together => LanePhase::Rising,
                LaneOrder::InTurn => LanePhase::Waiting,
            },
            counts: LaneCounts::ZERO,
            expectations: s.expectations.clone(),
            judged: None,
            in_force: BTreeSet::new(),
            rates: VecDeque::new(),
        });
        let lanes: Vec<LaneNow> = lanes.collect();
        let looked = vec![VecDeque::new(); lanes.len()];
        let now = Now {
            occasion: Arc::new(occasion),
            order,
            s: 0.0,
            load_s: None,
            load_lasts_s: None,
            lanes,
            marks: Vec::new(),
            said: Vec::new(),
            answer: None,
            breakages: breakages.into_iter().collect(),
            page: None,
            ending: None,
        };
        Self {
            began: Instant::now(),
            noted: Mutex::new(Noted {
                now,
                load: None,
                looked,
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

    /// What is said of the last key.
    pub fn answer(&self, answer: String) {
        self.noted().now.answer = Some(answer);
    }

    /// It can be seen in a browser, there.
    pub fn has_page(&self, url: String) {
        self.noted().now.page = Some(url);
    }

    /// Notes that the run is over, and what came of it.
    pub fn ended(&self, ending: Ending) {
        let mut noted = self.noted();
        noted.say(ending.verdict.clone());
        // What was said of keys is of no use any more.
        noted.now.answer = None;
        noted.now.ending = Some(ending);
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Board {
    fn take(&self, happening: &Happening) {
        let event = happening.event.clone();
        match happening.lane {
            Some(lane) => self.in_lane(lane, event),
            None => self.in_the_run(event),
        }
    }
}

impl Board {
    /// Notes what happens in no lane.
    pub(crate) fn in_the_run(&self, event: Event) {
        let said = match event {
            Event::StackStarting { .. } => "PostgreSQL, Kafka and Toxiproxy start".to_owned(),
            Event::StackUp { took, .. } => format!("they are up after {:.1} s", took.as_secs_f64()),
            Event::Note { text } => text,
            // Where the run's folder is, is said at the end; the rest is of lanes.
            Event::ScenarioStarted { .. }
            | Event::StrategyStarted { .. }
            | Event::LoadStarted { .. }
            | Event::Offered { .. }
            | Event::Fault { .. }
            | Event::Counted { .. }
            | Event::LoadEnded
            | Event::Fence { .. }
            | Event::StrategyJudged { .. } => return,
        };
        self.noted().say(said);
    }

    /// Notes what happens in the lane of this number.
    pub(crate) fn in_lane(&self, number: usize, event: Event) {
        if let Event::Counted { counts } = event {
            self.counts(number, counts);
            return;
        }
        let mut noted = self.noted();
        let since_load_s = noted.since_load_s();
        let Some(lane) = noted.now.lanes.get(number) else {
            return;
        };
        let name = lane.name.clone();
        let in_turn = noted.now.order == LaneOrder::InTurn;
        match event {
            Event::StrategyStarted { .. } => {
                if in_turn {
                    noted.begins_anew();
                }
                noted.now.lanes[number].phase = LanePhase::Rising;
            }
            Event::LoadStarted {
                begins_in,
                duration,
                ..
            } => {
                noted.now.lanes[number].phase = LanePhase::Load;
                let from = Instant::now() + begins_in;
                noted.load.get_or_insert((from, duration));
            }
            Event::Fault {
                turn: Some((fault, turn)),
                ..
            } => noted.now.turned(number, (fault, turn), since_load_s),
            Event::Fence { step } => noted.now.lanes[number].phase = LanePhase::Fence(step),
            Event::StrategyJudged {
                verdict,
                counts,
                expectations,
                ..
            } => {
                noted.say(match in_turn {
                    true => format!("{name} is judged: {verdict}"),
                    false => format!("{name} is judged"),
                });
                let lane = &mut noted.now.lanes[number];
                lane.phase = LanePhase::Judged(verdict);
                lane.judged = Some(expectations.iter().map(Promise::judged).collect());
                lane.counts = LaneCounts {
                    propagation_p99: lane.counts.propagation_p99,
                    ..counts
                };
                lane.in_force.clear();
                // Nothing comes in any more.
                lane.add_rate((0, 0));
            }
            Event::Note { text } => noted.say(format!("{name}: {text}")),
            Event::Fault { what, turn: None } => noted.say(format!("{name}: {what}")),
            Event::LoadEnded
            | Event::Offered { .. }
            | Event::Counted { .. }
            | Event::ScenarioStarted { .. }
            | Event::StackStarting { .. }
            | Event::StackUp { .. } => {}
        }
    }

    /// Notes what is counted there now.
    pub(crate) fn counts(&self, lane: usize, counts: LaneCounts) {
        let mut noted = self.noted();
        let Noted { now, looked, .. } = &mut *noted;
        let looked = looked.get_mut(lane);
        let Some((lane, looked)) = now.lanes.get_mut(lane).zip(looked) else {
            return;
        };
        let at = Instant::now();
        if let Some((then, before)) = looked.front() {
            let since_s = at.duration_since(*then).as_secs_f64().max(0.001);
            let rate = |now: Option<u64>, before: Option<u64>| {
                let more = now.unwrap_or(0).saturating_sub(before.unwrap_or(0));
                (more as f64 / since_s) as u64
            };
            lane.add_rate((
                rate(counts.committed, before.committed),
                rate(counts.events, before.events),
            ));
        }
        looked.push_back((at, counts));
        let most = match now.order {
            LaneOrder::Together => 1,
            LaneOrder::InTurn => RATE_LOOKS,
        };
        if looked.len() > most {
            looked.pop_front();
        }
        lane.counts = counts;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::demo::occasion::occasion;
    use crate::cli::demo::programme::Programme;
    use crate::nemesis::Turn;

    fn board() -> Board {
        let board = Programme::scripted().unwrap().board();
        for lane in 0..3 {
            board.in_lane(
                lane,
                Event::LoadStarted {
                    begins_in: Duration::ZERO,
                    duration: Duration::from_secs(20),
                    planned: 1,
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
        board.in_lane(lane, event);
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

    #[test]
    fn given_lanes_in_turn_then_what_a_look_corrects_is_no_peak_of_their_rates() {
        let programme = Programme::scripted().unwrap();
        let strategies = &programme.scenario.strategies;
        let board = Board::new(occasion(), LaneOrder::InTurn, strategies, []);
        // Nobody is told, and every fourth look finds what came of it.
        for committed in [0, 0, 0, 0, 400, 400, 400, 400, 800] {
            board.counts(
                0,
                LaneCounts {
                    committed: Some(committed),
                    ..LaneCounts::ZERO
                },
            );
        }
        let rates: Vec<u64> = board.now().lanes[0].rates.iter().map(|r| r.0).collect();
        assert!(
            rates[..3] == [0; 3] && !rates[3..].contains(&0),
            "{rates:?}"
        );
    }
}
