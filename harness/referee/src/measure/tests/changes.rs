//! A change is one thing however often it is tried: its clock starts once.

use super::super::{Latencies, latencies, series, whole};
use super::cdc;
use crate::checkers::fixture::*;
use crate::checkers::tests::arbitrary::arbitrary;
use crate::history::{History, Intent, Outcome};
use crate::scenario::{
    Comparison, FaultKind, LatencyKind, Link, Metric, Percentile, StrategyKind, Target,
};
use crate::view::Join;
use crate::view::View;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A change that was first due at `due_ms` and got through at its second try, a second later.
fn retried(due_ms: i64) -> History {
    let mut history = cdc(200);
    let try_at = |history: &mut History, outcome: Outcome, at_ms: i64| {
        let number = offer(history, 7_000, Intent::Commit, outcome) as usize;
        let mut requests = history.requests.open();
        let request = &mut requests[number];
        request.change = 9_999;
        request.intended_ns = FROM + at_ms * MS;
        request.sent_ns = request.intended_ns + MS / 10;
        request.ended_ns = request.intended_ns + MS;
        number as u32
    };
    try_at(&mut history, Outcome::Unknown, due_ms);
    let second = try_at(&mut history, Outcome::Committed, due_ms + 1_000);
    history.truth.push(crate::history::TruthRow {
        order: 7_000,
        version: 1,
        attempt: second,
        change: 9_999,
    });
    publish(&mut history, second, 1);
    finish(&mut history);
    history
}

#[test]
fn given_a_change_that_was_retried_then_its_latencies_count_from_its_first_intended_start() {
    let history = retried(500);
    let set = whole(&Join::new(&history)).set();
    let near = |ms: Option<f64>, expected: f64| (ms.unwrap() - expected).abs() < expected * 0.002;
    // Then order runs to the answer that it got in the end, and end to end to the event
    assert!(near(set.order.max, 1_001.0), "{:?}", set.order.max);
    assert!(
        near(set.end_to_end.max, 1_003.0),
        "{:?}",
        set.end_to_end.max
    );
    assert!(near(set.propagation.max, 2.0), "{:?}", set.propagation.max);
    // And it is one change, which was answered
    assert_eq!((set.order.count, set.order.censored), (601, 0));
    assert_eq!(set.end_to_end.count, 601);
}

#[test]
fn given_a_change_that_was_retried_after_the_heal_then_it_belongs_to_the_outage_it_was_sent_in() {
    let mut history = retried(500);
    let link = Target::Link(Link::ORDERS_POSTGRES);
    add_fault(&mut history, link, FaultKind::Down, 400 * MS, 900 * MS);
    let (_, parts) = latencies(&View::new(&history));
    let slowest = |name: &str| {
        let part = parts.iter().find(|p| p.phase.name == name).unwrap();
        part.latencies.set().end_to_end.max.unwrap()
    };
    assert!(slowest("during down orders->postgres") > 1_000.0);
    assert!(slowest("after") < 4.0);
}

#[test]
fn given_an_answer_to_a_retry_of_what_was_committed_already_then_propagation_runs_from_it() {
    // Given a change whose first attempt was committed at once, without an answer
    let mut history = cdc(20);
    let first = attempt(&history, 3, 2) as usize;
    history.requests.open()[first].outcome = Outcome::Unknown;
    let change = history.requests.at(first).change;
    let again = offer(&mut history, 3, Intent::Commit, Outcome::Committed) as usize;
    history.requests.open()[again].change = change;
    let set = whole(&Join::new(&history)).set();
    // Then its event was seen before the answer, and nothing of it is without one
    assert_eq!((set.order.count, set.order.censored), (60, 0));
    assert_eq!(set.propagation.count, 60);
    assert_eq!(whole(&Join::new(&history)).propagation.negative(), 1);
}

/// A change that is tried at these moments, and never got an answer.
fn tried(history: &mut History, at_ms: [i64; 2]) {
    let change = history.requests.len() as u32;
    for at_ms in at_ms {
        let number = offer(history, 7_000, Intent::Commit, Outcome::Unknown) as usize;
        let mut requests = history.requests.open();
        let request = &mut requests[number];
        request.change = change;
        request.intended_ns = FROM + at_ms * MS;
        request.sent_ns = request.intended_ns + MS / 10;
        request.ended_ns = request.intended_ns + MS;
    }
}

#[test]
fn given_a_retry_that_ended_in_a_fault_when_a_time_is_its_effect_then_the_whole_change_is() {
    let mut history = retried(500);
    let link = Target::Link(Link::ORDERS_POSTGRES);
    add_fault(&mut history, link, FaultKind::Down, 1_400 * MS, 1_550 * MS);
    let slowest = Metric::Latency(LatencyKind::Order, Percentile::Max);
    let bound = expect(slowest, Comparison::AtLeast, 1_000.0);
    expecting(&mut history, vec![bound]);
    let checked = judged(&history).expectations.remove(0);
    assert_eq!(checked.met, Some(true), "{checked:?}");
}

