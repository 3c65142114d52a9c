//! How often a lane is looked up in the database while it runs: often for show, seldom beside what is measured.

use std::time::{Duration, Instant};

/// Between the end of a look and the next one beside what is measured, at least.
const REST: Duration = Duration::from_secs(2);
/// And at least so many times as long as the look took: of a hundred seconds, all looks take one.
const REST_TIMES: u32 = 99;
/// After one that failed the rest is twice as long as the last one, and at most this: it may have taken two seconds.
const REST_MAX: Duration = Duration::from_secs(200);

/// How often it is looked what is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookPace {
    /// Several times a second: the run is for show.
    Often,
    /// Now and then, since the run is measured; in between the last look is carried on by what is counted anyway.
    Seldom,
}

impl LookPace {
    /// Whether the last look is carried on until the next one.
    pub(super) fn is_carried_on(self) -> bool {
        match self {
            Self::Often => false,
            Self::Seldom => true,
        }
    }

    /// So often counts are told.
    pub(super) fn every(self) -> Duration {
        Duration::from_millis(match self {
            Self::Often => 300,
            Self::Seldom => 500,
        })
    }
}

/// When the next look is due.
#[derive(Debug)]
pub(super) struct Looks {
    pace: LookPace,
    rest: Duration,
    due: Instant,
}

impl Looks {
    /// The first look is due at once.
    pub fn new(pace: LookPace, now: Instant) -> Self {
        Self {
            pace,
            rest: REST,
            due: now,
        }
    }

    /// Whether the next look is due.
    pub fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    /// A look took so long.
    pub fn took(&mut self, took: Duration, now: Instant) {
        self.rests(REST.max(took.saturating_mul(REST_TIMES)), now);
    }

    /// A look came to nothing: there is no answer, or too much to read for one look.
    pub fn failed(&mut self, now: Instant) {
        self.rests(
            self.rest.saturating_mul(2).min(REST_MAX.max(self.rest)),
            now,
        );
    }

    fn rests(&mut self, rest: Duration, now: Instant) {
        self.rest = rest;
        self.due = match self.pace {
            LookPace::Often => now,
            LookPace::Seldom => now + rest,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(looks: &Looks, now: Instant) -> Duration {
        looks.due.duration_since(now)
    }

    #[test]
    fn given_looks_beside_what_is_measured_then_they_take_a_hundredth_of_the_time_at_most() {
        let now = Instant::now();
        let mut looks = Looks::new(LookPace::Seldom, now);
        assert!(looks.is_due(now));
        for took_ms in [0, 1, 20, 21, 400, 2_000] {
            let took = Duration::from_millis(took_ms);
            looks.took(took, now);
            assert!(!looks.is_due(now));
            let rest = rest(&looks, now);
            assert!(rest >= REST && rest >= took * 99, "{took:?}: {rest:?}");
        }
    }

    #[test]
    fn given_looks_that_come_to_nothing_then_they_become_rare_and_one_that_succeeds_is_soon_followed()
     {
        let now = Instant::now();
        let mut looks = Looks::new(LookPace::Seldom, now);
        let rests: Vec<u64> = (0..8)
            .map(|_| {
                looks.failed(now);
                rest(&looks, now).as_secs()
            })
            .collect();
        assert_eq!(rests, [4, 8, 16, 32, 64, 128, 200, 200]);
        looks.took(Duration::ZERO, now);
        assert_eq!(rest(&looks, now), REST);
    }

    #[test]
    fn given_a_run_for_show_then_each_look_is_due_at_once() {
        let now = Instant::now();
        let mut looks = Looks::new(LookPace::Often, now);
        looks.took(Duration::from_millis(400), now);
        assert!(looks.is_due(now));
        looks.failed(now);
        assert!(looks.is_due(now));
    }
}
