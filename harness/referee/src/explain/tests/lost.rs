use super::given::*;
use crate::checkers::fixture::*;
use crate::history::{Body, History, Life, Pending, PendingState, Stage};
use crate::scenario::{Metric, Publishing, StrategyKind};
use std::time::Duration;

/// A dual write's history with one event gone, and the attempt that made it: due at 0.058 s.
fn lost_by_service() -> (History, u32) {
    let mut history = dual_write();
    let gone = attempt(&history, 7, 2);
    assert_eq!(gone, 29);
    unpublish(&mut history, gone);
    (history, gone)
}

/// The same of a relay that goes on writing its trace.
fn lost_by_relay() -> (History, u32) {
    let mut history = cdc();
    let gone = attempt(&history, 7, 2);
    unpublish(&mut history, gone);
    service(&mut history, gone, 300, Stage::Committed, 0);
    relay_traces_on(&mut history);
    (history, gone)
}

fn lost(history: &History) -> String {
    sentence(history, Metric::Lost)
}

#[test]
fn given_a_service_killed_after_its_commit_then_the_sentence_names_the_kill() {
    let (mut history, gone) = lost_by_service();
    service(&mut history, gone, 200, Stage::Received, 0);
    service(&mut history, gone, 900, Stage::Committed, 0);
    killed(&mut history, "order-service", SERVICE, gone, 1_800);
    assert_eq!(
        lost(&history),
        "committed at 0.059 s; order service killed at 0.060 s before the publish: lost"
    );
}

#[test]
fn given_a_service_killed_before_it_heard_of_its_commit_then_only_the_receipt_has_a_time() {
    let (mut history, gone) = lost_by_service();
    service(&mut history, gone, 200, Stage::Received, 0);
    killed(&mut history, "order-service", SERVICE, gone, 1_800);
    let lost = explained(&history, Metric::Lost);
    assert_eq!(
        lost.sentence.as_deref(),
        Some(
            "received at 0.058 s and committed; order service killed at 0.060 s before the publish: lost"
        )
    );
    // Then the timeline has the kill, although the client's connection had ended before it
    assert!(lost.timeline.iter().any(|s| s.what == "killed"));
}

#[test]
fn given_a_decision_that_the_broker_did_not_wait_for_then_the_sentence_says_that_the_outcome_was_heuristic()
 {
    let mut history = clean(20, two_phase());
    let (gone, other) = (attempt(&history, 7, 2), attempt(&history, 8, 1));
    for lost in [gone, other] {
        unpublish(&mut history, lost);
    }
    service(&mut history, gone, 500, Stage::Handed, 0);
    service(&mut history, gone, 700, Stage::Delivered, 3);
    service(&mut history, gone, 900, Stage::Committed, 0);
    history.meta.heuristic = vec![gone];
    assert_eq!(
        lost(&history),
        "committed at 0.059 s; handed to the producer at 0.059 s; its delivery was reported at 0.059 s (offset 3); yet \
         the topic has no valid event of it; it had been decided to commit it, and Kafka had aborted its transaction by \
         itself when somebody wanted to (the heuristic outcome, as the decision log has it): lost"
    );
    // Of another one the decision log does not say so, and neither does its sentence
    history.meta.heuristic = vec![other];
    assert!(!lost(&history).contains("heuristic"), "{}", lost(&history));
}

#[test]
fn given_a_service_killed_with_the_event_in_its_producer_then_the_sentence_says_so() {
    let (mut history, gone) = lost_by_service();
    service(&mut history, gone, 900, Stage::Committed, 0);
    service(&mut history, gone, 1_100, Stage::Handed, 0);
    killed(&mut history, "order-service", SERVICE, gone, 90_000);
    assert_eq!(
        lost(&history),
        "committed at 0.059 s; handed to the producer at 0.059 s; order service killed at 0.148 s \
         before the broker had confirmed it: lost"
    );
}

