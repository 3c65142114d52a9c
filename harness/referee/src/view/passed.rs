//! When was it clear that a relay had left a change behind? An event that never came has no end,
//! so by itself it would overlap every fault that follows it. But once a change that was sent
//! after this one's end has been seen, the relay has passed it: what made it lost had happened by
//! then, and no later fault explains it.

use super::NEVER;
use super::join::Join;

/// This gives, by sent time in bins, the earliest sight of anything sent in the bin or later.
pub struct Passed {
    from_ns: i64,
    width_ns: i64,
    earliest: Vec<i64>,
}

const BINS: i64 = 1 << 20;
const FINEST_NS: i64 = 1_000_000;

impl Passed {
    /// Fills the bins from a joined history; linear in the committed changes.
    pub fn new(join: &Join<'_>) -> Self {
        let requests = &join.history.requests;
        let from_ns = requests.iter().map(|r| r.sent_ns).min().unwrap_or(0);
        let last_ns = requests.iter().map(|r| r.sent_ns).max().unwrap_or(0);
        let range_ns = last_ns.saturating_sub(from_ns);
        let width_ns = (range_ns / BINS + 1).max(FINEST_NS);
        let mut earliest = vec![NEVER; (range_ns / width_ns) as usize + 1];
        for slot in 0..join.truth.len() {
            if let (Some(seen), Some(request)) = (join.seen(slot), join.request(slot)) {
                let bin = (request.sent_ns.saturating_sub(from_ns) / width_ns) as usize;
                earliest[bin] = earliest[bin].min(seen);
            }
        }
        for bin in (1..earliest.len()).rev() {
            earliest[bin - 1] = earliest[bin - 1].min(earliest[bin]);
        }
        Self {
            from_ns,
            width_ns,
            earliest,
        }
    }

    /// When something sent after `ended_ns` was first seen; [`NEVER`] if nothing was.
    pub fn at(&self, ended_ns: i64) -> i64 {
        let bin = ended_ns.saturating_sub(self.from_ns).max(0) / self.width_ns + 1;
        usize::try_from(bin)
            .ok()
            .and_then(|bin| self.earliest.get(bin))
            .copied()
            .unwrap_or(NEVER)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::checkers::fixture::{FROM, MS, attempt, clean, publish, unpublish};
    use crate::history::{History, Request};
    use crate::scenario::StrategyKind;

    /// When what was sent after a request's end had first been seen.
    fn passed(history: &History, attempt: u32) -> i64 {
        let ended_ns = history.requests.at(attempt as usize).ended_ns;
        Passed::new(&Join::new(history)).at(ended_ns)
    }

    /// Seen 3 ms after its intended start.
    fn seen_ns(history: &History, attempt: u32) -> i64 {
        history.requests.at(attempt as usize).intended_ns + 3 * MS
    }

    fn set(history: &mut History, attempt: u32, change: impl FnOnce(&mut Request)) {
        change(&mut history.requests.open()[attempt as usize]);
    }

    #[test]
    fn given_a_change_when_the_next_one_was_sent_after_its_end_then_that_overtakes_it() {
        let mut history = clean(10, StrategyKind::Cdc {});
        let [one, two, three] = [1, 2, 3].map(|version| attempt(&history, 4, version));
        // Its own event does not, nor does one that was sent before its end
        assert_eq!(passed(&history, one), seen_ns(&history, two));
        let ended_ns = history.requests.at(two as usize).sent_ns + MS / 2;
        set(&mut history, one, |r| r.ended_ns = ended_ns);
        assert_eq!(passed(&history, one), seen_ns(&history, three));
        // And one does that was sent in the very next millisecond
        set(&mut history, one, |r| r.ended_ns -= MS);
        assert_eq!(passed(&history, one), seen_ns(&history, two));
    }

    #[test]
    fn given_a_change_that_nothing_came_after_then_it_was_never_overtaken() {
        let history = clean(10, StrategyKind::Cdc {});
        let last = attempt(&history, 9, 3);
        assert_eq!(passed(&history, last), NEVER);
    }

    #[test]
    fn given_the_first_version_of_all_when_it_was_sent_last_then_it_overtakes_like_any_other() {
        let mut history = clean(10, StrategyKind::Cdc {});
        let (first, last) = (attempt(&history, 0, 1), attempt(&history, 9, 3));
        unpublish(&mut history, first);
        set(&mut history, first, |r| {
            r.intended_ns = FROM + 500 * MS;
            r.sent_ns = r.intended_ns;
            r.ended_ns = r.intended_ns + MS;
        });
        publish(&mut history, first, 1);
        history.log.open().sort_by_key(|r| (r.partition, r.offset));
        assert_eq!(passed(&history, last), FROM + 503 * MS);
    }

    #[test]
    fn given_a_run_of_any_length_then_its_bins_are_fine_or_as_many_as_may_be() {
        let of_length = |range_ns: i64| {
            let mut history = clean(1, StrategyKind::Cdc {});
            let from_ns = history.requests.at(0).sent_ns;
            set(&mut history, 3, |r| r.sent_ns = from_ns + range_ns);
            Passed::new(&Join::new(&history)).earliest.len() as i64
        };
        assert_eq!(of_length(30 * MS), 31);
        for range_ns in [BINS * 2 * MS, 90_000_000 * MS] {
            let bins = of_length(range_ns);
            assert!((BINS * 9 / 10..=BINS).contains(&bins), "{bins}");
        }
    }
}
