//! An absence proves something only where the thing could have been there.

use super::{Grounds, Inconclusive, nothing};
use crate::history::{Intent, Outcome};
use crate::scenario::{Comparison, Expectation, Metric, OrderTest};

/// Returns a reason if nothing is expected of the strategy: then there is nothing to prove.
pub fn expectations(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    if grounds.expectations.is_empty() {
        let reason = "nothing is expected of this strategy".to_owned();
        vec![Inconclusive::new(reason, nothing)]
    } else {
        Vec::new()
    }
}

/// No phantoms, but nothing was rolled back that could have become one.
pub fn phantom(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let requests = &grounds.context.history().requests;
    let rolled_back = requests
        .iter()
        .any(|r| r.intent == Intent::Veto && r.outcome == Outcome::Rejected);
    if rolled_back || !expected_absent(grounds, Metric::Phantom) {
        return Vec::new();
    }
    let reason = "phantom: no attempt was written and rolled back, so none could have become a \
                  phantom (see `rollback_ratio`)";
    vec![Inconclusive::new(reason.to_owned(), |e, met| {
        bounds(e, Metric::Phantom) && met
    })]
}

/// No reordering, but no two versions of an order were ever in flight together.
pub fn reordered(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let asked = grounds.context.history().meta.scenario.order == OrderTest::Tested;
    if !asked || !expected_absent(grounds, Metric::Reordered) {
        return Vec::new();
    }
    let join = &grounds.context.view.join;
    let together = (1..join.truth.len()).any(|slot| {
        let (before, after) = (join.truth.at(slot - 1), join.truth.at(slot));
        let next = before.order == after.order && before.version + 1 == after.version;
        next && join.seen(slot).is_some()
            && match (join.seen(slot - 1), join.request(slot)) {
                (Some(seen_ns), Some(request)) => request.sent_ns < seen_ns,
                _ => false,
            }
    });
    if together {
        return Vec::new();
    }
    let reason = "reordered: no two versions of an order were ever in flight together, so none \
                  could have been swapped (a file whose load is so slow says `order = \
                  \"not-tested\"`)";
    vec![Inconclusive::new(reason.to_owned(), |e, met| {
        bounds(e, Metric::Reordered) && met
    })]
}

fn expected_absent(grounds: &Grounds<'_, '_>, metric: Metric) -> bool {
    grounds.expectations.iter().any(|e| bounds(e, metric))
}

/// Tells whether an expectation bounds a metric from above.
fn bounds(expectation: &Expectation, metric: Metric) -> bool {
    expectation.metric == metric && expectation.comparison != Comparison::AtLeast
}
