//! An absence proves something only where the thing could have been there.

use super::{Grounds, Inconclusive, nothing};
use crate::history::{Intent, Outcome};
use crate::scenario::{Comparison, Expectation, Metric, OrderTest};
use crate::view::Class;

/// Returns a reason if nothing is expected of the strategy: then there is nothing to prove.
pub fn expectations(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let strategy = crate::view::strategy(grounds.context.history());
    let of_consumers = strategy.map_or(&[][..], |s| &s.of_consumers);
    let nothing_of_them = of_consumers.iter().all(|c| c.expectations.is_empty());
    if grounds.expectations.is_empty() && nothing_of_them {
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

/// No reordering, but no two versions of an order were ever in flight together to one partition: between two of them nothing
/// is swapped.
pub fn reordered(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let asked = grounds.context.history().meta.scenario.order == OrderTest::Tested;
    if !asked || !expected_absent(grounds, Metric::Reordered) {
        return Vec::new();
    }
    let join = &grounds.context.view.join;
    let partition = |slot| join.first_row(slot).map(|row| join.log.at(row).partition);
    let together = (1..join.truth.len()).any(|slot| {
        let (Some(where_to), Some(request)) = (partition(slot), join.request(slot)) else {
            return false;
        };
        let order = join.truth.at(slot).order;
        let earlier = (0..slot).rev();
        let mut earlier = earlier.take_while(|before| join.truth.at(*before).order == order);
        let before = earlier.find(|before| partition(*before) == Some(where_to));
        let seen_ns = before.and_then(|before| join.seen(before));
        join.seen(slot).is_some() && seen_ns.is_some_and(|seen_ns| request.sent_ns < seen_ns)
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

/// No overtaking, but no event was ever on its way when a change that happened after its own was sent.
pub fn overtaken(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let asked = grounds.context.history().meta.scenario.order == OrderTest::Tested;
    if !asked || !expected_absent(grounds, Metric::Overtaken) {
        return Vec::new();
    }
    let view = &grounds.context.view;
    let join = &view.join;
    let rows = || join.rows_of(Class::First);
    let mut sends: Vec<(i32, i64)> = rows()
        .filter_map(|row| {
            let sent_ns = view.first_sent_ns(join.slot_of_row(row)?)?;
            Some((join.log.at(row).partition, sent_ns))
        })
        .collect();
    sends.sort_unstable();
    let could_be_overtaken = |row: usize| {
        let slot = join.slot_of_row(row)?;
        let (answered_ns, seen_ns) = (view.answered_ns(slot)?, join.seen(slot)?);
        let partition = join.log.at(row).partition;
        let next = sends.partition_point(|send| *send <= (partition, answered_ns));
        let (where_to, sent_ns) = *sends.get(next)?;
        (where_to == partition && sent_ns < seen_ns).then_some(())
    };
    if rows().any(|row| could_be_overtaken(row).is_some()) {
        return Vec::new();
    }
    let reason = "overtaken: no event was ever on its way to a partition when a later change, with an \
                  event there, was sent, so none could have been overtaken (a file whose load is so slow \
                  says `order = \"not-tested\"`)";
    vec![Inconclusive::new(reason.to_owned(), |e, met| {
        bounds(e, Metric::Overtaken) && met
    })]
}

fn expected_absent(grounds: &Grounds<'_, '_>, metric: Metric) -> bool {
    grounds.expectations.iter().any(|e| bounds(e, metric))
}

/// Tells whether an expectation bounds a metric from above.
fn bounds(expectation: &Expectation, metric: Metric) -> bool {
    expectation.metric == metric && expectation.comparison != Comparison::AtLeast
}
