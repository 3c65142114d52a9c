//! Drain and recovery: two figures, which say different things.

use super::super::{Recovery, drain_s, recovery};
use super::cdc;
use crate::checkers::fixture::*;
use crate::checkers::tests::arbitrary::arbitrary;
use crate::history::{History, Outcome};
use crate::scenario::{Comparison, FaultKind, Metric, Target};
use crate::view::Join;
use proptest::prelude::*;

fn down_kafka(history: &mut History, at_ns: i64, until_ns: i64) {
    add_fault(history, Target::KAFKA, FaultKind::Down, at_ns, until_ns);
}

fn recovery_of(history: &History) -> Recovery {
    recovery(&Join::new(history))
}

/// When a version is first seen, moved.
fn see(history: &mut History, order: u32, version: u32, at_ns: i64) {
    let row = log_row(history, attempt(history, order, version));
    let row = history.log.at(row);
    let mut sightings = history.sightings.open();
    let mut of_it = sightings.iter_mut();
    let sighting = of_it.find(|s| (s.partition, s.offset) == (row.partition, row.offset));
    sighting.unwrap().seen_ns = at_ns;
}

#[test]
fn given_a_fault_when_healed_after_the_load_then_drain_still_counts_from_the_loads_end() {
    let mut history = cdc(40);
    let end_ns = history.meta.load_until_ns;
    see(&mut history, 39, 3, end_ns + 2 * S);
    assert_eq!(drain_s(&Join::new(&history)), Some(2.0));
    // When a fault is healed after the load
    down_kafka(&mut history, 100 * MS, 200 * MS);
    history.faults[0].healed_ns = Some(end_ns + S);
    // Then drain is from the load's end, and recovery from the heal
    assert_eq!(drain_s(&Join::new(&history)), Some(2.0));
    assert_eq!(recovery_of(&history), Recovery::After(1.0));
    // When something never arrives, then neither ever ends
    history.sightings.open().pop();
    assert_eq!(drain_s(&Join::new(&history)), None);
    assert_eq!(recovery_of(&history), Recovery::Never);
}

#[test]
fn given_a_backlog_in_mid_load_when_judged_then_recovery_is_long_and_drain_is_short() {
    // Given 40 orders, 8 ms each, of which number 10 is seen 150 ms after the heal at 100 ms
    let mut history = cdc(40);
    down_kafka(&mut history, 50 * MS, 100 * MS);
    see(&mut history, 10, 1, FROM + 250 * MS);
    // When it is judged, with a bound on each
    let bound = |metric| expect(metric, Comparison::AtMost, 0.02);
    let bounds = vec![bound(Metric::Drain), bound(Metric::Recovery)];
    expecting(&mut history, bounds);
    let judgement = judged(&history);
    // Then the two figures are two
    assert_eq!(judgement.recovery_s, Some(0.15));
    assert!(judgement.drain_s.unwrap() < 0.01);
    let met: Vec<Option<bool>> = judgement.expectations.iter().map(|e| e.met).collect();
    assert_eq!(met, [Some(true), Some(false)]);
    assert!(judgement.expectations[1].reason.contains("saw 0.150 s"));
}

#[test]
fn given_changes_of_after_the_heal_when_they_are_late_then_recovery_does_not_know_them() {
    let mut history = cdc(40);
    down_kafka(&mut history, 50 * MS, 100 * MS);
    let end_ns = history.meta.load_until_ns;
    see(&mut history, 30, 1, end_ns + 5 * S);
    assert!(recovery_of(&history).seconds().unwrap() < 0.01);
    unpublish(&mut history, 121);
    assert!(recovery_of(&history).seconds().unwrap() < 0.01);
}

#[test]
fn given_requests_under_way_at_the_heal_when_answered_later_then_only_those_told_nothing_count() {
    // Given a request that was sent before the heal and ended 50 ms after it, its event 90 ms later
    let mut history = cdc(40);
    down_kafka(&mut history, 50 * MS, 100 * MS);
    let number = attempt(&history, 12, 1) as usize;
    history.requests.open()[number].ended_ns = FROM + 150 * MS;
    see(&mut history, 12, 1, FROM + 240 * MS);
    // When it was answered, then it was committed after the heal
    assert!(recovery_of(&history).seconds().unwrap() < 0.01);
    // When the client was told nothing, then it may have been committed before
    history.requests.open()[number].outcome = Outcome::Unknown;
    assert_eq!(recovery_of(&history), Recovery::After(0.14));
}

