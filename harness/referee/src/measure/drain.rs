//! How long it took until nothing was left: after the last heal, and after the end of the load.

use super::ns;
use crate::history::{History, Outcome, Request};
use crate::view::windows;
use crate::view::{Join, NEVER};

/// When the last fault that was in force was healed; [`NEVER`] if one never was.
pub fn last_heal_ns(history: &History) -> Option<i64> {
    let windows = windows(history);
    windows.iter().map(|w| w.span.until_ns).max()
}

/// Returns the seconds from the end of the load to the last committed change's first sight; 0 if that was earlier,
/// `None` if something never arrived or nothing was committed.
pub fn drain_s(join: &Join<'_>) -> Option<f64> {
    let mut last_ns = None;
    for slot in 0..join.truth.len() {
        last_ns = last_ns.max(Some(join.seen(slot)?));
    }
    Some(seconds(join.history.meta.load_until_ns, last_ns?))
}

/// What there is to say of a recovery.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Recovery {
    /// There was nothing to recover from, or nothing that had to; why.
    NotMeasured(&'static str),
    /// Something that was committed before the last heal was never seen.
    Never,
    /// Seconds from the last heal until all that was committed before it had been seen.
    After(f64),
}

impl Recovery {
    /// Returns the seconds that it took; `None` where it was not measured or never happened.
    pub fn seconds(self) -> Option<f64> {
        match self {
            Self::NotMeasured(_) | Self::Never => None,
            Self::After(seconds) => Some(seconds),
        }
    }
}

/// From the last heal until everything committed before it has been seen, under whatever load goes
/// on; 0 s if that was earlier.
pub fn recovery(join: &Join<'_>) -> Recovery {
    let Some(healed_ns) = last_heal_ns(join.history) else {
        return Recovery::NotMeasured("no fault that concerns the strategy was in force");
    };
    if healed_ns == NEVER {
        return Recovery::NotMeasured("a fault was never healed");
    }
    let mut last_ns = None;
    for slot in 0..join.truth.len() {
        let request = join.request(slot);
        if request.is_some_and(|request| !committed_before(request, healed_ns)) {
            continue;
        }
        let Some(seen_ns) = join.seen(slot) else {
            return Recovery::Never;
        };
        last_ns = last_ns.max(Some(seen_ns));
    }
    match last_ns {
        None => Recovery::NotMeasured("nothing was committed before the last heal"),
        Some(last_ns) => Recovery::After(seconds(healed_ns, last_ns)),
    }
}

/// Whether a committed change counts as committed by then. When it was is not known, only that it was
/// between its send and its answer; so what was under way at the heal counts by its answer, and by
/// its send where there was none.
pub fn committed_before(request: Request, healed_ns: i64) -> bool {
    counts_from_ns(request) <= healed_ns
}

/// From when on a committed change counts as committed; see [`committed_before`].
pub(super) fn counts_from_ns(request: Request) -> i64 {
    match request.outcome {
        Outcome::Committed => request.ended_ns,
        Outcome::Rejected | Outcome::Unknown | Outcome::NotSent => request.sent_ns,
    }
}

fn seconds(from_ns: i64, until_ns: i64) -> f64 {
    let waited_ns = until_ns.saturating_sub(from_ns).max(0);
    waited_ns.min(ns(std::time::Duration::MAX)) as f64 / 1e9
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::checkers::fixture::clean;
    use crate::scenario::StrategyKind;

    #[test]
    fn given_a_change_then_it_counts_from_its_answer_and_from_its_send_where_there_was_none() {
        let history = clean(1, StrategyKind::Cdc {});
        let first = history.requests.iter().next();
        let outcomes = [
            (Outcome::Committed, 700),
            (Outcome::Rejected, 300),
            (Outcome::Unknown, 300),
            (Outcome::NotSent, 300),
        ];
        for (outcome, from_ns) in outcomes {
            let request = first.map(|request| Request {
                outcome,
                sent_ns: 300,
                ended_ns: 700,
                ..request
            });
            let counts = |at_ns| request.map(|request| committed_before(request, at_ns));
            assert_eq!(counts(from_ns - 1), Some(false), "{outcome:?}");
            assert_eq!(counts(from_ns), Some(true), "{outcome:?}");
        }
    }
}