#[test]
fn given_a_retry_after_a_fault_began_when_nothing_came_of_it_then_its_change_was_open_at_it() {
    let mut history = cdc(200);
    tried(&mut history, [500, 1_300]);
    let link = Target::Link(Link::ORDERS_POSTGRES);
    add_fault(&mut history, link, FaultKind::Down, 900 * MS, 1_200 * MS);
    let (_, parts) = latencies(&View::new(&history));
    let unanswered = |name: &str| {
        let part = parts.iter().find(|p| p.phase.name == name).unwrap();
        part.latencies.set().order.censored
    };
    assert_eq!(unanswered("before"), 0);
    assert_eq!(unanswered("open at down orders->postgres"), 1);
}

#[test]
fn given_changes_that_were_retried_when_shown_over_time_then_each_has_its_own_answer() {
    // Given three changes, numbered in no order, whose second attempt was answered 7 ms before the
    // event was seen
    let mut history = clean(0, StrategyKind::Cdc {});
    for (order, (change, at_ms)) in (0..).zip([(7, 0), (9, 500), (5, 1_000)]) {
        let first = commit(&mut history, order, 1);
        tell_nothing(&mut history, first);
        let again = offer(&mut history, order, Intent::Commit, Outcome::Committed);
        let at_ns = FROM + at_ms * MS;
        for (attempt, at_ns) in [(first, at_ns), (again, at_ns + 2 * MS)] {
            let request = &mut history.requests.open()[attempt as usize];
            request.change = change;
            request.told_version = u32::from(attempt == again);
            (request.intended_ns, request.ended_ns) = (at_ns, at_ns + MS);
        }
        history.truth.open()[order as usize].change = change;
        append(&mut history, 0, first, 1, at_ns + 9 * MS);
    }
    finish(&mut history);
    let shown = series(&Join::new(&history));
    let delays: Vec<f64> = shown.propagation_p50_ms.iter().flatten().copied().collect();
    assert_eq!(delays, [7.0; 3]);
}

#[test]
fn given_a_change_that_was_never_answered_when_shown_over_time_then_it_has_no_propagation() {
    let mut history = clean(0, StrategyKind::Cdc {});
    let silent = commit(&mut history, 0, 1);
    tell_nothing(&mut history, silent);
    publish(&mut history, silent, 1);
    // Another one, some bins later, was answered 2 ms before its event was seen
    let answered = commit(&mut history, 1, 1);
    let later_ns = FROM + 600 * MS;
    let mut requests = history.requests.open();
    requests[answered as usize].intended_ns = later_ns;
    requests[answered as usize].ended_ns = later_ns + MS;
    drop(requests);
    publish(&mut history, answered, 1);
    finish(&mut history);
    let shown = series(&Join::new(&history));
    let delays: Vec<f64> = shown.propagation_p50_ms.iter().flatten().copied().collect();
    assert_eq!(delays, [2.0]);
}

proptest! {
    #![proptest_config(cases(500))]
    #[test]
    fn every_change_and_every_version_is_recorded_once_as_the_slow_model_has_it(history in arbitrary()) {
        let join = Join::new(&history);
        let mut slow = Latencies::default();
        let mut changes: BTreeMap<u32, Vec<crate::history::Request>> = BTreeMap::new();
        for request in &history.requests {
            changes.entry(request.change).or_default().push(request);
        }
        let first = |change: u32| changes[&change].iter().map(|r| r.intended_ns).min().unwrap();
        let answer = |change: u32| {
            let answered = changes[&change].iter().filter(|r| r.outcome == Outcome::Committed);
            answered.map(|r| r.ended_ns).min()
        };
        for (change, attempts) in &changes {
            match answer(*change) {
                Some(at_ns) => slow.order.record_ns(at_ns - first(*change)),
                None if attempts.iter().any(|r| r.outcome == Outcome::Rejected) => {}
                None => slow.order.never(),
            }
        }
        for (slot, row) in join.truth.numbered() {
            let Some(request) = history.requests.get(row.attempt as usize) else {
                continue;
            };
            let seen_ns = join.seen(slot);
            slow.committed += 1;
            slow.end_to_end.record(seen_ns.map(|at| at - first(request.change)));
            if let Some(answered_ns) = answer(request.change) {
                slow.propagation.record(seen_ns.map(|at| at - answered_ns));
            }
        }
        for fast in [whole(&join), latencies(&View::new(&history)).0] {
            prop_assert_eq!(fast.committed, slow.committed);
            prop_assert_eq!(fast.set(), slow.set());
            prop_assert_eq!(fast.propagation.negative(), slow.propagation.negative());
        }
    }
}
