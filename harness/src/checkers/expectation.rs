//! One expectation against what was seen.

use super::Checked;
use super::doubts::Doubt;
use super::tally::Tally;
use crate::history::History;
use crate::measure::Recovery;
use crate::scenario::{Comparison, Expectation, LatencyKind, Metric, Percentile};
use reports::record::{Latency, LatencySet};

/// All that can be expected of.
pub struct Seen<'a, 't> {
    /// The history, for what it says beside the counts.
    pub history: &'a History,
    /// One a count metric.
    pub tallies: &'a [Tally<'t>],
    /// Over the whole run.
    pub latency: &'a LatencySet,
    /// Seconds; `None`: something never arrived.
    pub drain_s: Option<f64>,
    /// From the last heal.
    pub recovery: Recovery,
    /// Versions committed.
    pub committed: u64,
    /// Reasons to doubt.
    pub doubts: &'a [Doubt],
}

/// What came of the comparison, before any doubt.
struct Compared {
    observed: Option<f64>,
    met: Option<bool>,
    reason: String,
}

/// Checks one expectation.
pub fn check(expectation: &Expectation, seen: &Seen<'_, '_>) -> Checked {
    let compared = match expectation.metric {
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
        metric => match seen.tallies.iter().find(|t| t.metric() == metric) {
            Some(tally) => count(expectation, tally, seen.history),
            None => nothing_measured("no checker counts it"),
        },
    };
    let Compared {
        observed,
        met,
        reason,
    } = compared;
    let doubt = met.and_then(|met| seen.doubts.iter().find(|d| (d.blurs)(expectation, met)));
    match doubt {
        None => Checked {
            expectation: expectation.clone(),
            observed,
            met,
            reason,
        },
        Some(doubt) => Checked {
            expectation: expectation.clone(),
            observed,
            met: None,
            reason: if reason.is_empty() {
                format!("this run cannot tell: {}", doubt.reason)
            } else {
                format!("{reason}; this run cannot tell: {}", doubt.reason)
            },
        },
    }
}

fn count(expectation: &Expectation, tally: &Tally<'_>, history: &History) -> Compared {
    let at_least = expectation.comparison == Comparison::AtLeast;
    let counted = if at_least {
        tally.within_faults()
    } else {
        tally.count()
    };
    let holds = compare(expectation, counted as f64);
    let mut met = Some(holds);
    let mut reason = String::new();
    let early = tally.before_faults();
    if !holds {
        reason = format!("expected {}, saw {counted}", expectation.text);
        if counted != tally.count() {
            reason += &format!(
                " that a fault overlaps, of {} in the whole run",
                tally.count()
            );
        }
        if tally.metric() == Metric::Lost && !history.meta.stray_topics.is_empty() {
            reason += &format!(
                "; events of this run are on other topics: {}",
                history.meta.stray_topics.join(", ")
            );
        }
    } else if at_least && early > 0 {
        met = None;
        reason = format!(
            "saw {counted} that a fault overlaps, but {early} came before the first fault: the \
             strategy was not clean before it, so the fault explains nothing"
        );
    }
    Compared {
        observed: Some(counted as f64),
        met,
        reason,
    }
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

fn at(latency: &Latency, percentile: Percentile) -> Option<f64> {
    match percentile {
        Percentile::P50 => latency.p50,
        Percentile::P90 => latency.p90,
        Percentile::P99 => latency.p99,
        Percentile::P999 => latency.p999,
        Percentile::Max => latency.max,
    }
}

/// A figure that may be infinite: then an upper bound is missed and a lower one met.
fn against(
    expectation: &Expectation,
    observed: Option<f64>,
    unit: &str,
    infinite: &str,
) -> Compared {
    let holds = compare(expectation, observed.unwrap_or(f64::INFINITY));
    let expected = &expectation.text;
    let reason = match (holds, observed) {
        (true, _) => String::new(),
        (false, Some(value)) => format!("expected {expected}, saw {value:.3} {unit}"),
        (false, None) => format!("expected {expected}, it is infinite: {infinite}"),
    };
    Compared {
        observed,
        met: Some(holds),
        reason,
    }
}

fn nothing_measured(why: &str) -> Compared {
    Compared {
        observed: None,
        met: None,
        reason: format!("this run cannot tell: {why}"),
    }
}

fn compare(expectation: &Expectation, observed: f64) -> bool {
    match expectation.comparison {
        Comparison::Equal => observed == expectation.value,
        Comparison::AtLeast => observed >= expectation.value,
        Comparison::AtMost => observed <= expectation.value,
    }
}
