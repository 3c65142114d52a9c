//! An expectation that bounds from below: a lesson that a fault is to teach. It counts only what a
//! fault that concerns the strategy overlaps, and needs the strategy clean before the first of them:
//! what it does by itself, too slow or wrong, is no fault's effect. What never ended meets such a
//! bound like anything else: only where it is the fault's effect.

use super::compared::{Compared, Seen, at, compare, nothing_measured};
use super::effect::{Effect, last_sight_ns};
use super::tally::Tally;
use super::{cost, stale_reads};
use crate::history::Request;
use crate::measure::{committed_before, last_heal_ns};
use crate::scenario::{Expectation, LatencyKind, Metric, Percentile};
use crate::view::{NEVER, Span, explaining};
use contract::broker::BrokerKind;

/// Checks one, with all that its metric needs.
pub fn check(expectation: &Expectation, seen: &Seen<'_, '_>) -> Compared {
    let history = seen.context.history();
    if explaining(history, seen.consumer).is_empty() {
        return Compared::open(format!(
            "nothing can be the effect of a fault where the file has none on anything that `{}` \
             uses: add a fault on one of its links or processes, or bound `{}` from above",
            history.meta.strategy,
            expectation.metric.name()
        ));
    }
    match expectation.metric {
        Metric::Latency(kind, percentile) => latency(expectation, seen, kind, percentile),
        Metric::LongestStaleness => staleness(expectation, seen),
        Metric::Cost(kind) => cost::lesson(expectation, seen, kind),
        Metric::Drain => rest(expectation, seen, history.meta.load_until_ns, |_| true),
        Metric::Recovery => match last_heal_ns(history).filter(|ns| *ns != NEVER) {
            Some(healed_ns) => rest(expectation, seen, healed_ns, |request| {
                committed_before(request, healed_ns)
            }),
            None => nothing_measured("no fault was in force and healed"),
        },
        metric => match seen.tally(metric) {
            Some(tally) => count(expectation, seen, tally),
            None => nothing_measured("no checker counts it"),
        },
    }
}

/// Whether what is counted can only be the effect of what the file asks of the stack's own servers: that
/// is in force from the first commit on, so all of it counts, and there is no before.
pub fn is_of_the_stack(seen: &Seen<'_, '_>) -> bool {
    let history = seen.context.history();
    let stack = &history.meta.scenario.stack;
    let broker = history.meta.topology().map(|topology| topology.broker);
    let is_throttled =
        stack.eventbridge_throttle.is_some() && broker == Some(BrokerKind::EventBridge);
    explaining(history, seen.consumer).is_empty() && (stack.synchronous_standby || is_throttled)
}

/// Whether it is of a cache, and the file has no fault that this strategy could feel. A read that fills the cache with
/// what a change has just made old needs none: it is the strategy's own way of working that the file asks for, from the
/// first read on, so all of it counts, and there is no before.
pub fn is_of_the_cache(metric: Metric, seen: &Seen<'_, '_>) -> bool {
    metric.is_of_cache() && explaining(seen.context.history(), seen.consumer).is_empty()
}

fn count(expectation: &Expectation, seen: &Seen<'_, '_>, tally: &Tally<'_>) -> Compared {
    let undecided = seen.undecided(tally.metric());
    let counted = tally.within_faults();
    let open = undecided.map_or(0, Tally::within_faults);
    let early = tally.before_faults() + undecided.map_or(0, Tally::before_faults);
    let observed = Some(counted as f64);
    if !compare(expectation, (counted + open) as f64) {
        let mut reason = format!("expected {}, saw {counted}", expectation.text);
        if counted != tally.count() {
            reason += &format!(
                " that a fault overlaps, of {} in the whole run",
                tally.count()
            );
        }
        return Compared::missed(reason).saw(observed);
    }
    let reason = if !compare(expectation, counted as f64) {
        format!(
            "saw {counted} that a fault overlaps, and the end of the run cut off {open} more \
             (undecided), of which it cannot tell"
        )
    } else if early > 0 {
        format!(
            "saw {counted} that a fault overlaps, but {early} came before the first fault: the \
             strategy was not clean before it, so the fault explains nothing"
        )
    } else if !seen.context.view.anything_before(seen.windows) {
        format!("saw {counted} that a fault overlaps, but {NOTHING_BEFORE}")
    } else {
        return Compared::met(observed);
    };
    Compared::open(reason).saw(observed)
}

