//! Whether order path and relay kept pace with a steady load, from the history of its run. A queue
//! that grows says so long before its length does, so what counts is the slope.

use crate::history::{Outcome, Request};
use crate::measure::ns;
use crate::view::Join;
use std::ops::Range;

/// A queue may grow by this share of what comes in: who takes 99 % of it keeps pace.
const GROWTH_MAX: f64 = 0.01;
/// An order path that answers later than this at p99 has a queue, whether it grows or not.
const ORDER_P99_MAX_MS: f64 = 250.0;
/// The queues are looked at so often.
const LOOK_NS: i64 = 50_000_000;

/// This tells what came in and what came out over a stretch of the load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    /// Changes that were due a second.
    pub due_per_s: f64,
    /// By how many a second the changes grew that were due and had no answer.
    pub unanswered_growth_per_s: f64,
    /// By how many a second the changes grew that were committed and had not been seen.
    pub backlog_growth_per_s: f64,
    /// From due to answered, of all that were due; infinite where it falls on one without an answer.
    pub order_p99_ms: f64,
}

/// Who did not keep pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    /// The answers fell behind the changes that were due.
    OrderPath,
    /// The events fell behind the commits.
    Relay,
}

impl Pace {
    /// Measures the changes due in `load_ns` (run time): the latency of all of them, and the queues over its second
    /// half, when what starts up has started. `None` means that the stretch is too short to tell.
    pub fn of(join: &Join<'_>, load_ns: Range<i64>) -> Option<Self> {
        let half_ns = load_ns.start.midpoint(load_ns.end);
        let mut unanswered = QueueLength::new(half_ns..load_ns.end);
        let mut backlog = QueueLength::new(half_ns..load_ns.end);
        let mut answered_after_ms = Vec::new();
        for (attempt, request) in join.history.requests.numbered() {
            let answered_ns = answered_ns(&request);
            unanswered.add(request.intended_ns, answered_ns);
            if load_ns.contains(&request.intended_ns) {
                answered_after_ms.push(answered_ns.map_or(f64::INFINITY, |at| {
                    at.saturating_sub(request.intended_ns) as f64 / 1e6
                }));
            }
            if let Some(slot) = join.slot_of(attempt as u32) {
                let seen_ns = join.seen(slot);
                // A commit is no later than its answer and no later than its event.
                let committed_ns = request.ended_ns.min(seen_ns.unwrap_or(i64::MAX));
                backlog.add(committed_ns, seen_ns);
            }
        }
        let seconds = (load_ns.end - load_ns.start) as f64 / 1e9;
        let due = answered_after_ms.len();
        let at_p99 = (due * 99).div_ceil(100).checked_sub(1)?;
        let (_, order_p99_ms, _) = answered_after_ms.select_nth_unstable_by(at_p99, f64::total_cmp);
        Some(Self {
            due_per_s: due as f64 / seconds,
            unanswered_growth_per_s: unanswered.growth_per_s()?,
            backlog_growth_per_s: backlog.growth_per_s()?,
            order_p99_ms: *order_p99_ms,
        })
    }

    /// Measures the load of a run, as planned, without its first `warm_up_s` seconds; `None` if that is too short to
    /// tell.
    pub fn of_load(join: &Join<'_>, warm_up_s: u32) -> Option<Self> {
        let meta = &join.history.meta;
        let from_ns = meta.load_from_ns + i64::from(warm_up_s) * 1_000_000_000;
        let until_ns = meta.load_from_ns + ns(meta.scenario.workload.duration);
        Self::of(join, from_ns..until_ns)
    }

    /// Returns who fell behind, or `None`: the order path comes first, since what it does not commit no relay can
    /// publish.
    pub fn behind(&self) -> Option<Behind> {
        let most = self.due_per_s * GROWTH_MAX;
        if self.unanswered_growth_per_s > most || self.order_p99_ms > ORDER_P99_MAX_MS {
            Some(Behind::OrderPath)
        } else if self.backlog_growth_per_s > most {
            Some(Behind::Relay)
        } else {
            None
        }
    }

    /// Says in words who fell behind, with the figures that it rests on.
    pub fn said(&self, behind: Behind) -> String {
        let due = self.due_per_s;
        match behind {
            Behind::OrderPath => format!(
                "the order path fell behind: {:.0} of {due:.0} changes a second were answered, p99 {}",
                due - self.unanswered_growth_per_s,
                if self.order_p99_ms.is_finite() {
                    format!("{:.0} ms", self.order_p99_ms)
                } else {
                    "without an answer".to_owned()
                }
            ),
            Behind::Relay => format!(
                "the relay fell behind: its backlog grew by {:.0} a second of {due:.0}",
                self.backlog_growth_per_s
            ),
        }
    }
}

/// A change that was refused has its answer too.
fn answered_ns(request: &Request) -> Option<i64> {
    match request.outcome {
        Outcome::Committed | Outcome::Rejected => Some(request.ended_ns),
        Outcome::Unknown | Outcome::NotSent => None,
    }
}

/// How many were inside, at equal distances over a stretch of time.
struct QueueLength {
    from_ns: i64,
    /// From one look to the next, the number inside changed by these.
    changes: Vec<f64>,
}

impl QueueLength {
    fn new(stretch_ns: Range<i64>) -> Self {
        let looks = (stretch_ns.end - stretch_ns.start).max(0) / LOOK_NS;
        Self {
            from_ns: stretch_ns.start,
            changes: vec![0.0; looks as usize],
        }
    }

