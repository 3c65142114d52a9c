//! Runs of which the referee says that the machine was too slow for its generator or observer: they
//! prove nothing of anything else, so a test that needs a clear verdict makes them again.

use reports::record::Record;

/// Runs that one test may take.
pub const TRIES: usize = 3;

/// Whether a strategy of the run has such a reason.
pub fn was_too_busy(record: &Record) -> bool {
    let mut all = record.strategies.iter().flat_map(|s| &s.reasons);
    let late = |reason: &String| {
        reason.contains("what was measured is the")
            || reason.contains("the load was another one than planned")
    };
    all.any(late)
}