#[test]
fn given_a_service_killed_before_its_next_try_then_the_sentence_says_so() {
    let mut history = retrying();
    let gone = attempt(&history, 7, 2);
    unpublish(&mut history, gone);
    service(&mut history, gone, 900, Stage::Committed, 0);
    for at_us in [1_100, 3_000] {
        service(&mut history, gone, at_us, Stage::Handed, 0);
        service(&mut history, gone, at_us + 500, Stage::DeliveryFailed, 0);
    }
    killed(&mut history, "order-service", SERVICE, gone, 90_000);
    assert_eq!(
        lost(&history),
        "committed at 0.059 s; tried 2 times by the order service, the last time at 0.061 s; handed to the producer at \
         0.061 s; its publish failed at 0.061 s (not persisted); order service killed at 0.148 s before it tried again: lost"
    );
}

#[test]
fn given_a_trace_that_was_cut_before_the_kill_then_no_order_of_the_two_is_claimed() {
    let (mut history, gone) = lost_by_service();
    history.meta.trace_cut_ns = Some(FROM + 59 * MS);
    service(&mut history, gone, 900, Stage::Committed, 0);
    killed(&mut history, "order-service", SERVICE, gone, 1_800);
    assert_eq!(
        lost(&history),
        "committed at 0.059 s; order service killed at 0.060 s, and the trace was cut at 0.059 s: \
         lost"
    );
}

#[test]
fn given_a_death_of_another_life_then_it_is_not_blamed() {
    let (mut history, gone) = lost_by_service();
    service(&mut history, gone, 900, Stage::Committed, 0);
    killed(&mut history, "order-service", 9, gone, -20_000);
    lives(
        &mut history,
        "order-service",
        SERVICE,
        FROM + 50 * MS,
        Life::Started,
        0,
    );
    service(&mut history, 0, 5_000_000, Stage::Received, 0);
    assert_eq!(
        lost(&history),
        "committed at 0.059 s; no trace of its publish: lost"
    );
}

#[test]
fn given_a_publish_that_failed_in_an_outage_then_the_sentence_has_both() {
    let (mut history, gone) = lost_by_service();
    kafka_down(&mut history);
    service(&mut history, gone, 900, Stage::Committed, 0);
    service(&mut history, gone, 1_000, Stage::Handed, 0);
    service(&mut history, gone, 100_000, Stage::DeliveryFailed, 0);
    assert_eq!(
        lost(&history),
        "committed at 0.059 s; handed to the producer at 0.059 s; its publish failed at 0.158 s (not \
         persisted) while down kafka was in force (0.010 s to 0.500 s): lost"
    );
}

#[test]
fn given_a_publish_that_was_given_up_then_no_report_is_claimed() {
    let (mut history, gone) = lost_by_service();
    service(&mut history, gone, 900, Stage::Committed, 0);
    service(&mut history, gone, 1_000, Stage::Handed, 0);
    service(&mut history, gone, 100_000, Stage::Abandoned, 0);
    let told = lost(&history);
    assert!(
        told.contains("given up at 0.158 s without a delivery report: lost"),
        "{told}"
    );
}

#[test]
fn given_a_commit_whose_answer_was_lost_then_the_service_never_published() {
    let (mut history, gone) = lost_by_service();
    service(&mut history, gone, 900, Stage::Doubtful, 0);
    service(&mut history, gone, 1_000, Stage::Answered, 503);
    assert_eq!(
        lost(&history),
        "committed, though the database's answer had not come by 0.059 s; answered with status 503 \
         at 0.059 s without being published: lost"
    );
}

#[test]
fn given_no_trace_then_the_sentence_says_so_and_what_was_meanwhile() {
    let (mut history, gone) = lost_by_service();
    killed(&mut history, "order-service", SERVICE, gone, 500);
    assert_eq!(
        lost(&history),
        "committed (answered at 0.059 s); the order service left no trace; meanwhile order service \
         killed at 0.059 s: lost"
    );
}

#[test]
fn given_a_relay_that_never_took_it_then_there_is_no_trace_of_it_in_the_relay() {
    let (history, _) = lost_by_relay();
    assert_eq!(
        lost(&history),
        "committed at 0.058 s; no trace of it in the relay; a change sent after its answer was \
         on the topic at 0.059 s: lost"
    );
}

