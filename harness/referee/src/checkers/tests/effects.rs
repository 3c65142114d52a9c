//! Which of several faults, and what of the time around them, a lesson counts.

use super::lessons::{crash, lose, slow};
use crate::checkers::fixture::*;
use crate::checkers::{Checked, Verdict};
use crate::history::{History, NONE, Request};
use crate::scenario::{Comparison, FaultKind, LatencyKind, Metric, Percentile, Target, Victim};
use crate::view::View;

/// The events of these come 5 s later.
fn delay(history: &mut History, these: impl Fn(Request) -> bool) {
    let late = |attempt: u32| these(history.requests.at(attempt as usize));
    let mut places = Vec::new();
    for row in history.log.open().iter_mut().filter(|r| late(r.attempt)) {
        row.append_ms += 5_000;
        places.push((row.partition, row.offset));
    }
    for sighting in history.sightings.open().iter_mut() {
        if places.contains(&(sighting.partition, sighting.offset)) {
            sighting.seen_ns += 5 * S;
        }
    }
}

/// The broker is gone once more, after the last of what was slow has ended.
fn slow_twice() -> History {
    let mut history = slow(400 * MS, 600 * MS);
    let kafka = Target::KAFKA;
    add_fault(&mut history, kafka, FaultKind::Down, 920 * MS, 940 * MS);
    history
}

#[test]
fn given_a_time_from_below_when_one_of_two_faults_makes_it_then_it_is_met() {
    let judgement = judged(&slow_twice());
    assert_eq!(
        judgement.expectations[0].met,
        Some(true),
        "{:?}",
        judgement.reasons
    );
    let mut history = slow_twice();
    delay(&mut history, |request| {
        (400 * MS..600 * MS).contains(&(request.intended_ns - FROM))
    });
    finish(&mut history);
    let bounds = [Metric::Drain, Metric::Recovery];
    let bounds = bounds.map(|metric| expect(metric, Comparison::AtLeast, 4.0));
    expecting(&mut history, bounds.to_vec());
    let last_ns = history.sightings.iter().map(|s| s.seen_ns).max().unwrap();
    let took_s = (last_ns - history.meta.load_until_ns) as f64 / 1e9;
    let checked = judged(&history).expectations;
    let met: Vec<_> = checked.iter().map(|c| c.met).collect();
    assert_eq!(met, [Some(true); 2]);
    assert_eq!(checked[0].observed, Some(took_s));
}

#[test]
fn given_what_was_sent_after_the_last_heal_when_it_was_seen_late_then_that_is_no_recovery() {
    let mut history = slow(0, 0);
    let healed_ns = FROM + 600 * MS;
    delay(&mut history, |request| request.ended_ns > healed_ns);
    finish(&mut history);
    expecting(
        &mut history,
        vec![expect(Metric::Recovery, Comparison::AtLeast, 4.0)],
    );
    assert_eq!(judged(&history).expectations[0].met, Some(false));
}

#[test]
fn what_ends_as_the_fault_begins_is_the_faults_and_not_of_before() {
    let mut history = slow(0, 0);
    let slowest = Metric::Latency(LatencyKind::Order, Percentile::Max);
    expecting(
        &mut history,
        vec![expect(slowest, Comparison::AtLeast, 100.0)],
    );
    let begin_ns = history.faults[0].planned_at_ns;
    history.requests.open()[100].ended_ns = begin_ns;
    assert_eq!(judged(&history).expectations[0].met, Some(true));
    history.requests.open()[100].ended_ns = begin_ns - 1;
    assert_ne!(judged(&history).expectations[0].met, Some(true));
}

#[test]
fn a_single_change_before_the_fault_shows_what_the_strategy_does_without_it() {
    let mut history = slow(0, 0);
    lose(&mut history, 450 * MS, 460 * MS);
    expecting(
        &mut history,
        vec![expect(Metric::Lost, Comparison::AtLeast, 1.0)],
    );
    // The first event was seen at 3 ms, the second one at 5 ms
    history.faults[0].planned_at_ns = FROM + 4 * MS;
    assert_eq!(judged(&history).expectations[0].met, Some(true));
    history.faults[0].planned_at_ns = FROM + 3 * MS;
    assert_eq!(judged(&history).expectations[0].met, None);
}

#[test]
fn a_time_may_be_expected_exactly() {
    let mut history = clean(120, naive());
    let last_ns = history.sightings.iter().map(|s| s.seen_ns).max().unwrap();
    let took_s = (last_ns - history.meta.load_until_ns) as f64 / 1e9;
    let bounds = [took_s, took_s + 1.0].map(|s| expect(Metric::Drain, Comparison::Equal, s));
    expecting(&mut history, bounds.to_vec());
    let met: Vec<_> = judged(&history)
        .expectations
        .iter()
        .map(|c| c.met)
        .collect();
    assert_eq!(met, [Some(true), Some(false)]);
}

