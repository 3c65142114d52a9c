//! Of faults: that they were in force, bit, and were recovered from.

use super::*;
use crate::scenario::{Start, Trigger};
use std::time::Duration;

#[test]
fn a_fault_that_was_never_in_force_or_never_healed() {
    let spoil = |record: fn(&mut FaultRecord)| {
        let mut history = outage();
        record(&mut history.faults[0]);
        judged(&history)
    };
    assert_inconclusive(&spoil(|r| r.injected_ns = None), "was never in force");
    let unhealed = spoil(|r| r.healed_ns = None);
    assert_eq!(unhealed.verdict, Verdict::Unknown);
    assert!(
        unhealed
            .reasons
            .iter()
            .any(|r| r.contains("was never healed"))
    );
    let mut history = outage();
    history.faults.clear();
    assert_inconclusive(&judged(&history), "was never in force");
}

#[test]
fn a_fault_that_did_not_bite() {
    let history = outage();
    let toothless = crate::bite::Bite {
        fault: 0,
        bit: false,
        evidence: "no socket was cut".to_owned(),
    };
    assert_inconclusive(
        &judge_with(&history, &[], vec![toothless]),
        "fault `down kafka` did not bite: no socket was cut",
    );
    assert_inconclusive(
        &judge_with(&history, &[], Vec::new()),
        "nothing shows whether it bit",
    );
}

#[test]
fn of_two_faults_the_one_that_did_nothing_is_named() {
    // Given one fault that was in force and bit, and another after it
    let mut history = outage();
    add_fault(
        &mut history,
        Target::POSTGRES,
        FaultKind::Down,
        600 * MS,
        700 * MS,
    );
    let bite = |fault: u32, bit: bool| crate::bite::Bite {
        fault,
        bit,
        evidence: "this one".to_owned(),
    };
    let judge = |history: &History, second: bool| {
        judge_with(history, &[], vec![bite(0, true), bite(1, second)])
    };
    assert_eq!(judge(&history, true).verdict, Verdict::Pass);
    // When that one did not bite, or never was in force
    assert_inconclusive(
        &judge(&history, false),
        "fault `down postgres` did not bite: this one",
    );
    history.faults[1].injected_ns = None;
    assert_inconclusive(
        &judge(&history, true),
        "fault `down postgres` was never in force",
    );
}

#[test]
fn a_recovery_that_nobody_saw_is_none() {
    let mut history = outage();
    let healed_ns = FROM + 500 * MS;
    let kept = history
        .sightings
        .iter()
        .filter(|s| s.seen_ns <= healed_ns + 2 * MS);
    history.sightings = kept.collect();
    let reasons = judged(&history).reasons;
    assert!(
        reasons.iter().any(|r| r.contains("the system recovered")),
        "{reasons:?}"
    );
}

#[test]
fn given_a_fault_that_the_end_of_the_load_cut_short_when_nobody_saw_a_recovery_then_that_is_said_beside_it()
 {
    let mut history = outage();
    let healed_ns = FROM + 500 * MS;
    let kept = history.sightings.iter();
    history.sightings = kept.filter(|s| s.seen_ns <= healed_ns).collect();
    let fault = &mut history.meta.scenario.faults[0];
    fault.start = Start::When(Trigger::Events(1));
    fault.lasts = Duration::from_secs(3600);
    let reasons = judged(&history).reasons;
    let why = "(fault `down kafka` began so late that the end of the load cut it short)";
    assert!(reasons.iter().any(|r| r.ends_with(why)), "{reasons:?}");
}

#[test]
fn a_lesson_that_did_not_come_from_a_fault_that_did_not_bite_is_not_missed() {
    let mut history = outage();
    expecting(
        &mut history,
        vec![expect(Metric::Lost, Comparison::AtLeast, 1.0)],
    );
    let judgement = judge_with(&history, &[], Vec::new());
    assert_eq!(judgement.verdict, Verdict::Unknown);
    assert_eq!(judgement.expectations[0].met, None);
}

#[test]
fn a_fault_that_does_not_concern_the_strategy_needs_no_bite() {
    let mut history = cdc();
    let link = Target::Link(Link::ORDERS_KAFKA);
    add_fault(&mut history, link, FaultKind::Down, 400 * MS, 500 * MS);
    history.faults[0].injected_ns = None;
    let judgement = judge_with(&history, &[], Vec::new());
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
}

#[test]
fn no_recovery_after_the_last_heal() {
    let mut history = outage();
    for request in history.requests.open().iter_mut() {
        if request.intended_ns > FROM + 500 * MS && request.outcome == Outcome::Committed {
            request.outcome = Outcome::Unknown;
        }
    }
    assert_inconclusive(&judged(&history), "nothing shows that the system recovered");
}
