//! Which change happened before which, as far as the clients can prove it: one of which a client had
//! learned that it is committed before another was first sent. Both times are the load generator's own, by
//! one clock: a send is noted before its first byte, an answer after its last one. Of two changes that were
//! under way together, and of one that no client ever learned of, nothing is said.

use super::bits::Bits;
use super::join::Join;
use crate::history::{NONE, Outcome};
use std::collections::HashMap;

/// This holds what the requests by themselves do not tell: nearly always a change has one attempt, and then it
/// is that attempt's to say when it was sent and answered.
pub struct RealTime {
    /// This gives, by change that was attempted several times, when that was done first.
    first_sent_ns: HashMap<u32, i64>,
    /// This gives, by slot of such a change, when a client first learned of it, from any of the attempts.
    answered_ns: HashMap<u32, i64>,
}

impl RealTime {
    /// Looks through a joined history's requests for those that are not alone with their change.
    pub fn new(join: &Join<'_>) -> Self {
        let several = attempted_again(join);
        let (mut first_sent_ns, mut answered_ns) = (HashMap::new(), HashMap::new());
        let earliest = |times: &mut HashMap<u32, i64>, of: u32, at_ns: i64| {
            let time = times.entry(of).or_insert(at_ns);
            *time = (*time).min(at_ns);
        };
        if let Some(several) = several {
            for request in &join.history.requests {
                if !several.get(request.change as usize) {
                    continue;
                }
                earliest(&mut first_sent_ns, request.change, request.sent_ns);
                let told = join
                    .slot(request.order, request.told_version)
                    .filter(|slot| join.change(*slot) == Some(request.change));
                if let (Outcome::Committed, Some(slot)) = (request.outcome, told) {
                    earliest(&mut answered_ns, slot as u32, request.ended_ns);
                }
            }
        }
        Self {
            first_sent_ns,
            answered_ns,
        }
    }

    /// When a client first learned that a slot is committed; `None` where none ever did.
    pub fn answered_ns(&self, join: &Join<'_>, slot: usize) -> Option<i64> {
        let request = join.request(slot)?;
        if self.first_sent_ns.contains_key(&request.change) {
            return self.answered_ns.get(&(slot as u32)).copied();
        }
        let row = join.truth.at(slot);
        let told = (request.order, request.told_version) == (row.order, row.version);
        (told && request.outcome == Outcome::Committed).then_some(request.ended_ns)
    }

    /// When the change that made a slot was first sent; `None` for one that nobody sent.
    pub fn first_sent_ns(&self, join: &Join<'_>, slot: usize) -> Option<i64> {
        let request = join.request(slot)?;
        let first = self.first_sent_ns.get(&request.change);
        Some(first.copied().unwrap_or(request.sent_ns))
    }
}

/// The changes with more than one attempt, a bit each; `None` if there are none.
fn attempted_again(join: &Join<'_>) -> Option<Bits> {
    let changes = || join.history.requests.iter().map(|r| r.change);
    let highest = changes().filter(|change| *change != NONE).max()?;
    let mut attempted = Bits::new(highest as usize + 1);
    let mut again = Bits::new(highest as usize + 1);
    let mut any = false;
    for change in changes() {
        if attempted.get(change as usize) {
            again.set(change as usize);
            any = true;
        }
        attempted.set(change as usize);
    }
    any.then_some(again)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::checkers::fixture::{MS, attempt, clean, naive, offer, tell_nothing};
    use crate::history::{Intent, Outcome};
    use crate::view::View;

    #[test]
    fn given_one_attempt_at_a_change_then_its_own_times_are_those_of_the_change() {
        let history = clean(3, naive());
        let view = View::new(&history);
        let slot = view.join.slot(1, 2).unwrap();
        let request = view.join.request(slot).unwrap();
        assert_eq!(view.answered_ns(slot), Some(request.ended_ns));
        assert_eq!(view.first_sent_ns(slot), Some(request.sent_ns));
    }

    #[test]
    fn given_a_client_that_was_told_nothing_or_another_version_then_nobody_learned_of_the_change() {
        let mut history = clean(3, naive());
        let (silent, misled) = (attempt(&history, 1, 2), attempt(&history, 1, 3));
        tell_nothing(&mut history, silent);
        history.requests.open()[misled as usize].told_version = 1;
        let view = View::new(&history);
        for version in [2, 3] {
            let slot = view.join.slot(1, version).unwrap();
            assert_eq!(view.answered_ns(slot), None);
            assert!(view.first_sent_ns(slot).is_some());
        }
    }

    #[test]
    fn given_several_attempts_when_a_later_one_was_told_then_the_first_send_and_that_answer_count()
    {
        let mut history = clean(3, naive());
        let made = attempt(&history, 1, 3);
        let first = history.requests.at(made as usize);
        tell_nothing(&mut history, made);
        let again: Vec<u32> = (0..2)
            .map(|_| offer(&mut history, 1, Intent::Commit, Outcome::Committed))
            .collect();
        let mut requests = history.requests.open();
        for attempt in &again {
            let request = &mut requests[*attempt as usize];
            (request.change, request.told_version) = (first.change, 3);
        }
        requests[again[1] as usize].ended_ns += 5 * MS;
        drop(requests);
        let view = View::new(&history);
        let slot = view.join.slot(1, 3).unwrap();
        let told = history.requests.at(again[0] as usize);
        assert_eq!(view.answered_ns(slot), Some(told.ended_ns));
        assert_eq!(view.first_sent_ns(slot), Some(first.sent_ns));
        // The others are as they were
        let slot = view.join.slot(1, 2).unwrap();
        let request = view.join.request(slot).unwrap();
        assert_eq!(view.answered_ns(slot), Some(request.ended_ns));
    }
}
