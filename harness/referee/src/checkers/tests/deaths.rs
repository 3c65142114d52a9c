//! A relay or an order service that ends by itself.

use crate::checkers::fixture::*;
use crate::checkers::{Judgement, Verdict};
use crate::history::{Death, History, Pending, PendingState};
use crate::scenario::{Metric, StrategyKind};

fn dies(history: &mut History, process: &str, exit: i32, how: &str) {
    history.meta.deaths.push(Death {
        process: process.to_owned(),
        at_ns: FROM + 500 * MS,
        exit,
        how: how.to_owned(),
        last_words: "java.lang.OutOfMemoryError: Java heap space".to_owned(),
    });
}

/// A relay that dies after half of the run, and leaves so many changes in its source, and so many
/// nowhere.
fn after_death(exit: i32, how: &str, held: usize, gone: usize) -> Judgement {
    let mut history = clean(120, StrategyKind::Debezium {});
    let attempts: Vec<u32> = (60..120).map(|order| attempt(&history, order, 3)).collect();
    for (number, attempt) in attempts.into_iter().take(held + gone).enumerate() {
        unpublish(&mut history, attempt);
        if number < held {
            history.pending.push(Pending {
                attempt,
                state: PendingState::Slot,
                lsn: 1,
            });
        }
    }
    dies(&mut history, "relay", exit, how);
    judged(&history)
}

#[test]
fn given_a_relay_that_died_by_itself_when_it_left_changes_behind_then_it_fails_by_its_death() {
    let judgement = after_death(-4, "exited with code 3", 7, 2);
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert_eq!(
        judgement.reasons[0],
        "it's relay died at 0.500 s: it exited with code 3; its log ends with: \
         java.lang.OutOfMemoryError: Java heap space; 9 changes are undelivered"
    );
    assert!(
        judgement.reasons[1].starts_with("lost: "),
        "{:?}",
        judgement.reasons
    );
    assert_eq!(count(&judgement, Metric::Undrained), 7);
    // And by a signal of its own making
    let crashed = after_death(11, "was ended by signal 11", 1, 0);
    assert_eq!(crashed.verdict, Verdict::Fail);
}

#[test]
fn given_a_relay_that_died_before_the_load_then_its_time_is_said_as_that() {
    let mut history = clean(120, StrategyKind::Debezium {});
    dies(&mut history, "relay", -2, "exited with code 1");
    history.meta.deaths[0].at_ns = FROM - 250 * MS;
    let first = &judged(&history).reasons[0];
    assert!(
        first.starts_with("it's relay died 0.250 s before the load: it exited"),
        "{first}"
    );
}

#[test]
fn given_a_relay_that_died_by_itself_when_everything_had_been_delivered_then_it_is_unknown() {
    let judgement = after_death(-4, "exited with code 3", 0, 0);
    assert_eq!(judgement.verdict, Verdict::Unknown);
    assert_eq!(judgement.reasons.len(), 1, "{:?}", judgement.reasons);
    assert!(judgement.reasons[0].contains("relay died at 0.500 s"));
    assert!(!judgement.reasons[0].contains("undelivered"));
}

#[test]
fn given_a_relay_that_somebody_killed_when_it_left_changes_behind_then_it_is_not_to_blame() {
    let judgement = after_death(9, "was ended by signal 9", 7, 2);
    assert_eq!(
        judgement.verdict,
        Verdict::Unknown,
        "{:?}",
        judgement.reasons
    );
    assert!(
        judgement.reasons[0].contains("somebody sent it"),
        "{:?}",
        judgement.reasons
    );
}

#[test]
fn given_an_order_service_that_died_by_itself_when_its_publish_died_with_it_then_that_is_lost() {
    let mut history = clean(120, naive());
    let gone = attempt(&history, 60, 3);
    unpublish(&mut history, gone);
    dies(&mut history, "order-service", -2, "exited with code 1");
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert_eq!(count(&judgement, Metric::Lost), 1);
    assert!(
        judgement.reasons[0].contains("order-service died"),
        "{:?}",
        judgement.reasons
    );
}

#[test]
fn given_an_order_service_that_somebody_killed_then_what_is_undecided_is_left_open() {
    let undecided = |killed: bool| {
        let mut history = clean(120, naive());
        let gone = attempt(&history, 60, 3);
        unpublish(&mut history, gone);
        tell_nothing(&mut history, gone);
        history.meta.service_killed_at_teardown = true;
        if killed {
            dies(&mut history, "order-service", 9, "was ended by signal 9");
        }
        let judgement = judged(&history);
        assert_eq!(count(&judgement, Metric::Undecided), 1);
        let all = judgement.expectations.iter();
        let mut of_it = all.filter(|c| c.expectation.metric == Metric::Undecided);
        of_it.next().unwrap().met
    };
    assert_eq!(undecided(false), Some(false));
    assert_eq!(undecided(true), None);
}