#[test]
fn given_a_relay_whose_trace_ended_before_then_nothing_is_said_of_what_it_did() {
    let (mut history, gone) = lost_by_relay();
    history.trace.open().retain(|r| r.attempt == gone);
    relay(&mut history, RELAY, 0, 1_000, Stage::Claimed, 0);
    assert_eq!(
        lost(&history),
        "committed at 0.058 s; the trace of the relay ends at 0.001 s; a change sent after its answer was \
         on the topic at 0.059 s: lost"
    );
}

#[test]
fn given_a_relay_without_a_trace_then_only_what_is_seen_from_outside_is_said() {
    let (mut history, gone) = lost_by_relay();
    history.trace.open().retain(|r| r.attempt == gone);
    assert_eq!(
        lost(&history),
        "committed at 0.058 s; the relay left no trace; a change sent after its answer was \
         on the topic at 0.059 s: lost"
    );
}

#[test]
fn given_a_row_confirmed_without_a_publish_then_the_sentence_says_so() {
    let (mut history, gone) = lost_by_relay();
    relay(&mut history, RELAY, gone, 3_000, Stage::Claimed, 7);
    relay(&mut history, RELAY, gone, 4_000, Stage::Confirmed, 0);
    assert_eq!(
        lost(&history),
        "committed at 0.058 s; claimed by the relay at 0.061 s; confirmed to the outbox at 0.062 s \
         without being published: lost"
    );
}

#[test]
fn given_a_relay_killed_before_it_published_then_the_sentence_names_the_kill() {
    let (mut history, gone) = lost_by_relay();
    relay(&mut history, RELAY, gone, 3_000, Stage::Decoded, 7);
    killed(&mut history, "relay", RELAY, gone, 5_000);
    assert_eq!(
        lost(&history),
        "committed at 0.058 s; read from the replication stream by the relay at 0.061 s; relay \
         killed at 0.063 s before it published it: lost"
    );
}

#[test]
fn given_a_failed_delivery_that_was_confirmed_all_the_same_then_the_sentence_says_so() {
    let (mut history, gone) = lost_by_relay();
    relay(&mut history, RELAY, gone, 3_000, Stage::Claimed, 7);
    relay(&mut history, RELAY, gone, 3_100, Stage::Handed, 0);
    relay(&mut history, RELAY, gone, 9_000, Stage::DeliveryFailed, 1);
    relay(&mut history, RELAY, gone, 9_900, Stage::Confirmed, 0);
    let told = lost(&history);
    assert!(
        told.ends_with(
            "its publish failed at 0.067 s (possibly persisted); confirmed to the outbox at 0.068 s \
             all the same: lost"
        ),
        "{told}"
    );
}

#[test]
fn given_a_confirmation_without_a_report_then_the_sentence_says_so() {
    let (mut history, gone) = lost_by_relay();
    relay(&mut history, RELAY, gone, 3_100, Stage::Handed, 0);
    relay(&mut history, RELAY, gone, 3_200, Stage::Confirmed, 0);
    let told = lost(&history);
    assert!(
        told.ends_with("confirmed to the outbox at 0.061 s without a delivery report: lost"),
        "{told}"
    );
}

#[test]
fn given_several_tries_then_they_are_counted_and_the_last_is_told() {
    let (mut history, gone) = lost_by_relay();
    for at_us in [3_000, 8_000, 12_000] {
        relay(&mut history, RELAY, gone, at_us, Stage::Claimed, 7);
        relay(&mut history, RELAY, gone, at_us + 100, Stage::Handed, 0);
        relay(&mut history, RELAY, gone, at_us + 200, Stage::Abandoned, 0);
    }
    assert_eq!(
        lost(&history),
        "committed at 0.058 s; taken up 3 times by the relay, the last time at 0.070 s; handed to \
         the producer at 0.070 s; given up at 0.070 s without a delivery report; no trace of another \
         try: lost"
    );
}