    /// Somebody came at that time, and left; what is later than the last look is not seen by it.
    fn add(&mut self, came_ns: i64, left_ns: Option<i64>) {
        for (at_ns, change) in [(Some(came_ns), 1.0), (left_ns, -1.0)] {
            let look = at_ns.map(|at| at.saturating_sub(self.from_ns).max(0) / LOOK_NS);
            let place = look.and_then(|look| self.changes.get_mut(look as usize));
            if let Some(place) = place {
                *place += change;
            }
        }
    }

    /// Returns the slope of the line of least squares through its lengths; `None` for fewer than two looks.
    fn growth_per_s(&self) -> Option<f64> {
        let lengths = self.changes.iter().scan(0.0, |length, change| {
            *length += change;
            Some(*length)
        });
        let lengths: Vec<f64> = lengths.collect();
        if lengths.len() < 2 {
            return None;
        }
        let count = lengths.len() as f64;
        let mean = lengths.iter().sum::<f64>() / count;
        let mean_at = (count - 1.0) / 2.0;
        let (mut above, mut below) = (0.0, 0.0);
        for (at, length) in lengths.iter().enumerate() {
            let off = at as f64 - mean_at;
            above += off * (length - mean);
            below += off * off;
        }
        Some(above / below / (LOOK_NS as f64 / 1e9))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::checkers::fixture::{clean, naive};
    use crate::history::History;

    const S: i64 = 1_000_000_000;
    /// Of four attempts each, one of them refused.
    const ORDERS: u32 = 1_000;

    /// A thousand changes a second for four seconds, answered and seen when `answered_s` and `seen_s`
    /// of their intended start say so.
    fn history(answered_s: impl Fn(f64) -> f64, seen_s: impl Fn(f64) -> f64) -> History {
        let mut history = clean(ORDERS, naive());
        let from_ns = history.meta.load_from_ns;
        let at = |s: f64| from_ns + (s * S as f64) as i64;
        let mut due = Vec::new();
        for (n, request) in history.requests.open().iter_mut().enumerate() {
            let due_s = n as f64 / 1e3;
            request.intended_ns = at(due_s);
            request.sent_ns = at(due_s);
            request.ended_ns = at(answered_s(due_s));
            due.push(due_s);
        }
        let attempt_of = |partition: i32, offset: i64| {
            let mut rows = history.log.iter();
            let row = rows.find(|row| (row.partition, row.offset) == (partition, offset));
            row.unwrap().attempt as usize
        };
        let places: Vec<usize> = history
            .sightings
            .iter()
            .map(|s| attempt_of(s.partition, s.offset))
            .collect();
        for (sighting, attempt) in history.sightings.open().iter_mut().zip(places) {
            sighting.seen_ns = at(seen_s(due[attempt]));
        }
        history
    }

    fn pace(history: &History) -> Pace {
        let from_ns = history.meta.load_from_ns;
        Pace::of(&Join::new(history), from_ns..from_ns + 4 * S).unwrap()
    }

    #[test]
    fn given_short_queues_that_do_not_grow_when_asked_then_everybody_keeps_pace() {
        let pace = pace(&history(|due| due + 0.004, |due| due + 0.05));
        assert_eq!(pace.behind(), None, "{pace:?}");
        assert!((pace.due_per_s - 1_000.0).abs() < 1.0 && (pace.order_p99_ms - 4.0).abs() < 0.1);
    }

    #[test]
    fn given_answers_at_97_percent_of_the_rate_when_asked_then_the_order_path_is_behind() {
        // Its queue is short all the same: 0.12 s at the end of the load.
        let pace = pace(&history(|due| due / 0.97, |due| due / 0.97 + 0.01));
        assert_eq!(pace.behind(), Some(Behind::OrderPath));
        assert!(
            (pace.unanswered_growth_per_s - 30.0).abs() < 3.0,
            "{pace:?}"
        );
        assert!(pace.order_p99_ms < ORDER_P99_MAX_MS);
        assert!(pace.said(Behind::OrderPath).contains("970 of 1000"));
    }

    #[test]
    fn given_answers_that_are_late_without_getting_later_when_asked_then_the_order_path_is_behind()
    {
        let pace = pace(&history(|due| due + 0.4, |due| due + 0.41));
        assert!(pace.unanswered_growth_per_s.abs() < 3.0);
        assert_eq!(pace.behind(), Some(Behind::OrderPath));
    }

    #[test]
    fn given_events_at_92_percent_of_the_commits_when_asked_then_the_relay_is_behind() {
        let pace = pace(&history(|due| due + 0.002, |due| due / 0.92 + 0.002));
        assert_eq!(pace.behind(), Some(Behind::Relay));
        // Of the 750 a second that are committed.
        assert!((pace.backlog_growth_per_s - 60.0).abs() < 6.0, "{pace:?}");
    }

    #[test]
    fn given_a_slow_start_when_the_second_half_is_steady_then_it_is_no_growth() {
        let late = |due: f64| due + 0.2 - (due / 2.0).min(1.0) * 0.15;
        assert_eq!(pace(&history(|due| due + 0.002, late)).behind(), None);
    }

    #[test]
    fn given_a_change_without_an_answer_when_asked_then_it_counts_as_never_answered() {
        let mut history = history(|due| due + 0.002, |due| due + 0.01);
        for request in history.requests.open().iter_mut().step_by(50) {
            request.outcome = Outcome::Unknown;
        }
        let pace = pace(&history);
        assert!(pace.order_p99_ms.is_infinite());
        assert_eq!(pace.behind(), Some(Behind::OrderPath));
        assert!(
            pace.said(Behind::OrderPath)
                .ends_with("p99 without an answer")
        );
    }

    #[test]
    fn given_too_short_a_stretch_when_asked_then_nothing_is_said() {
        let history = history(|due| due, |due| due);
        let from_ns = history.meta.load_from_ns;
        assert_eq!(Pace::of(&Join::new(&history), from_ns..from_ns + 1), None);
    }
}
