//! The counts as the record has them.

use super::join::Join;
use super::tally::Tally;
use crate::history::Outcome;
use crate::scenario::Metric;
use reports::record::Counts;

/// Everything counted.
pub fn counts(join: &Join<'_>, tallies: &[Tally<'_>], negative_propagation: u64) -> Counts {
    let history = join.history;
    let mut told = [0; 4];
    for request in &history.requests {
        told[request.outcome as usize] += 1;
    }
    let told = |outcome: Outcome| told[outcome as usize];
    let found = |metric| {
        let tally = tallies.iter().find(|t| t.metric() == metric);
        tally.map_or(0, Tally::count)
    };
    let observed = join.log.len() as u64;
    Counts {
        offered: history.requests.len() as u64,
        acknowledged: told(Outcome::Committed),
        rejected: told(Outcome::Rejected),
        unknown: told(Outcome::Unknown),
        not_sent: told(Outcome::NotSent),
        committed: join.truth.len() as u64,
        observed,
        lost: found(Metric::Lost),
        phantom: found(Metric::Phantom),
        duplicated: found(Metric::Duplicated),
        reordered: found(Metric::Reordered),
        corrupted: found(Metric::Corrupted),
        unacknowledged: found(Metric::Unacknowledged),
        missing: found(Metric::Missing),
        late: found(Metric::Late),
        undrained: found(Metric::Undrained),
        undecided: found(Metric::Undecided),
        foreign: found(Metric::Foreign),
        split: found(Metric::Split),
        double_applied: found(Metric::DoubleApplied),
        false_rejection: found(Metric::FalseRejection),
        negative_propagation,
        aborted_records: history.meta.uncommitted_records.saturating_sub(observed),
    }
}
