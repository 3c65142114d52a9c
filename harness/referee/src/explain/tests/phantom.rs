use super::given::*;
use crate::checkers::fixture::*;
use crate::history::{History, Intent, Outcome, Stage};
use crate::scenario::{FaultKind, Link, Metric, Target};

/// A publish-first dual write with one event of an attempt that is not committed, appended 2 ms
/// after it was due: at 0.162 s.
fn published(intent: Intent, outcome: Outcome) -> (History, u32) {
    let mut history = publish_first();
    let phantom = offer(&mut history, 19, intent, outcome);
    assert_eq!(phantom, 80);
    publish(&mut history, phantom, 4);
    finish(&mut history);
    (history, phantom)
}

fn phantom(history: &History) -> String {
    sentence(history, Metric::Phantom)
}

#[test]
fn given_a_rollback_after_the_publish_then_the_sentence_has_both_times() {
    let (mut history, attempt) = published(Intent::Veto, Outcome::Rejected);
    service(&mut history, attempt, 1_500, Stage::Handed, 0);
    service(&mut history, attempt, 2_500, Stage::Delivered, 30);
    service(&mut history, attempt, 3_000, Stage::RolledBack, 0);
    assert_eq!(
        phantom(&history),
        "published by the order service at 0.162 s, on the topic at 0.162 s (partition 1 offset \
         30); rolled back at 0.163 s: phantom"
    );
}

#[test]
fn given_a_database_that_did_not_answer_the_commit_then_the_sentence_says_so_and_what_was_on() {
    let (mut history, attempt) = published(Intent::Hold, Outcome::Unknown);
    let link = Target::Link(Link::ORDERS_POSTGRES);
    add_fault(&mut history, link, FaultKind::Down, 170 * MS, 400 * MS);
    service(&mut history, attempt, 1_500, Stage::Handed, 0);
    service(&mut history, attempt, 2_500, Stage::Delivered, 30);
    service(&mut history, attempt, 12_000, Stage::Doubtful, 0);
    service(&mut history, attempt, 12_100, Stage::Answered, 503);
    assert_eq!(
        phantom(&history),
        "published by the order service at 0.162 s, on the topic at 0.162 s (partition 1 offset \
         30); no answer to its commit from the database by 0.172 s while down orders->postgres was \
         in force (0.170 s to 0.400 s); not in the database: phantom"
    );
}

#[test]
fn given_a_service_killed_before_the_commit_then_the_sentence_names_the_kill() {
    let (mut history, attempt) = published(Intent::Hold, Outcome::Unknown);
    service(&mut history, attempt, 1_500, Stage::Handed, 0);
    service(&mut history, attempt, 2_500, Stage::Delivered, 30);
    killed(&mut history, "order-service", SERVICE, attempt, 9_000);
    let told = phantom(&history);
    assert!(
        told.ends_with("; order service killed at 0.169 s before the commit: phantom"),
        "{told}"
    );
}

#[test]
fn given_a_publish_that_was_given_up_and_arrived_then_the_rollback_follows_it() {
    let (mut history, attempt) = published(Intent::Commit, Outcome::Unknown);
    service(&mut history, attempt, 1_500, Stage::Handed, 0);
    service(&mut history, attempt, 50_000, Stage::Abandoned, 0);
    service(&mut history, attempt, 51_000, Stage::RolledBack, 0);
    let told = phantom(&history);
    assert!(
        told.ends_with(
            "; given up at 0.210 s without a delivery report; rolled back at 0.211 s: phantom"
        ),
        "{told}"
    );
}

#[test]
fn given_a_relay_that_published_what_was_rolled_back_then_the_rollback_came_before() {
    let mut history = cdc();
    let vetoed = 3;
    append(&mut history, 0, vetoed, 4, FROM + 20 * MS);
    finish(&mut history);
    service(&mut history, vetoed, 500, Stage::RolledBack, 0);
    relay(&mut history, RELAY, vetoed, 13_000, Stage::Handed, 0);
    let told = phantom(&history);
    assert!(
        told.starts_with("published by the relay at 0.019 s, on the topic at 0.020 s"),
        "{told}"
    );
    assert!(
        told.ends_with("; rolled back at 0.006 s before that: phantom"),
        "{told}"
    );
}

#[test]
fn given_a_version_that_was_used_again_then_the_sentence_says_so() {
    let mut history = cdc();
    append(&mut history, 0, 3, 2, FROM + 20 * MS);
    finish(&mut history);
    let told = phantom(&history);
    assert!(
        told.ends_with(
            "; not in the database (refused at 0.007 s); its version was made by another attempt, \
             committed (answered at 0.003 s): phantom"
        ),
        "{told}"
    );
}

#[test]
fn given_an_event_under_another_version_then_both_versions_are_named() {
    let mut history = cdc();
    let swapped = attempt(&history, 7, 3);
    let row = log_row(&history, swapped);
    history.log.open()[row].version = 9;
    let told = phantom(&history);
    assert!(
        told.ends_with("; its attempt is committed as version 3, not as 9: phantom"),
        "{told}"
    );
}

#[test]
fn given_no_trace_then_the_outcome_and_what_was_meanwhile_are_all() {
    let (mut history, attempt) = published(Intent::Hold, Outcome::Unknown);
    killed(&mut history, "order-service", SERVICE, attempt, 500);
    assert_eq!(
        phantom(&history),
        "on the topic at 0.162 s (partition 1 offset 30); not in the database (no answer by 0.161 \
         s); meanwhile order service killed at 0.161 s: phantom"
    );
}
