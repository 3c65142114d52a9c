//! What is expected of what a strategy costs. A bound from below is a lesson, as everywhere: it counts only what was
//! sampled while a fault was in force, and the strategy must have cost less before the first.

use super::compared::{Compared, Seen, compare, nothing_measured};
use crate::measure::{self, Return};
use crate::scenario::{CostInfo, CostKind, Expectation};

/// Checks a bound from above.
pub fn check(expectation: &Expectation, seen: &Seen<'_, '_>, kind: CostKind) -> Compared {
    let (history, info) = (seen.context.history(), kind.info());
    if kind == CostKind::TimeToNormal {
        return time_to_normal(expectation, seen);
    }
    let value = match info.is_peak {
        true => measure::peak_where(history, kind, |_| true),
        false => measure::per_event(history, kind, seen.committed),
    };
    let Some(value) = value else {
        return nothing_measured(&not_sampled(info));
    };
    let saw = spoken(info, value);
    let may_be_more = || {
        let most = measure::age_at_most_ms(history, kind)?;
        let is_kept = compare(expectation, most);
        (!is_kept).then(|| format!("up to {}, by when it was looked for", spoken(info, most)))
    };
    let unseen = measure::blind(history, kind).or_else(may_be_more);
    let compared = match (compare(expectation, value), unseen) {
        // What is too much already cannot become less by what nobody saw.
        (false, _) => Compared::missed(format!("expected {}, saw {saw}", expectation.text)),
        (true, Some(why)) => Compared::open(format!("saw {saw}, but it may be more: {why}")),
        (true, None) => Compared::met(Some(value)),
    };
    compared.saw(Some(value))
}

/// Checks how long the outbox took to be what it had been. It may have been back earlier than somebody looked, so a bound
/// that is met is met for certain.
fn time_to_normal(expectation: &Expectation, seen: &Seen<'_, '_>) -> Compared {
    let took = measure::back_to_normal(&seen.context.view.join);
    let (value, saw) = match took {
        Return::NotMeasured(why) => return nothing_measured(why),
        Return::NotWithin(seconds) if compare(expectation, seconds) => {
            return Compared::open(format!(
                "it was not back when it was last looked at under load, {seconds:.1} s after the last heal, and may have \
                 been in time: let the load go on for longer after it"
            ));
        }
        Return::NotWithin(seconds) => (None, format!("it was not back within {seconds:.1} s")),
        Return::After(seconds) => (Some(seconds), format!("it took {seconds:.1} s")),
    };
    if value.is_some_and(|seconds| compare(expectation, seconds)) {
        return Compared::met(value);
    }
    let compared = match measure::unseen_return(&seen.context.view.join) {
        Some(why) => Compared::open(format!("{saw}, but it may have been back before: {why}")),
        None => Compared::missed(format!("expected {}, {saw}", expectation.text)),
    };
    compared.saw(value)
}

/// Checks a bound from below, of a peak: the parser takes none of another figure.
pub fn lesson(expectation: &Expectation, seen: &Seen<'_, '_>, kind: CostKind) -> Compared {
    let (history, info) = (seen.context.history(), kind.info());
    // Of an age only what came after a fault's begin is its doing.
    let in_force = |at_ns: i64, value: f64| {
        let spans = seen.windows.iter().map(|window| window.span);
        let spans = spans.filter(|span| span.from_ns <= at_ns && at_ns <= span.until_ns);
        let parts = spans.map(|span| match info.is_age {
            true => value.min((at_ns - span.from_ns) as f64 / 1e6),
            false => value,
        });
        parts.reduce(f64::max)
    };
    if !info.is_peak {
        return nothing_measured(
            "it is a figure of the whole run, of which no part is known to be a fault's effect",
        );
    }
    let first_ns = seen.windows.iter().map(|window| window.span.from_ns).min();
    let Some(value) = measure::peak_of(history, kind, in_force) else {
        return nothing_measured(&format!("{} while a fault was in force", not_sampled(info)));
    };
    let is_before = |at_ns| history.meta.load_from_ns <= at_ns && Some(at_ns) < first_ns;
    let before = measure::peak_where(history, kind, is_before);
    let saw = spoken(info, value);
    let compared = if !compare(expectation, value) {
        Compared::missed(format!(
            "expected {}, saw {saw} while a fault was in force",
            expectation.text
        ))
    } else {
        match before {
            None => Compared::open(format!(
                "saw {saw} while a fault was in force, but nothing was sampled before the first fault, so nothing \
                 shows what the strategy costs without it: let the fault begin later"
            )),
            Some(before) if compare(expectation, before) => Compared::open(format!(
                "saw {saw} while a fault was in force, but {} before the first: the fault explains nothing",
                spoken(info, before)
            )),
            Some(_) => Compared::met(Some(value)),
        }
    };
    compared.saw(Some(value))
}

fn not_sampled(info: &CostInfo) -> String {
    format!("`{}` was not sampled", info.name)
}

fn spoken(info: &CostInfo, value: f64) -> String {
    reports::cost(info.name, value)
}
