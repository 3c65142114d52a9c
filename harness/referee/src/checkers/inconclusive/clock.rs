//! Times and files that changed under the run.

use super::{Grounds, Inconclusive, missed_lessons, nothing, observed_live};
use crate::history::{History, WALL_DRIFT_NS, altered_reason};
use crate::scenario::Expectation;

/// Append times come from the wall clock; one that jumped compares with nothing.
const MAX_DRIFT_NS: f64 = 500_000_000.0;

/// The wall clock jumped during the run.
pub fn jumped(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let drift_ns = farthest_drift_ns(grounds.context.history());
    if drift_ns.abs() <= MAX_DRIFT_NS {
        return Vec::new();
    }
    let reason = format!(
        "the wall clock moved {:.3} s against the monotonic clock during the run",
        drift_ns / 1e9
    );
    vec![Inconclusive::new(reason, appended)]
}

/// Returns how far the wall clock drifted at the end or, for a clock that jumped back, in between: nanoseconds. What
/// is no number is the farthest of all.
fn farthest_drift_ns(history: &History) -> f64 {
    let sampled = history.samples.iter().filter(|s| s.series == WALL_DRIFT_NS);
    let at_the_end = history.meta.wall_drift_ns as f64;
    sampled
        .map(|sample| sample.value)
        .chain([at_the_end])
        .max_by(|a, b| a.abs().total_cmp(&b.abs()))
        .unwrap_or(at_the_end)
}

/// Append times decide what was seen late, and which records overlap a fault.
fn appended(expectation: &Expectation, met: bool) -> bool {
    observed_live(expectation, met) || missed_lessons(expectation, met)
}

/// The history is not the one that the run wrote.
pub fn altered(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    if grounds.altered.is_empty() {
        return Vec::new();
    }
    let reason = altered_reason(grounds.altered);
    vec![Inconclusive::new(reason, nothing)]
}
