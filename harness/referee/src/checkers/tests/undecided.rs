//! What the teardown may have cut off, and what it cannot have.

use super::arbitrary::arbitrary;
use super::model::model;
use crate::checkers::fixture::*;
use crate::checkers::{Judgement, Verdict};
use crate::history::{History, Life, Outcome, TruthRow};
use crate::scenario::{Comparison, Expectation, Metric, StrategyKind};
use contract::config::WriteOrder;
use proptest::prelude::*;
use std::time::Duration;

fn giving_up_after(within: Duration) -> StrategyKind {
    StrategyKind::DualWrite {
        order: WriteOrder::CommitThenPublish,
        publish_timeout: Some(within),
        policy: contract::publish::PublishPolicy::default(),
    }
}

/// A dual write whose service the fence had to kill, without the events of one order.
fn killed(kind: StrategyKind) -> (History, [u32; 3]) {
    let mut history = clean(120, kind);
    let attempts = [1, 2, 3].map(|version| attempt(&history, 60, version));
    attempts
        .into_iter()
        .for_each(|attempt| unpublish(&mut history, attempt));
    history.meta.service_killed_at_teardown = true;
    (history, attempts)
}

fn found(history: &History) -> (u64, u64) {
    let judgement = judged(history);
    let of = |metric| count(&judgement, metric);
    (of(Metric::Lost), of(Metric::Undecided))
}

#[test]
fn given_answered_requests_when_the_fence_killed_the_service_then_what_has_no_event_is_lost() {
    let (mut history, attempts) = killed(naive());
    assert_eq!(found(&history), (3, 0));
    // Whatever the answer was: here that the publish had failed
    for attempt in attempts {
        tell_nothing(&mut history, attempt);
        history.requests.open()[attempt as usize].status = 503;
    }
    let judgement = judged(&history);
    assert_eq!(found(&history), (3, 0));
    assert_eq!(judgement.verdict, Verdict::Fail);
}

#[test]
fn given_a_client_without_an_answer_when_no_publish_is_ever_given_up_then_it_is_undecided() {
    let (mut history, attempts) = killed(naive());
    attempts
        .into_iter()
        .for_each(|attempt| tell_nothing(&mut history, attempt));
    assert_eq!(found(&history), (0, 3));
}

#[test]
fn given_a_later_version_with_an_answer_when_publishes_are_given_up_then_the_earlier_ones_are_lost()
{
    let (mut history, [first, second, third]) = killed(giving_up_after(Duration::from_secs(1)));
    [first, second]
        .into_iter()
        .for_each(|attempt| tell_nothing(&mut history, attempt));
    // The third was answered about half way, the service killed two seconds after the load's end
    assert_eq!(found(&history), (3, 0));
    // Unless its service had not given them up by then
    let late = giving_up_after(Duration::from_secs(3));
    history.meta.scenario.strategies[0].kind = late;
    assert_eq!(found(&history), (1, 2));
    // Of the last version of an order nothing says when it was committed
    history.meta.scenario.strategies[0].kind = giving_up_after(Duration::from_secs(1));
    tell_nothing(&mut history, third);
    assert_eq!(found(&history), (0, 3));
    // But a repetition that is told of it does
    let again = offer(
        &mut history,
        60,
        crate::history::Intent::Commit,
        Outcome::Committed,
    );
    let mut requests = history.requests.open();
    requests[again as usize].told_version = 3;
    requests[again as usize].change = third;
    requests[again as usize].ended_ns = FROM + 500 * MS;
    drop(requests);
    assert_eq!(found(&history), (3, 0));
}

/// The first two versions of the order without an answer, and publishes given up after so long.
fn silent(within: Duration) -> (History, [u32; 3]) {
    let (mut history, attempts) = killed(giving_up_after(within));
    tell_nothing(&mut history, attempts[0]);
    tell_nothing(&mut history, attempts[1]);
    (history, attempts)
}

#[test]
fn given_the_end_of_the_service_then_a_second_of_grace_decides_and_no_other_step_does() {
    let within = Duration::from_secs(3);
    let (mut history, [.., third]) = silent(within);
    // What was committed by then had been given up at the very end of the service
    let answered_ns = history.requests.at(third as usize).ended_ns;
    let given_up_ns = answered_ns + 3 * S + S;
    for step in &mut history.fences {
        step.ended_ns = given_up_ns + 60 * S;
    }
    history.fences[2].ended_ns = given_up_ns;
    assert_eq!(found(&history), (3, 0));
    history.fences[2].ended_ns = given_up_ns - 1;
    assert_eq!(found(&history), (1, 2));
}

#[test]
fn given_other_processes_that_began_later_then_the_life_that_was_cut_off_is_the_services() {
    let (mut history, [_, second, _]) = silent(Duration::from_secs(30));
    process(&mut history, "order-service", 0, Life::Started, 0);
    process(
        &mut history,
        "kafka-server",
        FROM + 20 * S,
        Life::Started,
        0,
    );
    assert_eq!(found(&history), (1, 2));
    // What was sent as its last life began was not sent to it
    let sent_ns = history.requests.at(second as usize).sent_ns;
    process(&mut history, "order-service", sent_ns, Life::Started, 0);
    assert_eq!(found(&history), (3, 0));
    history.processes.last_mut().unwrap().at_ns -= 1;
    assert_eq!(found(&history), (2, 1));
}

