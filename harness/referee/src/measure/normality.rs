//! How long it took, after the last heal, until the outbox was what it had been before the first fault.

use super::cost::not_asked_in;
use super::database::OUTBOX_BYTES;
use super::drain::{counts_from_ns, last_heal_ns};
use crate::history::History;
use crate::scenario::CostKind;
use crate::view::{Join, NEVER, windows};

/// So many looks before the first fault show what is usual, at least.
const USUAL_LOOKS: usize = 4;

/// What there is to say of a return.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Return {
    /// There was nothing to return from, or nobody looked; why.
    NotMeasured(&'static str),
    /// Whenever somebody looked under load, until so many seconds after the last heal, more rows waited than before, or
    /// the outbox was larger.
    NotWithin(f64),
    /// Seconds from the last heal to the first look at which it was neither.
    After(f64),
}

impl Return {
    /// Returns the seconds that it took; `None` where it was not measured or did not come.
    pub fn seconds(self) -> Option<f64> {
        match self {
            Self::NotMeasured(_) | Self::NotWithin(_) => None,
            Self::After(seconds) => Some(seconds),
        }
    }

    /// Returns the seconds for which it was looked for and did not come; `None` where it came or was not measured.
    pub fn not_within_s(self) -> Option<f64> {
        match self {
            Self::NotMeasured(_) | Self::After(_) => None,
            Self::NotWithin(seconds) => Some(seconds),
        }
    }
}

/// From the last heal to the first sample of the outbox's size that is not above the largest before the first fault, at
/// a time at which no more committed changes had not been seen than at any time before that fault. Only while the load
/// goes on, as it did before the fault: without one every outbox becomes empty.
pub fn back_to_normal(join: &Join<'_>) -> Return {
    let looks = match Looks::of(join.history) {
        Ok(looks) => looks,
        Err(why) => return Return::NotMeasured(why),
    };
    let most_bytes = looks.before.iter().copied().fold(0.0, f64::max);
    let waiting = Waiting::of(join);
    let most_rows = waiting.most(join.history.meta.load_from_ns, looks.first_ns);
    let back = looks
        .after
        .iter()
        .find(|(at_ns, bytes)| *bytes <= most_bytes && waiting.at(*at_ns) <= most_rows);
    let since_heal_s = |at_ns: i64| (at_ns - looks.healed_ns) as f64 / 1e9;
    match (back, looks.unusual(), looks.after.last()) {
        (Some((at_ns, _)), _, _) => Return::After(since_heal_s(*at_ns)),
        (None, Some(why), _) => Return::NotMeasured(why),
        (None, None, last) => {
            Return::NotWithin(last.map_or(0.0, |(at_ns, _)| since_heal_s(*at_ns)))
        }
    }
}

/// Returns why the outbox may have been back earlier than at the look that shows it; `None` where nothing says so.
pub fn unseen_return(join: &Join<'_>) -> Option<String> {
    let history = join.history;
    let looks = Looks::of(history).ok()?;
    if let Some(why) = looks.unusual() {
        return Some(why.to_owned());
    }
    let until_ns = match back_to_normal(join) {
        Return::After(seconds) => looks.healed_ns.saturating_add((seconds * 1e9) as i64),
        Return::NotMeasured(_) | Return::NotWithin(_) => history.meta.load_until_ns,
    };
    // What nobody asked while the fault was in force tells nothing of what was before or came after.
    let kind = CostKind::TimeToNormal;
    not_asked_in(history, kind, history.meta.load_from_ns, looks.first_ns)
        .or_else(|| not_asked_in(history, kind, looks.healed_ns, until_ns))
}

/// Looks at the outbox's size under load: before the first fault, and after the last heal.
struct Looks {
    first_ns: i64,
    healed_ns: i64,
    before: Vec<f64>,
    after: Vec<(i64, f64)>,
}

impl Looks {
    /// An error says why there is nothing to compare.
    fn of(history: &History) -> Result<Self, &'static str> {
        let of_it = history.samples.iter().filter(|s| s.series == OUTBOX_BYTES);
        let mut sizes: Vec<(i64, f64)> = of_it.map(|s| (s.at_ns, s.value)).collect();
        sizes.sort_by_key(|(at_ns, _)| *at_ns);
        if sizes.is_empty() {
            return Err("`time_to_normal` was not sampled");
        }
        let first_ns = windows(history).iter().map(|w| w.span.from_ns).min();
        let (Some(first_ns), Some(healed_ns)) = (first_ns, last_heal_ns(history)) else {
            return Err("no fault that concerns the strategy was in force");
        };
        if healed_ns == NEVER {
            return Err("a fault was never healed");
        }
        let (from_ns, until_ns) = (history.meta.load_from_ns, history.meta.load_until_ns);
        let before = sizes
            .iter()
            .filter(|(at_ns, _)| (from_ns..first_ns).contains(at_ns));
        let after = sizes
            .iter()
            .filter(|(at_ns, _)| (healed_ns..=until_ns).contains(at_ns));
        let looks = Self {
            first_ns,
            healed_ns,
            before: before.map(|(_, bytes)| *bytes).collect(),
            after: after.copied().collect(),
        };
        if looks.before.is_empty() {
            return Err(
                "the outbox was not looked at before the first fault, so nothing shows what it is without one",
            );
        }
        if looks.after.is_empty() {
            return Err(
                "the outbox was not looked at between the last heal and the load's end: let the load go on for longer",
            );
        }
        Ok(looks)
    }

    /// Why the largest size before the first fault may not be the usual one: too few looks, or it was still growing, so
    /// that the largest first came within the last quarter of the looks.
    fn unusual(&self) -> Option<&'static str> {
        let looks = self.before.len();
        let most_bytes = self.before.iter().copied().fold(0.0, f64::max);
        let first_at = self.before.iter().position(|bytes| *bytes >= most_bytes);
        if looks < USUAL_LOOKS {
            return Some(
                "the outbox was looked at less than four times before the first fault, so what is usual is not known: \
                 let the fault begin later",
            );
        }
        (first_at >= Some(looks - looks.div_ceil(4))).then_some(
            "the outbox was still growing when the first fault began, so what is usual is not known: let the fault begin \
             later",
        )
    }
}

/// When committed changes began to wait for their event's first sight, and when they no longer did; sorted.
struct Waiting {
    began_ns: Vec<i64>,
    ended_ns: Vec<i64>,
}

impl Waiting {
    /// What is committed waits from the time on at which it counts as committed.
    fn of(join: &Join<'_>) -> Self {
        let (mut began_ns, mut ended_ns) = (Vec::new(), Vec::new());
        for slot in 0..join.truth.len() {
            let Some(request) = join.request(slot) else {
                continue;
            };
            let began = counts_from_ns(request);
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
