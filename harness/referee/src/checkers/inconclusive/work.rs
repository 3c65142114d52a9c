//! No work, no proof.

use super::{Grounds, Inconclusive, nothing};
use crate::measure::stretches;

/// Nothing was committed at all, whatever minimum the scenario declares.
pub fn committed(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    if grounds.context.view.join.truth.is_empty() {
        vec![Inconclusive::new(
            "no change was committed".to_owned(),
            nothing,
        )]
    } else {
        Vec::new()
    }
}

/// Too little was committed in a stretch that the scenario plans as proof.
pub fn phases(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let workload = &grounds.context.history().meta.scenario.workload;
    let minimum = workload.min_committed_per_phase;
    stretches(grounds.phases)
        .into_iter()
        .filter(|(_, committed)| *committed < minimum)
        .map(|(name, committed)| {
            let reason = format!(
                "{committed} of the changes sent in phase `{name}` are committed, fewer than the \
                 {minimum} that prove something"
            );
            Inconclusive::new(reason, nothing)
        })
        .collect()
}
