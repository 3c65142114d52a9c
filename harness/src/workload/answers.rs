//! When attempts were told that they are committed, for whoever asks while the load goes on.

use std::sync::{Mutex, PoisonError};

/// These are run times (ns) by attempt number; they are kept of every attempt, so only for loads that are watched.
#[derive(Debug, Default)]
pub struct Answers(Mutex<Vec<Option<i64>>>);

impl Answers {
    /// This attempt was told so at this run time.
    pub(super) fn note(&self, attempt: u32, at_ns: i64) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = attempt as usize;
        if place >= answers.len() {
            answers.resize(place + 1, None);
        }
        answers[place] = Some(at_ns);
    }

    /// How long after its answer each of these was seen, by attempt number and run time of the sight; those that have
    /// none so far are left out, and one that was seen before its answer waited for nothing.
    pub fn waits_ns(&self, seen: &[(u32, i64)]) -> Vec<i64> {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |(attempt, seen_ns): &(u32, i64)| {
            let answered_ns = answers.get(*attempt as usize).copied().flatten()?;
            Some(seen_ns.saturating_sub(answered_ns).max(0))
        };
        seen.iter().filter_map(wait).collect()
    }
}

#[cfg(test)]
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
}