#[test]
fn given_nothing_to_recover_from_when_expected_then_it_cannot_be_told_and_names_why() {
    let reason = |history: &mut History| {
        let bound = expect(Metric::Recovery, Comparison::AtMost, 1e9);
        expecting(history, vec![bound]);
        let checked = judged(history).expectations.remove(0);
        assert_eq!((checked.met, checked.observed), (None, None));
        checked.reason
    };
    let mut history = cdc(40);
    assert!(reason(&mut history).contains("no fault that concerns the strategy was in force"));
    down_kafka(&mut history, 100 * MS, 200 * MS);
    history.faults[0].healed_ns = None;
    assert!(reason(&mut history).contains("a fault was never healed"));
    history.faults[0].healed_ns = Some(FROM);
    assert!(reason(&mut history).contains("nothing was committed before the last heal"));
}

#[test]
fn given_an_observer_in_doubt_when_recovery_is_expected_then_it_is_left_open() {
    let mut history = cdc(40);
    down_kafka(&mut history, 50 * MS, 100 * MS);
    let bound = |least| expect(Metric::Recovery, least, 0.001);
    let bounds = [Comparison::AtMost, Comparison::AtLeast].map(bound);
    expecting(&mut history, bounds.to_vec());
    let told = |history: &History| judged(history).expectations[0].met;
    assert!(told(&history).is_some());
    let late = |s: &mut crate::history::Sighting| s.seen_ns += 200 * MS;
    history.sightings.open().iter_mut().for_each(late);
    let open: Vec<Option<bool>> = judged(&history)
        .expectations
        .iter()
        .map(|e| e.met)
        .collect();
    assert_eq!(open, [None, None]);
}

proptest! {
    #![proptest_config(cases(500))]
    #[test]
    fn drain_and_recovery_are_those_of_the_slow_model(
        history in arbitrary(),
        healed_ns in prop::option::of(0..40 * S),
        until_ns in 0..40 * S,
    ) {
        let mut history = history;
        history.meta.load_until_ns = until_ns;
        if let Some(healed_ns) = healed_ns {
            history.meta.scenario.faults.clear();
            add_fault(&mut history, Target::KAFKA, FaultKind::Down, 0, healed_ns - FROM.min(healed_ns));
            history.faults[0].planned_at_ns = i64::MIN / 2;
            history.faults[0].injected_ns = Some(i64::MIN / 2);
            history.faults[0].healed_ns = Some(healed_ns);
        }
        let join = Join::new(&history);
        // What matters to each, with when it was seen
        let mut of_drain = Vec::new();
        let mut of_recovery = Vec::new();
        for (slot, row) in join.truth.numbered() {
            let seen = join.seen(slot);
            of_drain.push(seen);
            let counts = match history.requests.get(row.attempt as usize) {
                None => true,
                Some(r) if r.outcome == Outcome::Committed => Some(r.ended_ns) <= healed_ns,
                Some(r) => Some(r.sent_ns) <= healed_ns,
            };
            if counts && healed_ns.is_some() {
                of_recovery.push(seen);
            }
        }
        let longest = |seen: &[Option<i64>], from_ns: i64| -> Option<f64> {
            let all: Option<Vec<i64>> = seen.iter().copied().collect();
            let last = all?.into_iter().max()?;
            Some((last - from_ns).max(0) as f64 / 1e9)
        };
        prop_assert_eq!(drain_s(&join), longest(&of_drain, until_ns));
        let expected = longest(&of_recovery, healed_ns.unwrap_or(0));
        prop_assert_eq!(recovery(&join).seconds(), expected);
    }
}

#[test]
fn given_several_faults_when_judged_then_recovery_is_from_the_last_heal() {
    let mut history = cdc(40);
    down_kafka(&mut history, 50 * MS, 200 * MS);
    down_kafka(&mut history, 80 * MS, 100 * MS);
    see(&mut history, 10, 1, FROM + 250 * MS);
    assert_eq!(recovery_of(&history), Recovery::After(0.05));
}

#[test]
fn what_was_answered_or_sent_untold_at_the_very_heal_was_committed_by_then() {
    let mut history = cdc(40);
    down_kafka(&mut history, 50 * MS, 100 * MS);
    let healed_ns = FROM + 100 * MS;
    let number = attempt(&history, 12, 2) as usize;
    see(&mut history, 12, 2, FROM + 240 * MS);
    let mut recovered = |outcome: Outcome, sent_ns: i64, ended_ns: i64| {
        let mut requests = history.requests.open();
        let request = &mut requests[number];
        (request.outcome, request.sent_ns, request.ended_ns) = (outcome, sent_ns, ended_ns);
        drop(requests);
        recovery_of(&history).seconds().unwrap() > 0.1
    };
    let sent_ns = healed_ns - MS;
    assert!(recovered(Outcome::Committed, sent_ns, healed_ns));
    assert!(!recovered(Outcome::Committed, sent_ns, healed_ns + 1));
    assert!(recovered(Outcome::Unknown, healed_ns, healed_ns + MS));
    assert!(!recovered(Outcome::Unknown, healed_ns + 1, healed_ns + MS));
}
