//! Each name of what can go wrong, planted once into a clean run: it is counted, and nothing else.

use crate::checkers::Verdict;
use crate::checkers::fixture::*;
use crate::history::{
    Body, History, Intent, NONE, Outcome, PartitionEnd, Pending, PendingState, TruthRow,
};
use crate::scenario::{Metric, StrategyKind};

fn cdc() -> History {
    clean(20, StrategyKind::Cdc {})
}

/// Asserts that these counts and no others are above 0.
fn finds(history: &History, expected: &[(Metric, u64)]) {
    let judgement = judged(history);
    let expected = expected.iter().map(|(m, n)| (m.name(), *n)).collect();
    assert_eq!(counted(&judgement), expected, "{:?}", judgement.reasons);
    let accounting = judgement.reasons.iter().find(|r| r.contains("accounting"));
    assert_eq!(accounting, None);
}

#[test]
fn a_clean_run_passes_without_a_single_finding() {
    for kind in [naive(), StrategyKind::Cdc {}] {
        let judgement = judged(&clean(40, kind));
        assert_eq!(judgement.reasons, Vec::<String>::new());
        assert_eq!(judgement.verdict, Verdict::Pass);
        assert!(counted(&judgement).is_empty());
        assert_eq!(judgement.outcomes.db_event, Some(120));
        assert_eq!(judgement.outcomes.neither, Some(40));
    }
}

#[test]
fn an_event_that_is_nowhere_is_lost() {
    let mut history = cdc();
    let gone = attempt(&history, 7, 2);
    unpublish(&mut history, gone);
    finds(&history, &[(Metric::Lost, 1)]);
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Fail);
    let lost = judgement.findings.iter().find(|f| f.metric == Metric::Lost);
    let what = &lost.unwrap().examples[0].what;
    assert!(what.starts_with("order 7 version 2: committed (answered at "));
    assert_eq!(judgement.outcomes.db_only, Some(1));
}

#[test]
fn an_event_on_another_topic_is_lost_and_the_topic_is_named() {
    let mut history = cdc();
    let gone = attempt(&history, 7, 2);
    unpublish(&mut history, gone);
    history.meta.stray_topics.push("elsewhere".to_owned());
    finds(&history, &[(Metric::Lost, 1)]);
    assert!(judged(&history).reasons[0].contains("on other topics: elsewhere"));
}

#[test]
fn an_event_that_the_source_still_holds_is_undrained_and_not_lost() {
    let mut history = cdc();
    let held = attempt(&history, 7, 2);
    unpublish(&mut history, held);
    history.pending.push(Pending {
        attempt: held,
        state: PendingState::OutboxRow,
        lsn: 0,
    });
    finds(&history, &[(Metric::Undrained, 1)]);
}

#[test]
fn a_publish_that_the_teardown_cut_off_is_undecided_and_not_lost() {
    // Given a dual write, restarted in mid run, whose service did not stop in time
    let mut history = clean(20, naive());
    let (before, after) = (attempt(&history, 3, 1), attempt(&history, 15, 1));
    unpublish(&mut history, before);
    unpublish(&mut history, after);
    let restart_ns = history
        .requests
        .at(attempt(&history, 10, 1) as usize)
        .sent_ns;
    process(
        &mut history,
        "order-service",
        0,
        crate::history::Life::Started,
        0,
    );
    process(
        &mut history,
        "order-service",
        restart_ns,
        crate::history::Life::Started,
        0,
    );
    finds(&history, &[(Metric::Lost, 2)]);
    // When the teardown had to kill it, and their clients had been told nothing
    history.meta.service_killed_at_teardown = true;
    finds(&history, &[(Metric::Lost, 2)]);
    for gone in [before, after] {
        tell_nothing(&mut history, gone);
    }
    // Then only what that very process can have held is undecided
    let found = [
        (Metric::Lost, 1),
        (Metric::Unacknowledged, 2),
        (Metric::Undecided, 1),
    ];
    finds(&history, &found);
}

