//! The counts as the record has them.

use super::context::Context;
use super::reading::{Known, Steps};
use super::tally::Tally;
use crate::history::Outcome;
use crate::scenario::Metric;
use reports::record::Counts;

/// Everything counted, as far as what it needs was read: of what was found on a topic that was not
/// read whole, there are at least so many; none found is nothing known.
pub fn counts(context: &Context<'_>, tallies: &[Tally<'_>], negative_propagation: u64) -> Counts {
    let (history, reading) = (context.history(), &context.reading);
    let mut told = [0; 4];
    for request in &history.requests {
        told[request.outcome as usize] += 1;
    }
    let told = |outcome: Outcome| told[outcome as usize];
    let found = |metric| {
        let tally = tallies.iter().find(|t| t.metric() == metric);
        let count = tally.map(Tally::count);
        match reading.of_metric(metric) {
            Known::Whole => count,
            Known::AtLeast(_) | Known::Nothing(_) => count.filter(|count| *count > 0),
        }
    };
    let observed = context.view.join.log.len() as u64;
    let aborted = history.meta.uncommitted_records.saturating_sub(observed);
    Counts {
        offered: history.requests.len() as u64,
        acknowledged: told(Outcome::Committed),
        rejected: told(Outcome::Rejected),
        unknown: told(Outcome::Unknown),
        not_sent: told(Outcome::NotSent),
        committed: reading.known(Steps::DATABASE, context.view.join.truth.len() as u64),
        observed: reading.known(Steps::CLOSED.and(Steps::TOPIC), observed),
        lost: found(Metric::Lost),
        phantom: found(Metric::Phantom),
        duplicated: found(Metric::Duplicated),
        reordered: found(Metric::Reordered),
        overtaken: found(Metric::Overtaken),
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
        stale: found(Metric::Stale),
        stale_reads: found(Metric::StaleReads),
        negative_propagation: reading.known(Steps::ARRIVALS, negative_propagation),
        aborted_records: reading.known(Steps::CLOSED.and(Steps::TOPIC), aborted),
    }
}
