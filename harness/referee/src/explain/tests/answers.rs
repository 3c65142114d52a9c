use super::given::*;
use crate::checkers::fixture::*;
use crate::history::{History, Intent, Life, Outcome, Stage, TruthRow};
use crate::scenario::Metric;

/// A committed and published change whose client was told nothing; due at 0.058 s.
fn unanswered(status: u16) -> (History, u32) {
    let mut history = cdc();
    let attempt = attempt(&history, 7, 2);
    let mut requests = history.requests.open();
    let request = &mut requests[attempt as usize];
    request.outcome = Outcome::Unknown;
    request.status = status;
    drop(requests);
    (history, attempt)
}

fn unacknowledged(history: &History) -> String {
    sentence(history, Metric::Unacknowledged)
}

#[test]
fn given_a_service_killed_before_its_answer_then_the_sentence_names_the_kill() {
    let (mut history, attempt) = unanswered(0);
    service(&mut history, attempt, 300, Stage::Committed, 0);
    killed(&mut history, "order-service", SERVICE, attempt, 900);
    assert_eq!(
        unacknowledged(&history),
        "committed at 0.058 s; order service killed at 0.059 s before it answered: unacknowledged"
    );
}

#[test]
fn given_a_client_that_had_given_up_then_the_late_answer_is_told() {
    let (mut history, attempt) = unanswered(0);
    service(&mut history, attempt, 9_000, Stage::Committed, 0);
    service(&mut history, attempt, 9_500, Stage::Answered, 201);
    assert_eq!(
        unacknowledged(&history),
        "committed at 0.067 s; the client had no answer by 0.059 s; the order service answered with \
         status 201 at 0.068 s: unacknowledged"
    );
}

#[test]
fn given_a_failed_publish_then_it_stands_before_the_bare_error() {
    let mut history = dual_write();
    let attempt = attempt(&history, 7, 2);
    let mut requests = history.requests.open();
    let request = &mut requests[attempt as usize];
    (request.outcome, request.status) = (Outcome::Unknown, 503);
    request.ended_ns += 40 * MS;
    drop(requests);
    service(&mut history, attempt, 300, Stage::Committed, 0);
    service(&mut history, attempt, 400, Stage::Handed, 0);
    service(&mut history, attempt, 40_000, Stage::DeliveryFailed, 1);
    assert_eq!(
        unacknowledged(&history),
        "committed at 0.058 s; its publish failed at 0.098 s (possibly persisted); the client was \
         answered with status 503 at 0.099 s: unacknowledged"
    );
}

#[test]
fn given_no_trace_then_the_outcome_and_what_was_meanwhile_are_all() {
    let (mut history, attempt) = unanswered(0);
    killed(&mut history, "order-service", SERVICE, attempt, 500);
    lives(
        &mut history,
        "order-service",
        SERVICE,
        FROM + 90 * MS,
        Life::Ready,
        0,
    );
    assert_eq!(
        unacknowledged(&history),
        "committed (no answer by 0.059 s); the client had no answer by 0.059 s; meanwhile order \
         service killed at 0.059 s, back at 0.090 s: unacknowledged"
    );
}

#[test]
fn given_a_refusal_of_what_is_committed_then_it_is_false() {
    let mut history = cdc();
    let attempt = attempt(&history, 7, 2);
    let mut requests = history.requests.open();
    let request = &mut requests[attempt as usize];
    (request.outcome, request.status) = (Outcome::Rejected, 409);
    drop(requests);
    service(&mut history, attempt, 300, Stage::Committed, 0);
    assert_eq!(
        sentence(&history, Metric::FalseRejection),
        "committed at 0.058 s; the client was told no at 0.059 s (status 409): false rejection"
    );
}

#[test]
fn given_an_acknowledged_change_that_was_rolled_back_then_it_is_missing() {
    let mut history = cdc();
    let missing = offer(&mut history, 19, Intent::Commit, Outcome::Committed);
    history.requests.open()[missing as usize].told_version = 4;
    finish(&mut history);
    service(&mut history, missing, 1_500, Stage::RolledBack, 0);
    assert_eq!(
        sentence(&history, Metric::Missing),
        "the client was told at 0.161 s that it is committed as version 4; rolled back at 0.162 s; \
         the order has no such version: missing"
    );
}

#[test]
fn given_a_version_made_by_another_attempt_then_the_promise_is_missing_and_it_is_named() {
    let mut history = cdc();
    let missing = offer(&mut history, 19, Intent::Commit, Outcome::Committed);
    history.requests.open()[missing as usize].told_version = 3;
    finish(&mut history);
    let told = sentence(&history, Metric::Missing);
    assert!(
        told.ends_with(
            "; that version was made by another attempt, committed (answered at 0.157 s): missing"
        ),
        "{told}"
    );
}

#[test]
fn given_a_retry_that_was_applied_again_then_both_versions_and_answers_are_told() {
    let mut history = cdc();
    // Given an attempt that was told nothing, and a retry of the same change
    let first = attempt(&history, 19, 3);
    history.requests.open()[first as usize].outcome = Outcome::Unknown;
    let retry = commit(&mut history, 19, 4);
    let change = history.requests.at(first as usize).change;
    history.requests.open()[retry as usize].change = change;
    let made = |r: &&mut TruthRow| r.attempt == retry;
    history.truth.open().iter_mut().find(made).unwrap().change = change;
    publish(&mut history, retry, 4);
    finish(&mut history);
    service(&mut history, first, 500, Stage::Committed, 0);
    service(&mut history, retry, 500, Stage::Committed, 0);
    let told = explained(&history, Metric::DoubleApplied);
    assert_eq!(
        told.sentence.unwrap(),
        "version 3 committed at 0.157 s (no answer by 0.157 s); version 4 committed at 0.161 s \
         (answered at 0.161 s), by another attempt at the same change: applied twice"
    );
    // Then the timeline has both, told apart
    let steps: Vec<&str> = told.timeline.iter().map(|s| s.what.as_str()).collect();
    assert!(steps.iter().any(|s| s.starts_with("v3: sent")), "{steps:?}");
    assert!(steps.iter().any(|s| s.starts_with("v4: sent")), "{steps:?}");
}
