//! When attempts were told that they are committed, for whoever asks while the load goes on.

use std::sync::{Mutex, PoisonError};

/// Of so many attempts it is kept: more than a look asks for.
const KEPT: usize = 65_536;

/// These are the newest attempts and the run times (ns) of their answers, each at the place of its number; they are
/// kept only for loads that are watched.
#[derive(Debug, Default)]
pub struct Answers(Mutex<Vec<Option<(u32, i64)>>>);

impl Answers {
    /// This attempt was told so at this run time.
    pub(super) fn note(&self, attempt: u32, at_ns: i64) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = attempt as usize % KEPT;
        if place >= answers.len() {
            answers.resize(place + 1, None);
        }
        answers[place] = Some((attempt, at_ns));
    }

    /// How long after its answer each of these was seen, by attempt number and run time of the sight; those that have
    /// none so far are left out, and one that was seen before its answer waited for nothing.
    pub fn waits_ns(&self, seen: &[(u32, i64)]) -> Vec<i64> {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |(attempt, seen_ns): &(u32, i64)| {
            let at_its_place = answers.get(*attempt as usize % KEPT).copied().flatten();
            let (_, answered_ns) = at_its_place.filter(|(of, _)| of == attempt)?;
            Some(seen_ns.saturating_sub(answered_ns).max(0))
        };
        seen.iter().filter_map(wait).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn given_answers_when_sights_are_held_against_them_then_those_without_one_are_left_out() {
        let answers = Answers::default();
        answers.note(2, 1_000);
        answers.note(0, 5_000);
        let waits = answers.waits_ns(&[(0, 4_000), (1, 9_000), (2, 1_700), (7, 1)]);
        assert_eq!(waits, [0, 700]);
    }

    #[test]
    fn given_a_long_load_then_only_the_newest_answers_are_kept() {
        let answers = Answers::default();
        let again = KEPT as u32 + 3;
        for attempt in [3, 4, again] {
            answers.note(attempt, 1_000);
        }
        let waits = answers.waits_ns(&[(3, 1_100), (4, 1_200), (again, 1_300)]);
        assert_eq!(waits, [200, 300]);
        assert_eq!(answers.0.lock().unwrap().len(), 5);
    }
}
