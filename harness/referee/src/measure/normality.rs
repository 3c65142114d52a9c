//! How long it took, after the last heal, until the outbox was what it had been before the first fault.

use super::database::OUTBOX_BYTES;
use super::drain::last_heal_ns;
use crate::history::Outcome;
use crate::view::{Join, NEVER, windows};

/// What there is to say of a return.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Return {
    /// There was nothing to return from, or nobody looked; why.
    NotMeasured(&'static str),
    /// Whenever somebody looked, more rows waited than before, or the outbox was larger.
    Never,
    /// Seconds from the last heal to the first look at which it was neither.
    After(f64),
}

impl Return {
    /// Returns the seconds that it took; `None` where it was not measured or never happened.
    pub fn seconds(self) -> Option<f64> {
        match self {
            Self::NotMeasured(_) | Self::Never => None,
            Self::After(seconds) => Some(seconds),
        }
    }
}

/// From the last heal to the first sample of the outbox's size that is not above the largest before the first fault, at
/// a time at which no more committed changes had not been seen than at any time before that fault.
pub fn back_to_normal(join: &Join<'_>) -> Return {
    let history = join.history;
    let of_it = history.samples.iter().filter(|s| s.series == OUTBOX_BYTES);
    let mut sizes: Vec<(i64, f64)> = of_it.map(|s| (s.at_ns, s.value)).collect();
    sizes.sort_by_key(|(at_ns, _)| *at_ns);
    if sizes.is_empty() {
        return Return::NotMeasured("`time_to_normal` was not sampled");
    }
    let first_ns = windows(history).iter().map(|w| w.span.from_ns).min();
    let (Some(first_ns), Some(healed_ns)) = (first_ns, last_heal_ns(history)) else {
        return Return::NotMeasured("no fault that concerns the strategy was in force");
    };
    if healed_ns == NEVER {
        return Return::NotMeasured("a fault was never healed");
    }
    let before = history.meta.load_from_ns..first_ns;
    let usual = sizes.iter().filter(|(at_ns, _)| before.contains(at_ns));
    let Some(most_bytes) = usual.map(|(_, bytes)| *bytes).reduce(f64::max) else {
        return Return::NotMeasured(
            "the outbox was not looked at before the first fault, so nothing shows what it is without one",
        );
    };
    let waiting = Waiting::of(join);
    let most_rows = waiting.most(before.start, before.end);
    let after = &sizes[sizes.partition_point(|(at_ns, _)| *at_ns < healed_ns)..];
    if after.is_empty() {
        return Return::NotMeasured("the outbox was not looked at after the last heal");
    }
    let back = after
        .iter()
        .find(|(at_ns, bytes)| *bytes <= most_bytes && waiting.at(*at_ns) <= most_rows);
    back.map_or(Return::Never, |(at_ns, _)| {
        Return::After((at_ns - healed_ns) as f64 / 1e9)
    })
}

/// When committed changes began to wait for their event's first sight, and when they no longer did; sorted.
struct Waiting {
    began_ns: Vec<i64>,
    ended_ns: Vec<i64>,
}

impl Waiting {
    /// What is committed waits from its answer on; from its send on, where there was none.
    fn of(join: &Join<'_>) -> Self {
        let (mut began_ns, mut ended_ns) = (Vec::new(), Vec::new());
        for slot in 0..join.truth.len() {
            let Some(request) = join.request(slot) else {
                continue;
            };
            let began = match request.outcome {
                Outcome::Committed => request.ended_ns,
                Outcome::Rejected | Outcome::Unknown | Outcome::NotSent => request.sent_ns,
            };
            began_ns.push(began);
            // An event can be seen before its answer is.
            ended_ns.extend(join.seen(slot).map(|seen_ns| seen_ns.max(began)));
        }
        began_ns.sort_unstable();
        ended_ns.sort_unstable();
        Self { began_ns, ended_ns }
    }

    /// Returns how many wait at this time.
    fn at(&self, at_ns: i64) -> usize {
        let by = |times: &[i64]| times.partition_point(|time| *time <= at_ns);
        by(&self.began_ns) - by(&self.ended_ns)
    }

    /// Returns the most that wait at any time from one on and before another one: it becomes more only when one begins.
    fn most(&self, from_ns: i64, until_ns: i64) -> usize {
        let begins = self.began_ns.iter().copied().chain([from_ns]);
        let times = begins.filter(|at_ns| (from_ns..until_ns).contains(at_ns));
        times.map(|at_ns| self.at(at_ns)).max().unwrap_or(0)
    }
}