#[test]
fn a_kill_at_teardown_excuses_no_relay() {
    let mut history = cdc();
    let gone = attempt(&history, 15, 1);
    unpublish(&mut history, gone);
    history.meta.service_killed_at_teardown = true;
    finds(&history, &[(Metric::Lost, 1)]);
}

#[test]
fn an_event_of_what_was_rolled_back_is_a_phantom() {
    let mut history = cdc();
    let rolled_back = history
        .requests
        .iter()
        .position(|r| r.intent == Intent::Veto)
        .unwrap() as u32;
    append(&mut history, 0, rolled_back, 4, FROM + S);
    finish(&mut history);
    finds(&history, &[(Metric::Phantom, 1)]);
    assert_eq!(judged(&history).outcomes.event_only, Some(1));
}

#[test]
fn a_version_published_rolled_back_and_used_again_is_one_phantom_and_no_duplicate() {
    let mut history = clean(0, StrategyKind::Cdc {});
    // Given an attempt at version 1 that was published, and then rolled back
    let first = offer(&mut history, 0, Intent::Veto, Outcome::Rejected);
    publish(&mut history, first, 1);
    // When another attempt is committed as the same version, and published
    let second = commit(&mut history, 0, 1);
    publish(&mut history, second, 1);
    finish(&mut history);
    // Then the versions alone would say "duplicate"
    finds(&history, &[(Metric::Phantom, 1)]);
}

#[test]
fn a_valid_event_under_another_version_is_a_phantom_and_its_own_is_lost() {
    let mut history = cdc();
    let swapped = attempt(&history, 7, 3);
    let row = log_row(&history, swapped);
    history.log.open()[row].version = 9;
    finds(&history, &[(Metric::Lost, 1), (Metric::Phantom, 1)]);
}

#[test]
fn a_record_of_another_run_is_foreign() {
    let mut history = cdc();
    record(&mut history, 1, (NONE, NONE, 0), Body::Foreign, FROM + S);
    finish(&mut history);
    finds(&history, &[(Metric::Foreign, 1)]);
}

#[test]
fn an_event_published_again_is_duplicated_each_time() {
    let mut history = cdc();
    let again = attempt(&history, 7, 2);
    append(&mut history, 1, again, 2, FROM + S);
    append(&mut history, 1, again, 2, FROM + S);
    finish(&mut history);
    finds(&history, &[(Metric::Duplicated, 2)]);
    assert_eq!(judged(&history).verdict, Verdict::Pass);
}

#[test]
fn a_full_replay_is_duplicated_and_nothing_else() {
    let mut history = cdc();
    for row in &history.log.clone() {
        append(
            &mut history,
            row.partition,
            row.attempt,
            row.version,
            FROM + S,
        );
    }
    finish(&mut history);
    finds(&history, &[(Metric::Duplicated, 60)]);
}

#[test]
fn neighbours_swapped_count_once_and_the_first_behind_all_others_once() {
    // Given versions that appear as 2, 1, 3
    let mut history = cdc();
    let (a, b) = (
        log_row(&history, attempt(&history, 7, 1)),
        log_row(&history, attempt(&history, 7, 2)),
    );
    swap_events(&mut history, a, b);
    finds(&history, &[(Metric::Reordered, 1)]);
    // When they appear as 2, 3, 1
    let c = log_row(&history, attempt(&history, 7, 3));
    swap_events(&mut history, b, c);
    // Then it is still version 1 alone that was overtaken
    finds(&history, &[(Metric::Reordered, 1)]);
}

#[test]
fn a_whole_order_backwards_leaves_only_the_last_version_in_place() {
    let mut history = cdc();
    let (a, c) = (
        log_row(&history, attempt(&history, 7, 1)),
        log_row(&history, attempt(&history, 7, 3)),
    );
    swap_events(&mut history, a, c);
    finds(&history, &[(Metric::Reordered, 2)]);
}