#[test]
fn given_a_reported_delivery_elsewhere_then_the_other_topic_is_named() {
    let (mut history, gone) = lost_by_relay();
    history.meta.stray_topics.push("elsewhere".to_owned());
    relay(&mut history, RELAY, gone, 3_100, Stage::Handed, 0);
    relay(&mut history, RELAY, gone, 3_200, Stage::Delivered, 41);
    let told = lost(&history);
    assert!(
        told.ends_with(
            "its delivery was reported at 0.061 s (offset 41); yet the topic has no valid event of \
             it; events of this run are on other topics: elsewhere: lost"
        ),
        "{told}"
    );
}

#[test]
fn given_a_damaged_record_then_the_lost_event_points_to_it() {
    let (mut history, gone) = lost_by_relay();
    record(&mut history, 1, (gone, 7, 2), Body::Damaged, FROM + 70 * MS);
    finish(&mut history);
    let told = lost(&history);
    assert!(
        told.contains("a damaged record of it is on the topic at 0.070 s (partition 1 offset"),
        "{told}"
    );
}

#[test]
fn given_an_event_that_the_source_still_holds_then_it_is_undrained() {
    let (mut history, gone) = lost_by_relay();
    history.pending.push(Pending {
        attempt: gone,
        state: PendingState::OutboxRow,
        lsn: 0,
    });
    killed(&mut history, "relay", RELAY, gone, 1_000);
    let told = sentence(&history, Metric::Undrained);
    assert!(
        told.starts_with(
            "committed at 0.058 s; no trace of it in the relay; meanwhile relay killed at 0.059 s; \
             still in the outbox when the relay was stopped at "
        ),
        "{told}"
    );
    assert!(told.ends_with(": undrained"), "{told}");
    // Where events stay, there is no outbox that could hold it
    let publish = Publishing::Polling {
        interval: Duration::from_millis(5),
        batch: 500,
    };
    history.meta.scenario.strategies[0].kind = StrategyKind::EventSourcing { publish };
    let told = sentence(&history, Metric::Undrained);
    assert!(
        told.contains("; still behind the relay's position when the relay was stopped at "),
        "{told}"
    );
}

#[test]
fn given_a_decision_that_nobody_finished_then_it_is_undrained_and_no_outbox_is_named() {
    let (mut history, gone) = lost_by_service();
    history.meta.scenario.strategies[0].kind = StrategyKind::TwoPhaseCommit {
        publish_timeout: Duration::from_secs(1),
        transaction_timeout: Duration::from_secs(60),
        in_doubt_after: None,
        producers: 8,
    };
    history.pending.push(Pending {
        attempt: gone,
        state: PendingState::OutboxRow,
        lsn: 0,
    });
    let told = sentence(&history, Metric::Undrained);
    assert!(
        told.contains("; decided, and not finished on both sides when the relay was stopped at "),
        "{told}"
    );
}

#[test]
fn given_a_service_killed_at_the_teardown_then_its_last_publishes_are_undecided() {
    let (mut history, gone) = lost_by_service();
    service(&mut history, gone, 900, Stage::Committed, 0);
    service(&mut history, gone, 1_000, Stage::Handed, 0);
    tell_nothing(&mut history, gone);
    history.meta.service_killed_at_teardown = true;
    killed(&mut history, "order-service", SERVICE, gone, 2_000_000);
    assert_eq!(
        sentence(&history, Metric::Undecided),
        "committed at 0.059 s; handed to the producer at 0.059 s; the teardown had to kill the order \
         service at 2.058 s, which may still have been publishing it: undecided"
    );
}

#[test]
fn given_somebodys_order_service_with_its_outbox_inside_then_its_sentences_name_no_relay() {
    // It leaves no trace
    let mut history = clean(20, crate::scenario::relay_file::given::outbox_inside());
    let gone = attempt(&history, 7, 2);
    unpublish(&mut history, gone);
    let told = lost(&history);
    assert!(told.contains("the order service left no trace"), "{told}");
    assert!(!told.contains("relay"), "{told}");
    // And of what it still holds
    history.pending.push(Pending {
        attempt: gone,
        state: PendingState::OutboxRow,
        lsn: 0,
    });
    let told = sentence(&history, Metric::Undrained);
    assert!(
        told.contains("when the order service was stopped"),
        "{told}"
    );
    assert!(!told.contains("relay"), "{told}");
}
