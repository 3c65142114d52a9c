//! `>= 1`: a failure counts as a lesson only if a fault explains it.

use crate::checkers::Verdict;
use crate::checkers::fixture::*;
use crate::history::{History, Life};
use crate::scenario::{Comparison, FaultKind, Metric, StrategyKind, Target, Victim};

/// 120 orders over 0.96 s of load; order-service killed at 0.4 s, back at 0.5 s.
fn crash(kind: StrategyKind, victim: Victim) -> History {
    let mut history = clean(120, kind);
    let (at, until) = (400 * MS, 500 * MS);
    add_fault(
        &mut history,
        Target::Process(victim),
        FaultKind::Kill,
        at,
        until,
    );
    process(&mut history, victim.name(), 0, Life::Started, 0);
    process(&mut history, victim.name(), FROM + at, Life::Exited, 9);
    process(&mut history, victim.name(), FROM + until, Life::Started, 0);
    expecting(
        &mut history,
        vec![expect(Metric::Lost, Comparison::AtLeast, 1.0)],
    );
    history
}

/// Takes away the events of the committed attempts intended between these moments.
fn lose(history: &mut History, from_ns: i64, until_ns: i64) -> usize {
    let requests = history.requests.clone();
    let gone = |attempt: u32| {
        let at = requests.at(attempt as usize).intended_ns - FROM;
        (from_ns..until_ns).contains(&at)
    };
    let before = history.log.len();
    let places: Vec<_> = history
        .log
        .iter()
        .filter(|r| gone(r.attempt))
        .map(|r| (r.partition, r.offset))
        .collect();
    history.log.open().retain(|r| !gone(r.attempt));
    history
        .sightings
        .open()
        .retain(|s| !places.contains(&(s.partition, s.offset)));
    before - history.log.len()
}

#[test]
fn a_loss_during_the_fault_is_the_lesson_and_says_who_died() {
    let mut history = crash(naive(), Victim::OrderService);
    let lost = lose(&mut history, 400 * MS, 420 * MS);
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    assert_eq!(judgement.expectations[0].observed, Some(lost as f64));
    let first = &judgement.findings[0].examples[0].what;
    assert!(
        first.contains("; order-service was killed at 0.400 s"),
        "{first}"
    );
}

#[test]
fn no_loss_is_a_missed_lesson() {
    let judgement = judged(&crash(naive(), Victim::OrderService));
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert_eq!(judgement.expectations[0].met, Some(false));
}

#[test]
fn a_loss_after_the_fault_is_no_lesson() {
    let mut history = crash(naive(), Victim::OrderService);
    lose(&mut history, 600 * MS, 620 * MS);
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert_eq!(judgement.expectations[0].observed, Some(0.0));
    assert!(judgement.reasons[0].contains("that a fault overlaps, of"));
}

#[test]
fn a_strategy_that_never_worked_teaches_nothing() {
    for (kind, victim) in [
        (naive(), Victim::OrderService),
        (StrategyKind::Cdc {}, Victim::Relay),
    ] {
        // Given losses during the fault, and others before it
        let mut history = crash(kind, victim);
        lose(&mut history, 100 * MS, 120 * MS);
        lose(&mut history, 380 * MS, 420 * MS);
        // Then the fault explains nothing
        let judgement = judged(&history);
        assert_eq!(
            judgement.verdict,
            Verdict::Unknown,
            "{:?}",
            judgement.reasons
        );
        assert_eq!(judgement.expectations[0].met, None);
        assert!(judgement.reasons[0].contains("not clean before it"));
    }
}

#[test]
fn what_a_relay_had_not_passed_at_its_death_died_with_it() {
    // Given a relay killed with changes committed just before and not yet seen
    let mut history = crash(StrategyKind::Cdc {}, Victim::Relay);
    let lost = lose(&mut history, 394 * MS, 402 * MS);
    assert!(lost >= 2);
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    assert_eq!(judgement.expectations[0].observed, Some(lost as f64));
}

#[test]
fn a_duplicate_counts_for_the_kill_that_its_change_was_in_flight_at() {
    let mut history = crash(StrategyKind::Cdc {}, Victim::Relay);
    expecting(
        &mut history,
        vec![expect(Metric::Duplicated, Comparison::AtLeast, 1.0)],
    );
    // Given a change published just before the kill, and again after the restart
    let attempt = history
        .truth
        .iter()
        .map(|r| r.attempt)
        .rfind(|a| history.requests.at(*a as usize).ended_ns < FROM + 395 * MS)
        .unwrap();
    let version = history
        .truth
        .iter()
        .find(|r| r.attempt == attempt)
        .unwrap()
        .version;
    let partition = history.requests.at(attempt as usize).order as i32 % PARTITIONS;
    append(&mut history, partition, attempt, version, FROM + 510 * MS);
    finish(&mut history);
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    assert_eq!(judgement.expectations[0].observed, Some(1.0));
}

#[test]
fn duplicates_between_which_no_fault_came_do_not_count() {
    let mut history = crash(StrategyKind::Cdc {}, Victim::Relay);
    expecting(
        &mut history,
        vec![expect(Metric::Duplicated, Comparison::AtLeast, 1.0)],
    );
    append(&mut history, 0, 0, 1, FROM + 100 * MS);
    finish(&mut history);
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert_eq!(judgement.expectations[0].observed, Some(0.0));
}

#[test]
fn without_a_fault_the_whole_run_counts() {
    let mut history = clean(120, naive());
    expecting(
        &mut history,
        vec![expect(Metric::Lost, Comparison::AtLeast, 1.0)],
    );
    lose(&mut history, 600 * MS, 620 * MS);
    assert_eq!(judged(&history).verdict, Verdict::Pass);
}

#[test]
fn an_upper_bound_counts_the_whole_run() {
    let mut history = crash(naive(), Victim::OrderService);
    let lost = lose(&mut history, 600 * MS, 620 * MS) as f64;
    expecting(
        &mut history,
        vec![
            expect(Metric::Lost, Comparison::AtMost, lost),
            expect(Metric::Lost, Comparison::Equal, 0.0),
        ],
    );
    let judgement = judged(&history);
    assert_eq!(judgement.expectations[0].met, Some(true));
    assert_eq!(judgement.expectations[1].met, Some(false));
    assert_eq!(judgement.expectations[1].observed, Some(lost));
}