/// Exchanges what two places on the topic hold.
fn swap_events(history: &mut History, a: usize, b: usize) {
    let (x, y) = (history.log.at(a), history.log.at(b));
    let mut log = history.log.open();
    (log[a].attempt, log[a].version) = (y.attempt, y.version);
    (log[b].attempt, log[b].version) = (x.attempt, x.version);
    drop(log);
}

#[test]
fn an_order_on_two_partitions_is_split_and_not_reordered() {
    let mut history = clean(0, StrategyKind::Cdc {});
    for version in 1..=4 {
        let attempt = commit(&mut history, 0, version);
        // Version 1 and 3 on partition 1, 2 and 4 on partition 0
        append(
            &mut history,
            (version % 2) as i32,
            attempt,
            version,
            FROM + S,
        );
    }
    finish(&mut history);
    finds(&history, &[(Metric::Split, 1)]);
}

#[test]
fn given_an_order_on_two_topics_then_it_is_split_only_where_it_is_on_two_partitions_of_one() {
    // Given versions 1 and 3 on one topic, 2 and 4 on the other, each of one partition
    let mut history = clean(0, StrategyKind::Cdc {});
    history.meta.topics = vec!["orders.odd".to_owned(), "orders.even".to_owned()];
    history.meta.scenario.workload.partitions = 1;
    for version in 1..=4 {
        let attempt = commit(&mut history, 0, version);
        append(
            &mut history,
            (version % 2) as i32,
            attempt,
            version,
            FROM + S,
        );
    }
    finish(&mut history);
    finds(&history, &[]);
    // When each has two, of which an order uses one, and then another one
    history.meta.scenario.workload.partitions = 2;
    history
        .partitions
        .extend((2..4).map(|partition| PartitionEnd {
            partition,
            end_offset: 0,
            stable_offset: 0,
            read_offset: 0,
        }));
    finds(&history, &[(Metric::Split, 1)]);
}

#[test]
fn a_damaged_event_is_corrupted_and_its_change_is_lost() {
    let mut history = cdc();
    let damaged = log_row(&history, attempt(&history, 7, 2));
    history.log.open()[damaged].body = Body::Damaged;
    finds(&history, &[(Metric::Corrupted, 1), (Metric::Lost, 1)]);
}

#[test]
fn an_event_under_another_orders_key_is_corrupted_whatever_the_reader_thought() {
    let mut history = cdc();
    let moved = log_row(&history, attempt(&history, 7, 2));
    history.log.open()[moved].order = 8;
    finds(&history, &[(Metric::Corrupted, 1), (Metric::Lost, 1)]);
}

#[test]
fn a_promise_that_the_database_does_not_keep_is_missing() {
    let mut history = cdc();
    let promised = offer(&mut history, 7, Intent::Commit, Outcome::Committed);
    history.requests.open()[promised as usize].told_version = 4;
    finds(&history, &[(Metric::Missing, 1)]);
    // And so is one that names another change's version
    history.requests.open()[promised as usize].told_version = 3;
    finds(&history, &[(Metric::Missing, 1)]);
}

#[test]
fn a_retry_that_is_told_the_version_of_its_change_misses_nothing() {
    let mut history = cdc();
    let made = attempt(&history, 7, 3);
    history.requests.open()[made as usize].outcome = Outcome::Unknown;
    history.requests.open()[made as usize].told_version = 0;
    finds(&history, &[(Metric::Unacknowledged, 1)]);
    // When the client repeats the change, and is told the version it made
    let retry = offer(&mut history, 7, Intent::Commit, Outcome::Committed);
    history.requests.open()[retry as usize].change = made;
    history.requests.open()[retry as usize].told_version = 3;
    // Then the client knows
    finds(&history, &[]);
}