fn lesson(mut history: History, metric: Metric, least: f64) -> Checked {
    expecting(
        &mut history,
        vec![expect(metric, Comparison::AtLeast, least)],
    );
    judged(&history).expectations.remove(0)
}

#[test]
fn a_loss_in_one_of_two_faults_is_the_lesson_and_one_between_or_after_them_spoils_nothing() {
    let with = |faults: [(i64, i64); 2]| {
        let mut history = clean(120, naive());
        for (at, until) in faults {
            let kafka = Target::KAFKA;
            add_fault(&mut history, kafka, FaultKind::Down, at * MS, until * MS);
        }
        let lost = lose(&mut history, 420 * MS, 430 * MS);
        lose(&mut history, 600 * MS, 610 * MS);
        lose(&mut history, 900 * MS, 910 * MS);
        (lesson(history, Metric::Lost, 1.0), lost)
    };
    // In whichever order the file has them
    for faults in [[(400, 500), (700, 800)], [(700, 800), (400, 500)]] {
        let (checked, lost) = with(faults);
        assert_eq!(checked.met, Some(true), "{checked:?}");
        assert_eq!(checked.observed, Some(lost as f64));
    }
}

#[test]
fn what_is_undecided_before_the_fault_was_not_clean_either() {
    let mut history = crash(naive(), Victim::OrderService);
    lose(&mut history, 400 * MS, 420 * MS);
    let early = attempt(&history, 10, 1);
    unpublish(&mut history, early);
    tell_nothing(&mut history, early);
    history.processes.clear();
    assert_eq!(lesson(history.clone(), Metric::Lost, 1.0).met, None);
    history.meta.service_killed_at_teardown = true;
    assert_eq!(count(&judged(&history), Metric::Undecided), 1);
    let checked = lesson(history, Metric::Lost, 1.0);
    assert_eq!(checked.met, None);
    assert!(checked.reason.contains("but 1 came before"), "{checked:?}");
}

#[test]
fn given_a_fault_that_overlaps_nothing_then_a_time_from_below_cannot_be_told_and_one_change_is_enough()
 {
    let mut idle = clean(120, naive());
    let kafka = Target::KAFKA;
    add_fault(&mut idle, kafka, FaultKind::Down, 2_000 * MS, 2_100 * MS);
    let slowest = Metric::Latency(LatencyKind::Order, Percentile::P50);
    for (metric, reason) in [
        (slowest, "nothing was measured that a fault overlaps"),
        (Metric::Drain, "nothing was committed that a fault overlaps"),
    ] {
        let checked = lesson(idle.clone(), metric, 0.5);
        assert_eq!(checked.met, None, "{checked:?}");
        assert!(checked.reason.contains(reason), "{checked:?}");
    }
    let mut one = idle.clone();
    one.requests.open()[100].ended_ns = FROM + 2_050 * MS;
    assert_eq!(lesson(one, slowest, 100.0).met, Some(true));
    let mut one = idle;
    delay(&mut one, |request| request.intended_ns == FROM + 200 * MS);
    one.log.open().sort_by_key(|r| (r.partition, r.offset));
    one.sightings.open().sort_by_key(|s| s.seen_ns);
    assert_eq!(lesson(one, Metric::Drain, 3.0).met, Some(true));
}

#[test]
fn given_events_that_waited_as_long_before_the_fault_then_a_drain_is_no_effect_of_it() {
    let mut history = clean(120, naive());
    let kafka = Target::KAFKA;
    add_fault(&mut history, kafka, FaultKind::Down, 5_500 * MS, 5_700 * MS);
    let due_at = |ms: i64| move |request: Request| request.intended_ns == FROM + ms * MS;
    // One seen after 5 s, and one after 10
    delay(&mut history, due_at(200));
    for _ in 0..2 {
        delay(&mut history, due_at(400));
    }
    history.sightings.open().sort_by_key(|s| s.seen_ns);
    let checked = lesson(history.clone(), Metric::Drain, 4.0);
    assert_eq!(checked.met, None, "{checked:?}");
    assert!(checked.reason.contains("as slow by itself"), "{checked:?}");
    assert_eq!(lesson(history, Metric::Drain, 6.0).met, Some(true));
}

#[test]
fn given_another_strategy_in_the_file_then_the_faults_that_count_are_of_the_one_that_ran() {
    let mut history = crash(naive(), Victim::OrderService);
    lose(&mut history, 400 * MS, 420 * MS);
    let strategies = &mut history.meta.scenario.strategies;
    strategies[0].expectations = vec![expect(Metric::Lost, Comparison::AtLeast, 1.0)];
    let mut other = strategies[0].clone();
    other.name = "other".to_owned();
    other.expectations = vec![expect(Metric::Lost, Comparison::Equal, 0.0)];
    strategies.insert(0, other);
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    assert_eq!(judgement.expectations[0].met, Some(true));
}

