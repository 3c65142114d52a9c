//! `>= 1`: a failure counts as a lesson only if a fault explains it.

use crate::checkers::Verdict;
use crate::checkers::fixture::*;
use crate::history::{History, Life};
use crate::scenario::{
    BrokerChoice, Comparison, EventBridgeSettings, FaultKind, LatencyKind, Metric, Percentile,
    StrategyKind, Target, Victim,
};

/// 120 orders over 0.96 s of load; order-service killed at 0.4 s, back at 0.5 s.
pub(super) fn crash(kind: StrategyKind, victim: Victim) -> History {
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
pub(super) fn lose(history: &mut History, from_ns: i64, until_ns: i64) -> usize {
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
        (StrategyKind::Cdc {}, Victim::RELAY),
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
    let mut history = crash(StrategyKind::Cdc {}, Victim::RELAY);
    let lost = lose(&mut history, 394 * MS, 402 * MS);
    assert!(lost >= 2);
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    assert_eq!(judgement.expectations[0].observed, Some(lost as f64));
}

#[test]
fn given_no_fault_but_a_stack_that_the_file_asks_for_then_every_loss_is_its_lesson() {
    let mut history = clean(120, StrategyKind::Cdc {});
    expecting(
        &mut history,
        vec![expect(Metric::Lost, Comparison::AtLeast, 1.0)],
    );
    let clean = history.clone();
    let lost = lose(&mut history, 100 * MS, 120 * MS);
    // Without anything that could be the cause, nothing can be its effect
    assert_eq!(judged(&history).verdict, Verdict::Unknown);
    let asks = |mut history: History| {
        history.meta.scenario.stack.synchronous_standby = true;
        judged(&history)
    };
    let judgement = asks(history.clone());
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    assert_eq!(judgement.expectations[0].observed, Some(lost as f64));
    assert_eq!(asks(clean).verdict, Verdict::Fail);
    // Events that EventBridge refuses are of who publishes there
    let mut throttled = history.clone();
    throttled.meta.scenario.stack.eventbridge_throttle = Some(20);
    assert_eq!(judged(&throttled).verdict, Verdict::Unknown);
    throttled.meta.scenario.strategies[0].broker =
        BrokerChoice::EventBridge(EventBridgeSettings::default());
    assert_eq!(judged(&throttled).verdict, Verdict::Pass);
    // A time is no count, and one of a fault is of the fault
    let latency = Metric::Latency(LatencyKind::Order, Percentile::P50);
    expecting(
        &mut history,
        vec![expect(latency, Comparison::AtLeast, 0.0)],
    );
    assert_eq!(asks(history).expectations[0].met, None);
    let mut crash = crash(StrategyKind::Cdc {}, Victim::RELAY);
    lose(&mut crash, 600 * MS, 620 * MS);
    let judgement = asks(crash);
    assert!(judgement.reasons[0].contains("that a fault overlaps, of"));
}

#[test]
fn a_duplicate_counts_for_the_kill_that_its_change_was_in_flight_at() {
    let mut history = crash(StrategyKind::Cdc {}, Victim::RELAY);
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
    let mut history = crash(StrategyKind::Cdc {}, Victim::RELAY);
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
fn without_a_fault_that_concerns_the_strategy_nothing_can_be_its_effect() {
    let mut history = clean(120, naive());
    let slow = Metric::Latency(LatencyKind::Order, Percentile::P50);
    expecting(
        &mut history,
        vec![
            expect(Metric::Lost, Comparison::AtLeast, 1.0),
            expect(slow, Comparison::AtLeast, 0.5),
            expect(Metric::Drain, Comparison::AtLeast, 0.5),
        ],
    );
    lose(&mut history, 600 * MS, 620 * MS);
    let open = |history: &History| {
        let judgement = judged(history);
        assert_eq!(judgement.verdict, Verdict::Unknown);
        for checked in &judgement.expectations {
            assert_eq!(checked.met, None, "{checked:?}");
            assert!(
                checked
                    .reason
                    .contains("has none on anything that `it` uses"),
                "{checked:?}"
            );
            assert!(checked.reason.contains("add a fault"), "{checked:?}");
        }
    };
    open(&history);
    // Nor where the file has one for another strategy
    let relay = Target::Process(Victim::RELAY);
    add_fault(&mut history, relay, FaultKind::Kill, 590 * MS, 700 * MS);
    open(&history);
}

/// The broker is slow from 0.4 s to 0.6 s; the answers of what is intended between these moments
/// take 300 ms more.
pub(super) fn slow(from_ns: i64, until_ns: i64) -> History {
    let mut history = clean(120, naive());
    let kafka = Target::KAFKA;
    add_fault(&mut history, kafka, FaultKind::Down, 400 * MS, 600 * MS);
    for request in history.requests.open().iter_mut() {
        if (from_ns..until_ns).contains(&(request.intended_ns - FROM)) {
            request.ended_ns += 300 * MS;
        }
    }
    expecting(
        &mut history,
        vec![expect(ORDER_P50, Comparison::AtLeast, 100.0)],
    );
    history
}

const ORDER_P50: Metric = Metric::Latency(LatencyKind::Order, Percentile::P50);

#[test]
fn given_a_time_from_below_when_only_the_fault_makes_it_then_it_is_met() {
    let judgement = judged(&slow(400 * MS, 600 * MS));
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    let observed = judgement.expectations[0].observed.unwrap();
    assert!((observed - 301.0).abs() < 3.0, "{observed}");
}

#[test]
fn given_a_time_from_below_when_the_strategy_is_as_slow_by_itself_then_it_is_unknown() {
    let judgement = judged(&slow(0, 2 * S));
    assert_eq!(judgement.verdict, Verdict::Unknown);
    let reason = &judgement.expectations[0].reason;
    assert!(reason.contains("as slow by itself"), "{reason}");
}

#[test]
fn given_a_time_from_below_when_what_is_slow_is_apart_from_the_fault_then_it_is_missed() {
    let judgement = judged(&slow(700 * MS, 2 * S));
    assert_eq!(judgement.verdict, Verdict::Fail);
    let reason = &judgement.expectations[0].reason;
    assert!(reason.contains("of what a fault overlaps"), "{reason}");
}

#[test]
fn given_a_lesson_when_the_fault_begins_with_the_load_then_nothing_shows_what_is_its_effect() {
    let mut history = slow(400 * MS, 600 * MS);
    let slowest = Metric::Latency(LatencyKind::Order, Percentile::Max);
    expecting(
        &mut history,
        vec![
            expect(slowest, Comparison::AtLeast, 100.0),
            expect(Metric::Lost, Comparison::AtLeast, 1.0),
        ],
    );
    lose(&mut history, 450 * MS, 460 * MS);
    history.faults[0].planned_at_ns = FROM;
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Unknown);
    for checked in &judgement.expectations {
        assert_eq!(checked.met, None);
        assert!(
            checked.reason.contains("let the fault begin later"),
            "{checked:?}"
        );
    }
}

/// Whether an end to end bound from below, and one on the drain, are met where these are never seen.
fn met_without(from_ns: i64, until_ns: i64) -> Vec<Option<bool>> {
    let mut history = slow(0, 0);
    let end_to_end = Metric::Latency(LatencyKind::EndToEnd, Percentile::Max);
    let propagation = Metric::Latency(LatencyKind::Propagation, Percentile::Max);
    let metrics = [end_to_end, propagation, Metric::Drain, Metric::Recovery];
    let bounds = metrics.map(|metric| expect(metric, Comparison::AtLeast, 10.0));
    expecting(&mut history, bounds.to_vec());
    lose(&mut history, from_ns, until_ns);
    let checked = judged(&history).expectations;
    checked.iter().map(|checked| checked.met).collect()
}

#[test]
fn given_events_that_never_came_then_they_meet_a_bound_from_below_only_as_the_faults_effect() {
    let all = |met: Option<bool>| vec![met; 4];
    assert_eq!(
        met_without(450 * MS, 460 * MS),
        all(Some(true)),
        "within it"
    );
    assert_eq!(
        met_without(700 * MS, 710 * MS),
        all(Some(false)),
        "after it"
    );
    assert_eq!(
        met_without(100 * MS, 110 * MS),
        all(Some(false)),
        "before it"
    );
    let both = {
        let mut history = slow(0, 0);
        let end_to_end = Metric::Latency(LatencyKind::EndToEnd, Percentile::Max);
        let drain = expect(Metric::Drain, Comparison::AtLeast, 10.0);
        let bounds = vec![expect(end_to_end, Comparison::AtLeast, 10.0), drain];
        expecting(&mut history, bounds);
        lose(&mut history, 100 * MS, 110 * MS);
        lose(&mut history, 450 * MS, 460 * MS);
        judged(&history)
    };
    assert_eq!(both.verdict, Verdict::Unknown, "{:?}", both.reasons);
    assert!(
        both.expectations
            .iter()
            .all(|checked| checked.met.is_none())
    );
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