#[test]
fn one_change_at_two_versions_is_double_applied() {
    let mut history = cdc();
    let made = attempt(&history, 7, 3);
    let retry = commit(&mut history, 7, 4);
    history.requests.open()[retry as usize].change = made;
    history.truth.open().last_mut().unwrap().change = made;
    publish(&mut history, retry, 4);
    finish(&mut history);
    finds(&history, &[(Metric::DoubleApplied, 1)]);
}

#[test]
fn one_attempt_at_two_versions_is_double_applied_and_the_accounting_still_balances() {
    let mut history = cdc();
    let made = attempt(&history, 7, 3);
    history.truth.push(TruthRow {
        order: 7,
        version: 4,
        attempt: made,
        change: made,
    });
    publish(&mut history, made, 4);
    finish(&mut history);
    finds(&history, &[(Metric::DoubleApplied, 1)]);
}

#[test]
fn a_no_to_what_is_committed_is_a_false_rejection() {
    let mut history = cdc();
    let made = attempt(&history, 7, 3) as usize;
    history.requests.open()[made].outcome = Outcome::Rejected;
    history.requests.open()[made].told_version = 0;
    finds(&history, &[(Metric::FalseRejection, 1)]);
}

#[test]
fn an_event_seen_after_the_bound_is_late_and_one_at_the_bound_is_not() {
    let mut history = cdc();
    let slow = attempt(&history, 19, 3);
    let row = history.log.at(log_row(&history, slow));
    let ended_ns = history.requests.at(slow as usize).ended_ns;
    for sighting in history.sightings.open().iter_mut() {
        if (sighting.partition, sighting.offset) == (row.partition, row.offset) {
            sighting.seen_ns = ended_ns + 15 * S;
        }
    }
    finds(&history, &[]);
    let mut sightings = history.sightings.open();
    let newest = sightings.iter_mut().max_by_key(|s| s.seen_ns).unwrap();
    newest.seen_ns += 1;
    drop(sightings);
    finds(&history, &[(Metric::Late, 1)]);
}

#[test]
fn given_a_run_whose_every_event_was_late_when_judged_then_all_of_them_are() {
    let mut history = cdc();
    let events = history.truth.len() as u64;
    for sighting in history.sightings.open().iter_mut() {
        sighting.seen_ns += 20 * S;
    }
    finds(&history, &[(Metric::Late, events)]);
}

#[test]
fn a_version_of_nobody_breaks_the_accounting() {
    let mut history = cdc();
    history.truth.open()[5].attempt = NONE;
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert!(judgement.reasons[0].contains("made by attempts that nobody offered"));
}

#[test]
fn a_gap_in_the_versions_breaks_the_accounting() {
    let mut history = cdc();
    history.truth.open().remove(1);
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert!(judgement.reasons[0].contains("order 0 has version 3 where version 2 should be"));
}

#[test]
fn a_version_under_another_orders_attempt_or_another_change_breaks_the_accounting() {
    let mut history = cdc();
    history.truth.open()[5].change += 1;
    assert!(
        judged(&history)
            .reasons
            .iter()
            .any(|r| r.contains("is stored as change"))
    );
    let mut history = cdc();
    history.truth.open()[5].order = 9;
    assert!(
        judged(&history)
            .reasons
            .iter()
            .any(|r| r.contains("which was for order"))
    );
}

#[test]
fn a_version_of_nobody_was_refused_to_nobody() {
    let mut history = clean(20, StrategyKind::Cdc {});
    history.truth.open()[5].attempt = NONE;
    assert_eq!(count(&judged(&history), Metric::FalseRejection), 0);
}

#[test]
fn given_everything_that_is_counted_then_each_has_its_checker() {
    let counted = crate::scenario::COUNTS.iter();
    let counted = counted
        .chain(&crate::scenario::CACHE_COUNTS)
        .map(|row| row.metric);
    let checked = super::super::CHECKERS.iter().map(|checker| checker.0);
    assert_eq!(counted.collect::<Vec<_>>(), checked.collect::<Vec<_>>());
}
