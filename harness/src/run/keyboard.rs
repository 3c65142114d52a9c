//! What somebody beside a run does to it: each press of a key is the trigger of one fault of the scenario.

use crate::scenario::{Scenario, Trigger};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A press comes too late when less than this of the load would be left after its fault: what was broken
/// must be seen to recover.
const TO_RECOVER: Duration = Duration::from_secs(3);

/// This says what became of a press.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Press {
    /// The press counts, and its fault begins.
    Begins,
    /// No fault of the scenario waits for this key.
    Unknown,
    /// The load has not begun, so there is nothing to be broken.
    TooEarly,
    /// Too little of the load is left.
    TooLate,
    /// What the key does is in force.
    InForce,
    /// The scenario has no more faults for this key.
    UsedUp,
}

/// Keys that faults wait for, and how often each was pressed.
#[derive(Debug)]
pub struct Keyboard {
    keys: BTreeMap<char, Key>,
    heals: AtomicU64,
    until: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Key {
    /// How long each of its faults lasts, in their order.
    lasts: Vec<Duration>,
    presses: AtomicU64,
    /// When the last of them ends by itself.
    ends: Mutex<Option<Instant>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keyboard {
    /// Makes a keyboard of the faults of a scenario that wait for a key.
    pub fn of(scenario: &Scenario) -> Self {
        let mut keys: BTreeMap<char, Key> = BTreeMap::new();
        for fault in &scenario.faults {
            if let Some(Trigger::Key { key, .. }) = fault.trigger() {
                let lasts = |key: &mut Key| key.lasts.push(fault.lasts);
                keys.entry(*key).and_modify(lasts).or_insert_with(|| Key {
                    lasts: vec![fault.lasts],
                    presses: AtomicU64::new(0),
                    ends: Mutex::new(None),
                });
            }
        }
        Self {
            keys,
            heals: AtomicU64::new(0),
            until: Mutex::new(None),
        }
    }

    /// The load has begun and lasts so long. The first one to say so is the one that counts.
    pub fn open(&self, load: Duration) {
        locked(&self.until).get_or_insert_with(|| Instant::now() + load);
    }

    /// A key is pressed.
    pub fn press(&self, key: char) -> Press {
        let Some(key) = self.keys.get(&key) else {
            return Press::Unknown;
        };
        let now = Instant::now();
        let mut ends = locked(&key.ends);
        if ends.is_some_and(|ends| now < ends) {
            return Press::InForce;
        }
        let pressed = key.presses.load(Ordering::Relaxed);
        let next = usize::try_from(pressed).ok();
        let Some(lasts) = next.and_then(|next| key.lasts.get(next)) else {
            return Press::UsedUp;
        };
        match *locked(&self.until) {
            None => return Press::TooEarly,
            Some(until) if now + *lasts + TO_RECOVER > until => return Press::TooLate,
            Some(_) => {}
        }
        *ends = Some(now + *lasts);
        key.presses.store(pressed + 1, Ordering::Release);
        Press::Begins
    }

    /// Everything that keys began is to be healed now.
    pub fn heal(&self) {
        for key in self.keys.values() {
            *locked(&key.ends) = None;
        }
        self.heals.fetch_add(1, Ordering::AcqRel);
    }

    /// How often this key was pressed.
    pub fn presses(&self, key: char) -> u64 {
        self.keys
            .get(&key)
            .map_or(0, |key| key.presses.load(Ordering::Acquire))
    }

    /// How often everything was healed.
    pub fn heals(&self) -> u64 {
        self.heals.load(Ordering::Acquire)
    }

    /// Whether a fault of the scenario was asked for: it has another trigger or a time, or its key was pressed.
    pub fn is_asked_for(&self, trigger: Option<&Trigger>) -> bool {
        match trigger {
            Some(Trigger::Key { key, press }) => self.presses(*key) >= *press,
            Some(
                Trigger::Events(_)
                | Trigger::Committed(_)
                | Trigger::Backlog(_)
                | Trigger::After { .. }
                | Trigger::Log { .. }
                | Trigger::Sql { .. },
            )
            | None => true,
        }
    }

    /// The scenario that was played: without the faults whose key nobody pressed.
    pub fn played(&self, scenario: &Scenario) -> Scenario {
        let mut played = scenario.clone();
        played
            .faults
            .retain(|fault| self.is_asked_for(fault.trigger()));
        played
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::scenario::{Fault, FaultKind, Start, Target, parse};

    const TEXT: &str = r#"
name = "keys"
description = "Keys."
seed = 1
[workload]
rate = 100
duration = "20s"
[strategy.naive]
kind = "dual-write"
order = "commit-then-publish"
[expect.naive]
missing = 0
"#;

    fn scenario() -> Scenario {
        let mut scenario = parse("keys.toml", TEXT).unwrap();
        scenario.faults = (1..=2)
            .map(|press| Fault {
                id: None,
                target: Target::KAFKA,
                kind: FaultKind::Down,
                start: Start::When(Trigger::Key { key: 'b', press }),
                lasts: Duration::from_secs(4),
            })
            .collect();
        scenario
    }

    #[test]
    fn given_two_faults_for_a_key_when_it_is_pressed_then_each_press_is_one_of_them() {
        let keyboard = Keyboard::of(&scenario());
        assert_eq!(keyboard.press('b'), Press::TooEarly);
        keyboard.open(Duration::from_secs(3600));
        assert_eq!(keyboard.press('z'), Press::Unknown);
        assert_eq!(keyboard.press('b'), Press::Begins);
        // What is in force is not begun again, unless it was healed.
        assert_eq!(keyboard.press('b'), Press::InForce);
        keyboard.heal();
        assert_eq!(keyboard.press('b'), Press::Begins);
        keyboard.heal();
        assert_eq!(keyboard.press('b'), Press::UsedUp);
        assert_eq!((keyboard.presses('b'), keyboard.heals()), (2, 2));
    }

    #[test]
    fn given_a_load_that_is_nearly_over_when_a_key_is_pressed_then_it_is_too_late() {
        let keyboard = Keyboard::of(&scenario());
        keyboard.open(Duration::from_secs(5));
        assert_eq!(keyboard.press('b'), Press::TooLate);
        assert_eq!(keyboard.presses('b'), 0);
    }

    #[test]
    fn given_a_key_that_was_pressed_once_then_the_scenario_that_was_played_has_one_fault() {
        let (scenario, mut timed) = (scenario(), scenario().faults[0].clone());
        timed.start = Start::At(Duration::from_secs(1));
        let keyboard = Keyboard::of(&scenario);
        keyboard.open(Duration::from_secs(3600));
        let _ = keyboard.press('b');
        let played = keyboard.played(&scenario);
        assert_eq!(played.faults, scenario.faults[..1]);
        assert!(keyboard.is_asked_for(timed.trigger()));
    }
}
