//! No work, no proof.

use super::{Doubt, Grounds, nothing};

/// Nothing was committed at all, whatever minimum the scenario declares.
pub fn committed(grounds: &Grounds<'_, '_>) -> Vec<Doubt> {
    if grounds.context.join.truth.is_empty() {
        vec![Doubt::new("no change was committed".to_owned(), nothing)]
    } else {
        Vec::new()
    }
}

/// Too little was committed in a phase.
pub fn phases(grounds: &Grounds<'_, '_>) -> Vec<Doubt> {
    let workload = &grounds.context.history().meta.scenario.workload;
    let minimum = workload.min_committed_per_phase;
    grounds
        .phases
        .iter()
        .filter(|part| part.latencies.committed < minimum)
        .map(|part| {
            let reason = format!(
                "{} of the changes intended in phase `{}` are committed, fewer than the {minimum} \
                 that prove something",
                part.latencies.committed, part.phase.name
            );
            Doubt::new(reason, nothing)
        })
        .collect()
}