#[test]
fn given_a_time_that_is_slow_between_two_faults_when_judged_then_it_is_not_of_before_the_first() {
    let mut history = slow_twice();
    let slowest = Metric::Latency(LatencyKind::Order, Percentile::Max);
    let bound = expect(slowest, Comparison::AtLeast, 100.0);
    expecting(&mut history, vec![bound]);
    let checked = judged(&history).expectations.remove(0);
    assert_eq!(checked.met, Some(true), "{checked:?}");
}

#[test]
fn given_two_faults_when_the_first_begins_with_the_load_then_nothing_was_over_before_them() {
    let mut history = slow_twice();
    history.faults[0].planned_at_ns = FROM;
    lose(&mut history, 450 * MS, 460 * MS);
    let checked = lesson(history, Metric::Lost, 1.0);
    assert_eq!(checked.met, None, "{checked:?}");
    assert!(checked.reason.contains("let the fault begin later"));
}

#[test]
fn given_no_fault_in_force_when_asked_then_nothing_was_over_before_one() {
    let mut history = slow(0, 0);
    let anything = |history: &History| {
        let view = View::new(history);
        view.anything_before(&view.windows)
    };
    assert!(anything(&history));
    history.faults.clear();
    assert!(!anything(&history));
}

#[test]
fn given_a_loss_in_one_of_two_faults_when_a_drain_is_expected_then_it_never_ended() {
    let mut history = slow_twice();
    lose(&mut history, 450 * MS, 460 * MS);
    let checked = lesson(history, Metric::Drain, 10.0);
    assert_eq!(checked.met, Some(true), "{checked:?}");
}

#[test]
fn given_the_very_first_change_when_only_it_is_the_faults_then_a_drain_counts_it() {
    let mut history = slow(0, 0);
    lose(&mut history, 0, MS);
    history.requests.open()[0].ended_ns = FROM + 500 * MS;
    let checked = lesson(history, Metric::Drain, 10.0);
    assert_eq!(checked.met, Some(true), "{checked:?}");
}

#[test]
fn given_a_version_of_nobody_when_a_drain_is_expected_then_it_is_no_effect_of_a_fault() {
    let mut history = slow(0, 0);
    history.truth.open()[5].attempt = NONE;
    let checked = lesson(history, Metric::Drain, 10.0);
    assert_eq!(checked.met, Some(false), "{checked:?}");
}

#[test]
fn given_an_answer_before_the_fault_and_an_event_after_it_then_only_the_event_is_its_effect() {
    let mut history = slow(0, 0);
    let due_at = |ms: i64| move |request: Request| request.intended_ns == FROM + ms * MS;
    delay(&mut history, due_at(392));
    history.requests.open()[196].ended_ns = FROM + 399 * MS;
    let max = |kind| Metric::Latency(kind, Percentile::Max);
    let met = |kind, least| lesson(history.clone(), max(kind), least).met;
    assert_eq!(met(LatencyKind::EndToEnd, 4_000.0), Some(true));
    assert_eq!(met(LatencyKind::Order, 5.0), Some(false));
}

#[test]
fn given_exactly_one_change_before_the_fault_when_a_time_is_its_effect_then_it_is_met() {
    // Its answer came at 1 ms and its event at 3 ms; the second change had neither by then
    let slowest = Metric::Latency(LatencyKind::Order, Percentile::Max);
    let mut history = slow(400 * MS, 600 * MS);
    history.faults[0].planned_at_ns = FROM + 2 * MS;
    let checked = lesson(history.clone(), slowest, 100.0);
    assert_eq!(checked.met, Some(true), "{checked:?}");
    lose(&mut history, 450 * MS, 460 * MS);
    history.faults[0].planned_at_ns = FROM + 4 * MS;
    let checked = lesson(history.clone(), Metric::Drain, 10.0);
    assert_eq!(checked.met, Some(true), "{checked:?}");
    // And with none, a drain says that there was none
    history.faults[0].planned_at_ns = FROM;
    let checked = lesson(history, Metric::Drain, 10.0);
    assert_eq!(checked.met, None, "{checked:?}");
    assert!(checked.reason.contains("let the fault begin later"));
}

#[test]
fn given_a_lesson_that_is_missed_then_its_reason_tells_of_the_rest_of_the_run_only_where_there_is_one()
 {
    let mut history = slow(0, 0);
    lose(&mut history, 450 * MS, 460 * MS);
    let all_within = lesson(history.clone(), Metric::Lost, 100.0);
    assert!(!all_within.reason.contains("in the whole run"));
    lose(&mut history, 700 * MS, 710 * MS);
    let some_within = lesson(history, Metric::Lost, 100.0);
    assert!(some_within.reason.contains("in the whole run"));
    // What was over before the load's end waited for nothing after it
    let drained = lesson(slow(0, 0), Metric::Drain, 1.0);
    assert_eq!((drained.met, drained.observed), (Some(false), Some(0.0)));
}
