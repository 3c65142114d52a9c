//! One expectation against what was seen.

use super::Checked;
use super::context::Context;
use super::doubts::Doubt;
use super::reading::Known;
use super::tally::Tally;
use crate::history::History;
use crate::scenario::{Comparison, Expectation, LatencyKind, Metric, Percentile};
use reports::record::{Latency, LatencySet};

/// All that can be expected of.
pub struct Seen<'a, 't> {
    /// The joined history, for what it says beside the counts.
    pub context: &'a Context<'a>,
    /// One a count metric.
    pub tallies: &'a [Tally<'t>],
    /// Over the whole run.
    pub latency: &'a LatencySet,
    /// Seconds; `None`: something never arrived.
    pub drain_s: Option<f64>,
    /// Versions committed.
    pub committed: u64,
    /// Reasons to doubt.
    pub doubts: &'a [Doubt],
}

impl<'a, 't> Seen<'a, 't> {
    fn tally(&self, metric: Metric) -> Option<&'a Tally<'t>> {
        self.tallies.iter().find(|t| t.metric() == metric)
    }
}

/// What came of the comparison, before any doubt.
struct Compared {
    observed: Option<f64>,
    met: Option<bool>,
    reason: String,
    only_doubted: bool,
}

impl Compared {
    /// What it needs was not read, which is a doubt of its own.
    fn untold(unread: &str) -> Self {
        Self {
            observed: None,
            met: None,
            reason: format!("this run cannot tell: {unread}"),
            only_doubted: true,
        }
    }
}

/// Checks one expectation.
pub fn check(expectation: &Expectation, seen: &Seen<'_, '_>) -> Checked {
    let known = seen.context.reading.of_metric(expectation.metric);
    let compared = match known {
        Known::Whole => compared(expectation, seen),
        Known::AtLeast(reason) => found(expectation, seen, reason),
        Known::Nothing(reason) => Compared::untold(reason),
    };
    let Compared {
        observed,
        met,
        reason,
        only_doubted,
    } = compared;
    let doubt = met.and_then(|met| seen.doubts.iter().find(|d| (d.blurs)(expectation, met)));
    match doubt {
        None => Checked {
            expectation: expectation.clone(),
            observed,
            met,
            reason,
            only_doubted,
        },
        Some(doubt) => Checked {
            expectation: expectation.clone(),
            observed,
            met: None,
            only_doubted: reason.is_empty(),
            reason: if reason.is_empty() {
                format!("this run cannot tell: {}", doubt.reason)
            } else {
                format!("{reason}; this run cannot tell: {}", doubt.reason)
            },
        },
    }
}

/// With all that the metric needs.
fn compared(expectation: &Expectation, seen: &Seen<'_, '_>) -> Compared {
    match expectation.metric {
        Metric::Drain if seen.committed == 0 => nothing_measured("nothing was committed"),
        Metric::Drain => against(
            expectation,
            seen.drain_s,
            "s",
            "a committed change was never seen",
        ),
        Metric::Latency(kind, percentile) => latency(expectation, seen.latency, kind, percentile),
        metric => match seen.tally(metric) {
            Some(tally) => count(expectation, tally, seen.context.history()),
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
        return Compared {
            observed: Some(found as f64),
            met: Some(false),
            reason: format!("expected {}, saw {found} at least", expectation.text),
            only_doubted: false,
        };
    }
    Compared::untold(unread)
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
        only_doubted: false,
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
        only_doubted: false,
    }
}

fn nothing_measured(why: &str) -> Compared {
    Compared {
        observed: None,
        met: None,
        reason: format!("this run cannot tell: {why}"),
        only_doubted: false,
    }
}

fn compare(expectation: &Expectation, observed: f64) -> bool {
    match expectation.comparison {
        Comparison::Equal => observed == expectation.value,
        Comparison::AtLeast => observed >= expectation.value,
        Comparison::AtMost => observed <= expectation.value,
    }
}
