//! One expectation against what was seen.

use super::compared::{Compared, Seen, at, compare, nothing_measured};
use super::reading::Known;
use super::tally::Tally;
use super::{Checked, cost, lesson, stale_reads, untold, whereabouts};
use crate::measure::Recovery;
use crate::scenario::{Comparison, Expectation, LatencyKind, Metric, Percentile};
use reports::record::LatencySet;

/// Checks one expectation: whether it is met, or missed, or why this run cannot tell.
pub fn check(expectation: &Expectation, seen: &Seen<'_, '_>) -> Checked {
    let known = seen.context.reading.of_metric(expectation.metric);
    check_known(expectation, known, seen)
}

/// Checks one of whose metric so much is known.
pub fn check_known(expectation: &Expectation, known: Known<'_>, seen: &Seen<'_, '_>) -> Checked {
    let compared = match known {
        Known::Whole => compared(expectation, seen),
        Known::AtLeast(reason) => found(expectation, seen, reason),
        Known::Nothing(reason) => Compared::untold(reason),
    };
    let Compared {
        observed,
        met,
        reason,
        only_inconclusive,
    } = compared;
    let cause = met.and_then(|met| {
        seen.inconclusive
            .iter()
            .find(|d| (d.blurs)(expectation, met))
    });
    match cause {
        None => Checked {
            expectation: expectation.clone(),
            observed,
            met,
            reason,
            only_inconclusive,
        },
        Some(cause) => Checked {
            expectation: expectation.clone(),
            observed,
            met: None,
            only_inconclusive: reason.is_empty(),
            reason: if reason.is_empty() {
                format!("this run cannot tell: {}", cause.reason)
            } else {
                format!("{reason}; this run cannot tell: {}", cause.reason)
            },
        },
    }
}

/// With all that the metric needs.
fn compared(expectation: &Expectation, seen: &Seen<'_, '_>) -> Compared {
    if let Some(compared) = untold::check(expectation, seen) {
        return compared;
    }
    let is_count = seen.tally(expectation.metric).is_some();
    let of_the_stack = (is_count && lesson::is_of_the_stack(seen))
        || lesson::is_of_the_cache(expectation.metric, seen);
    if expectation.comparison == Comparison::AtLeast && !of_the_stack {
        return lesson::check(expectation, seen);
    }
    match expectation.metric {
        Metric::Drain if seen.committed == 0 => nothing_measured("nothing was committed"),
        Metric::Drain => against(
            expectation,
            seen.drain_s,
            "s",
            "a committed change was never seen",
        ),
        Metric::Recovery => match seen.recovery {
            Recovery::NotMeasured(why) => nothing_measured(why),
            Recovery::Never | Recovery::After(_) => against(
                expectation,
                seen.recovery.seconds(),
                "s",
                "a change committed before the last heal was never seen",
            ),
        },
        Metric::Latency(kind, percentile) => latency(expectation, seen.latency, kind, percentile),
        Metric::LongestStaleness => match stale_reads::longest_ms(seen.context, |_| true) {
            None => nothing_measured("no read was answered"),
            longest => against(expectation, longest, "ms", "it never ended"),
        },
        Metric::Cost(kind) => cost::check(expectation, seen, kind),
        metric => match seen.tally(metric) {
            Some(tally) => count(expectation, seen, tally),
            None => nothing_measured("no checker counts it"),
        },
    }
}

/// With less than the metric needs, where what was found stands: enough of it misses a bound from
/// above, and nothing meets one, nor tells whether the strategy was clean before a fault.
fn found(expectation: &Expectation, seen: &Seen<'_, '_>, unread: &str) -> Compared {
    let found = seen.tally(expectation.metric).map_or(0, Tally::count);
    let from_above = expectation.comparison != Comparison::AtLeast;
    if from_above && found as f64 > expectation.value {
        let reason = format!("expected {}, saw {found} at least", expectation.text);
        return Compared::missed(reason).saw(Some(found as f64));
    }
    Compared::untold(unread)
}

/// Compares a count with a bound from above, or an exact one. Of what is undecided, all or none may be lost.
fn count(expectation: &Expectation, seen: &Seen<'_, '_>, tally: &Tally<'_>) -> Compared {
    let counted = tally.count();
    let open = seen.undecided(tally.metric()).map_or(0, Tally::count);
    let (least, most) = (counted as f64, (counted + open) as f64);
    let value = expectation.value;
    let (certain, possible) = match expectation.comparison {
        Comparison::Equal => (open == 0 && least == value, least <= value && value <= most),
        Comparison::AtMost | Comparison::AtLeast => {
            (compare(expectation, most), compare(expectation, least))
        }
    };
    let compared = if certain {
        Compared::met(None)
    } else if possible {
        Compared::open(format!(
            "saw {counted}, and the end of the run cut off {open} more (undecided), of which it \
             cannot tell: give `[drain] within` more time"
        ))
    } else {
        let hint = whereabouts::hint(seen.context, tally.metric());
        let reason = format!("expected {}, saw {counted}{hint}", expectation.text);
        Compared::missed(reason)
    };
    compared.saw(Some(least))
}

fn latency(
    expectation: &Expectation,
    set: &LatencySet,
    kind: LatencyKind,
    percentile: Percentile,
) -> Compared {
    let of = match kind {
        LatencyKind::Order => &set.order,
        LatencyKind::Propagation => &set.propagation,
        LatencyKind::EndToEnd => &set.end_to_end,
    };
    if of.count == 0 {
        return nothing_measured("nothing was measured");
    }
    let infinite = format!("{} of {} never ended", of.censored, of.count);
    against(expectation, at(of, percentile), "ms", &infinite)
}

/// A figure that may be infinite: then a bound from above is missed.
fn against(
    expectation: &Expectation,
    observed: Option<f64>,
    unit: &str,
    infinite: &str,
) -> Compared {
    let expected = &expectation.text;
    match observed {
        Some(value) if compare(expectation, value) => Compared::met(observed),
        Some(value) => {
            Compared::missed(format!("expected {expected}, saw {value:.3} {unit}")).saw(observed)
        }
        None => Compared::missed(format!("expected {expected}, it is infinite: {infinite}")),
    }
}