#[test]
fn given_a_later_version_whose_client_was_told_of_a_failure_then_the_earlier_ones_had_begun() {
    let (mut history, [.., third]) = silent(Duration::from_secs(1));
    tell_nothing(&mut history, third);
    assert_eq!(found(&history), (0, 3));
    history.requests.open()[third as usize].status = 503;
    assert_eq!(found(&history), (3, 0));
}

#[test]
fn given_the_very_first_change_when_the_next_version_was_answered_then_its_publish_had_begun() {
    let mut history = clean(120, giving_up_after(Duration::from_secs(1)));
    let first = attempt(&history, 0, 1);
    unpublish(&mut history, first);
    tell_nothing(&mut history, first);
    history.meta.service_killed_at_teardown = true;
    assert_eq!(found(&history), (1, 0));
}

#[test]
fn given_an_answered_attempt_that_made_two_versions_then_its_answer_tells_of_the_first_alone() {
    // Given an order whose first two versions have no answer, and whose third was made by an attempt that made
    // a version of another order before it, and was answered
    let within = giving_up_after(Duration::from_secs(1));
    let mut history = clean(120, within);
    for made in [1, 2, 3].map(|version| attempt(&history, 60, version)) {
        unpublish(&mut history, made);
        tell_nothing(&mut history, made);
    }
    history.meta.service_killed_at_teardown = true;
    let stranger = attempt(&history, 0, 3);
    let place = |t: &TruthRow| t.order == 60 && t.version == 3;
    let third = history.truth.iter().position(|t| place(&t)).unwrap();
    history.truth.open()[third].attempt = stranger;
    // When that may have been committed after the answer, then what came before it may have been under way
    assert_eq!(found(&history).1, 2);
}

/// One lost and two undecided, by this expectation.
fn with(comparison: Comparison, value: f64) -> (Option<bool>, Judgement) {
    let (mut history, [first, second, _]) = killed(naive());
    [first, second]
        .into_iter()
        .for_each(|attempt| tell_nothing(&mut history, attempt));
    let expectation: Expectation = expect(Metric::Lost, comparison, value);
    expecting(&mut history, vec![expectation]);
    let judgement = judged(&history);
    (judgement.expectations[0].met, judgement)
}

#[test]
fn given_something_undecided_when_it_could_change_the_answer_then_lost_is_unknown() {
    for (comparison, value, met) in [
        (Comparison::Equal, 0.0, Some(false)),
        (Comparison::AtMost, 0.0, Some(false)),
        (Comparison::Equal, 1.0, None),
        (Comparison::Equal, 2.0, None),
        (Comparison::Equal, 3.0, None),
        (Comparison::Equal, 4.0, Some(false)),
        (Comparison::AtMost, 1.0, None),
        (Comparison::AtMost, 2.0, None),
        (Comparison::AtMost, 3.0, Some(true)),
    ] {
        let (checked, judgement) = with(comparison, value);
        assert_eq!(checked, met, "{comparison:?} {value}");
        let reason = &judgement.expectations[0].reason;
        assert_eq!(reason.contains("undecided"), met.is_none(), "{reason}");
    }
}

#[test]
fn given_a_lesson_when_only_what_is_undecided_would_teach_it_then_it_is_unknown() {
    let (mut history, attempts) = killed(naive());
    attempts
        .into_iter()
        .for_each(|attempt| tell_nothing(&mut history, attempt));
    let kafka = crate::scenario::Target::KAFKA;
    let down = crate::scenario::FaultKind::Down;
    add_fault(&mut history, kafka, down, 400 * MS, 600 * MS);
    let lesson = expect(Metric::Lost, Comparison::AtLeast, 1.0);
    expecting(&mut history, vec![lesson]);
    let judgement = judged(&history);
    assert_eq!(
        judgement.verdict,
        Verdict::Unknown,
        "{:?}",
        judgement.reasons
    );
    let reason = &judgement.expectations[0].reason;
    assert!(reason.contains("(undecided)"), "{reason}");
}

proptest! {
    #![proptest_config(cases(300))]
    #[test]
    fn lost_and_undecided_are_what_a_slow_look_says(
        mut history in arbitrary(),
        within_ms in prop::option::of(1..3_000u64),
        statuses in prop::collection::vec(any::<bool>(), 1..20),
        ended_s in 0..30i64,
    ) {
        let mut places: Vec<(u32, u32)> = history.truth.iter().map(|t| (t.order, t.version)).collect();
        places.sort_unstable();
        let twice = places.windows(2).any(|pair| pair[0] == pair[1]);
        prop_assume!(!twice);
        history.meta.scenario.strategies[0].kind = match within_ms {
            Some(ms) => giving_up_after(Duration::from_millis(ms)),
            None => naive(),
        };
        history.meta.service_killed_at_teardown = true;
        for (request, answered) in history.requests.open().iter_mut().zip(statuses.iter().cycle()) {
            request.status = if *answered { 503 } else { 0 };
        }
        history.fences[2].ended_ns = FROM + ended_s * S;
        let slow = model(&history);
        let judgement = judged(&history);
        for metric in [Metric::Lost, Metric::Undrained, Metric::Undecided] {
            let expected = slow.get(&metric.name()).copied().unwrap_or(0);
            prop_assert_eq!(count(&judgement, metric), expected, "{}", metric.name());
        }
    }
}
