//! Times and files that changed under the run.

use super::{Doubt, Grounds, nothing, observed_live};

/// Append times come from the wall clock; one that jumped compares with nothing.
const MAX_DRIFT_NS: u64 = 500_000_000;

/// The wall clock jumped during the run.
pub fn jumped(grounds: &Grounds<'_, '_>) -> Vec<Doubt> {
    let drift_ns = grounds.context.history().meta.wall_drift_ns;
    if drift_ns.unsigned_abs() <= MAX_DRIFT_NS {
        return Vec::new();
    }
    let reason = format!(
        "the wall clock moved {:.3} s against the monotonic clock during the run",
        drift_ns as f64 / 1e9
    );
    vec![Doubt::new(reason, observed_live)]
}

/// The history is not the one that the run wrote.
pub fn altered(grounds: &Grounds<'_, '_>) -> Vec<Doubt> {
    if grounds.altered.is_empty() {
        return Vec::new();
    }
    let reason = format!(
        "the history was changed after the run: {} differ from what run.json vouches for",
        grounds.altered.join(", ")
    );
    vec![Doubt::new(reason, nothing)]
}