const NOTHING_BEFORE: &str = "nothing was over before the first fault, so nothing shows what the \
                              strategy does without it: let the fault begin later";

fn latency(
    expectation: &Expectation,
    seen: &Seen<'_, '_>,
    kind: LatencyKind,
    percentile: Percentile,
) -> Compared {
    let effect = Effect::of(seen.context, kind);
    let within = effect.within.latency();
    if within.count == 0 {
        return nothing_measured("nothing was measured that a fault overlaps");
    }
    let before = effect.before.latency();
    let clean = Before {
        value: at(&before, percentile),
        any: before.count > 0,
    };
    time(expectation, at(&within, percentile), clean, "ms")
}

fn staleness(expectation: &Expectation, seen: &Seen<'_, '_>) -> Compared {
    let view = &seen.context.view;
    let windows = &view.windows;
    let within = |span: Span| windows.iter().any(|w| w.span.overlaps(span));
    let Some(longest) = stale_reads::longest_ms(seen.context, within) else {
        return nothing_measured("no read was answered that a fault overlaps");
    };
    let before = stale_reads::longest_ms(seen.context, |span| view.is_before_faults(span));
    let clean = Before {
        value: before,
        any: before.is_some(),
    };
    time(expectation, Some(longest), clean, "ms")
}

/// From then until the last of what a fault overlaps had been seen. Before the fault, nothing may
/// have waited as long.
fn rest(
    expectation: &Expectation,
    seen: &Seen<'_, '_>,
    from_ns: i64,
    counts: impl Fn(Request) -> bool,
) -> Compared {
    let (count, last_ns) = last_sight_ns(seen.context, counts);
    if count == 0 {
        return nothing_measured("nothing was committed that a fault overlaps");
    }
    let waited_s = last_ns.map(|last| last.saturating_sub(from_ns).max(0) as f64 / 1e9);
    let before = Effect::of(seen.context, LatencyKind::EndToEnd).before;
    let longest_ms = before.latency().max;
    let clean = Before {
        value: longest_ms.map(|ms| ms / 1e3),
        any: before.count() > 0,
    };
    time(expectation, waited_s, clean, "s")
}

/// The same figure of what was over before the first fault.
struct Before {
    /// This is the figure; `None`: it is infinite, or nothing was measured.
    value: Option<f64>,
    any: bool,
}

fn time(expectation: &Expectation, value: Option<f64>, before: Before, unit: &str) -> Compared {
    let spoken = |value: Option<f64>| match value {
        Some(value) => format!("{value:.3} {unit}"),
        None => "something that never ended".to_owned(),
    };
    let or_infinite = |value: Option<f64>| value.unwrap_or(f64::INFINITY);
    let compared = if !compare(expectation, or_infinite(value)) {
        Compared::missed(format!(
            "expected {}, saw {} of what a fault overlaps",
            expectation.text,
            spoken(value)
        ))
    } else if !before.any {
        Compared::open(format!(
            "saw {} of what a fault overlaps, but {NOTHING_BEFORE}",
            spoken(value)
        ))
    } else if compare(expectation, or_infinite(before.value)) {
        Compared::open(format!(
            "saw {} of what a fault overlaps, but {} before the first fault: the strategy was as \
             slow by itself, so the fault explains nothing",
            spoken(value),
            spoken(before.value)
        ))
    } else {
        Compared::met(value)
    };
    compared.saw(value)
}
