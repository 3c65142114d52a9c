use super::given::*;
use crate::checkers::fixture::*;
use crate::history::{Body, History, Life, NONE, Sample, Stage, topic_end_series};
use crate::scenario::Metric;

/// An event that came twice: due at 0.058 s, appended at 0.060 s and again at 0.300 s.
fn twice() -> (History, u32, i64) {
    let mut history = cdc();
    let again = attempt(&history, 7, 2);
    append(&mut history, 1, again, 2, FROM + 300 * MS);
    finish(&mut history);
    let offset = history
        .log
        .iter()
        .rfind(|r| r.partition == 1)
        .unwrap()
        .offset;
    (history, again, offset)
}

fn duplicated(history: &History) -> String {
    sentence(history, Metric::Duplicated)
}

/// The first passage, up to the handing over, and a second one by the relay of this pid.
fn passages(history: &mut History, attempt: u32, pid: u32, offset: i64) {
    relay(history, RELAY, attempt, 1_700, Stage::Claimed, 5);
    relay(history, RELAY, attempt, 1_800, Stage::Handed, 0);
    relay(history, pid, attempt, 240_000, Stage::Claimed, 5);
    relay(history, pid, attempt, 241_000, Stage::Handed, 0);
    relay(
        history,
        pid,
        attempt,
        243_000,
        Stage::Delivered,
        offset as u64,
    );
    relay(history, pid, attempt, 244_000, Stage::Confirmed, 0);
}

#[test]
fn given_a_relay_killed_before_it_confirmed_then_the_next_one_published_again() {
    let (mut history, again, offset) = twice();
    passages(&mut history, again, NEXT_RELAY, offset);
    killed(&mut history, "relay", RELAY, again, 100_000);
    lives(
        &mut history,
        "relay",
        NEXT_RELAY,
        FROM + 280 * MS,
        Life::Started,
        0,
    );
    assert_eq!(
        duplicated(&history),
        "first on the topic at 0.060 s (partition 1 offset 10); relay killed at 0.158 s before it \
         confirmed it to the outbox; published again by the next relay at 0.299 s; on the topic at \
         0.300 s (partition 1 offset 30): duplicated"
    );
}

#[test]
fn given_a_producer_that_was_given_up_then_the_same_relay_published_again() {
    let (mut history, again, offset) = twice();
    passages(&mut history, again, RELAY, offset);
    relay(&mut history, RELAY, again, 90_000, Stage::Abandoned, 0);
    history.trace.open().sort_by_key(|r| r.at_ns);
    let told = duplicated(&history);
    assert!(
        told.contains(
            "; given up at 0.148 s without a delivery report; published again by the same relay at \
             0.299 s; "
        ),
        "{told}"
    );
}

#[test]
fn given_a_confirmation_in_time_then_the_sentence_says_it_was_published_all_the_same() {
    let (mut history, again, offset) = twice();
    passages(&mut history, again, RELAY, offset);
    relay(&mut history, RELAY, again, 3_000, Stage::Confirmed, 0);
    let told = duplicated(&history);
    assert!(
        told.contains("; confirmed to the outbox at 0.061 s; published again by the same relay at"),
        "{told}"
    );
}

#[test]
fn given_a_report_and_no_confirmation_then_the_relay_took_it_up_again() {
    let (mut history, again, offset) = twice();
    passages(&mut history, again, RELAY, offset);
    relay(&mut history, RELAY, again, 3_000, Stage::Delivered, 10);
    let told = duplicated(&history);
    assert!(
        told.contains(
            "; its delivery was reported at 0.061 s; not confirmed to the outbox before it was \
             taken up again; published again by the same relay at 0.299 s"
        ),
        "{told}"
    );
}

#[test]
fn given_two_living_relays_then_nobody_is_said_to_have_died() {
    let (mut history, again, offset) = twice();
    passages(&mut history, again, NEXT_RELAY, offset);
    let told = duplicated(&history);
    assert!(
        told.contains(
            "; not confirmed to the outbox before it was taken up again; published again by \
             another relay at 0.299 s"
        ),
        "{told}"
    );
}

#[test]
fn given_two_relays_of_a_strategy_then_each_is_called_by_its_name() {
    let (mut history, again, offset) = twice();
    passages(&mut history, again, NEXT_RELAY, offset);
    lives(&mut history, "relay", RELAY, 0, Life::Started, 0);
    lives(&mut history, "relay-2", NEXT_RELAY, 0, Life::Started, 0);
    let explained = explained(&history, Metric::Duplicated);
    let told = explained.sentence.unwrap();
    assert!(
        told.contains("; published again by relay-2 at 0.299 s"),
        "{told}"
    );
    let who = |name: &str| explained.timeline.iter().any(|step| step.who == name);
    assert!(
        who("relay") && who("relay-2") && !who("relay #2"),
        "{:?}",
        explained.timeline
    );
    // The second one's death is not the first one's
    killed(&mut history, "relay-2", NEXT_RELAY, again, 100_000);
    let told = duplicated(&history);
    assert!(!told.contains("before it confirmed"), "{told}");
}

#[test]
fn given_one_handing_over_then_the_sentence_does_not_invent_a_second() {
    let (mut history, again, _) = twice();
    relay(&mut history, RELAY, again, 1_800, Stage::Handed, 0);
    assert_eq!(
        duplicated(&history),
        "handed to the producer once, at 0.060 s, as far as the trace goes; first on the topic at \
         0.060 s (partition 1 offset 10); again on the topic at 0.300 s (partition 1 offset 30): \
         duplicated"
    );
}

#[test]
fn given_no_trace_then_both_places_and_what_was_between_them_are_all() {
    let (mut history, again, _) = twice();
    killed(&mut history, "relay", RELAY, again, 100_000);
    let told = duplicated(&history);
    assert!(
        told.ends_with("; the relay left no trace; meanwhile relay killed at 0.158 s: duplicated"),
        "{told}"
    );
}

/// Versions 2 and 3 of order 7 in the wrong order; due at 0.058 s and 0.060 s.
fn swapped() -> (History, u32, u32) {
    let mut history = cdc();
    let (early, late) = (attempt(&history, 7, 2), attempt(&history, 7, 3));
    let (a, b) = (log_row(&history, early), log_row(&history, late));
    let (own, other) = (history.log.at(a).offset, history.log.at(b).offset);
    history.log.open()[a].offset = other;
    history.log.open()[b].offset = own;
    (history, early, late)
}

#[test]
fn given_two_events_handed_over_in_the_wrong_order_then_the_sentence_has_both_times() {
    let (mut history, early, late) = swapped();
    relay(&mut history, RELAY, late, 1_000, Stage::Handed, 0);
    relay(&mut history, RELAY, early, 4_000, Stage::Handed, 0);
    let told = sentence(&history, Metric::Reordered);
    assert!(
        told.ends_with(
            "; version 3 was handed to the producer at 0.061 s, version 2 at 0.062 s: reordered"
        ),
        "{told}"
    );
}

#[test]
fn given_a_first_delivery_that_failed_then_the_second_explains_the_order() {
    let (mut history, early, late) = swapped();
    relay(&mut history, RELAY, early, 1_000, Stage::Handed, 0);
    relay(&mut history, RELAY, early, 2_000, Stage::DeliveryFailed, 0);
    relay(&mut history, RELAY, late, 1_000, Stage::Handed, 0);
    relay(&mut history, RELAY, early, 5_000, Stage::Handed, 0);
    let told = sentence(&history, Metric::Reordered);
    assert!(
        told.ends_with(
            "; version 2 was handed to the producer at 0.059 s, version 3 at 0.061 s; its publish \
             failed at 0.060 s (not persisted); version 2 was handed over again at 0.063 s: \
             reordered"
        ),
        "{told}"
    );
}

#[test]
fn given_no_trace_then_only_the_topic_says_how_they_came() {
    let (history, _, _) = swapped();
    assert_eq!(
        sentence(&history, Metric::Reordered),
        "version 3 was on the topic at 0.062 s (partition 1 offset 10); version 2 only then, on the \
         topic at 0.060 s (partition 1 offset 11); the relay left no trace: reordered"
    );
}

#[test]
fn given_two_orders_whose_events_are_swapped_then_the_sentence_says_which_change_was_sent_after_which_answer()
 {
    let mut history = cdc();
    let (early, late) = (attempt(&history, 7, 3), attempt(&history, 9, 1));
    let (a, b) = (log_row(&history, early), log_row(&history, late));
    let (own, other) = (history.log.at(a).offset, history.log.at(b).offset);
    history.log.open()[a].offset = other;
    history.log.open()[b].offset = own;
    let offence = explained(&history, Metric::Overtaken);
    assert_eq!(
        offence.sentence.unwrap(),
        "order 7 version 3 was answered at 0.061 s; order 9 version 1 was sent only at 0.072 s, and was on the \
         topic at 0.074 s (partition 1 offset 11); order 7 version 3 only then, on the topic at 0.062 s \
         (partition 1 offset 12); the relay left no trace: overtaken"
    );
    // Both are in the timeline, by their orders
    for name in ["order 7 v3: ", "order 9 v1: "] {
        let mut steps = offence.timeline.iter();
        assert!(steps.any(|step| step.what.starts_with(name)), "{name}");
    }
    // With a trace, the times of their handing over
    relay(&mut history, RELAY, late, 1_000, Stage::Handed, 0);
    relay(&mut history, RELAY, early, 20_000, Stage::Handed, 0);
    let told = sentence(&history, Metric::Overtaken);
    assert!(
        told.ends_with(
            "; order 9 version 1 was handed to the producer at 0.073 s, order 7 version 3 at 0.080 s: overtaken"
        ),
        "{told}"
    );
}

#[test]
fn given_an_order_on_two_partitions_then_both_are_named() {
    let mut history = cdc();
    let row = log_row(&history, attempt(&history, 7, 2));
    history.log.open()[row].partition = 0;
    history.log.open()[row].offset = 1_000;
    let told = sentence(&history, Metric::Split);
    assert!(told.contains("(partition 0 offset 1000)"), "{told}");
    assert!(told.contains("(partition 1 offset "), "{told}");
    assert!(
        told.ends_with(", with the same key: split, its order is undefined"),
        "{told}"
    );
}

#[test]
fn given_a_damaged_record_then_who_handed_it_over_and_what_is_wrong_are_told() {
    let mut history = cdc();
    let damaged = attempt(&history, 7, 2);
    record(
        &mut history,
        1,
        (damaged, 7, 2),
        Body::Damaged,
        FROM + 70 * MS,
    );
    finish(&mut history);
    let row = history
        .log
        .iter()
        .find(|r| r.body == Body::Damaged)
        .unwrap();
    history.raw.push(crate::history::RawRecord {
        partition: row.partition,
        offset: row.offset,
        key: String::new(),
        value: String::new(),
        headers: String::new(),
        reason: "its key is not its order id".to_owned(),
    });
    relay(&mut history, RELAY, damaged, 11_000, Stage::Handed, 0);
    assert_eq!(
        sentence(&history, Metric::Corrupted),
        "handed to the producer by the relay at 0.069 s; on the topic at 0.070 s (partition 1 offset \
         30) with other bytes than its attempt implies: its key is not its order id: corrupted"
    );
}

#[test]
fn given_a_foreign_record_then_its_place_is_all_that_is_known() {
    let mut history = cdc();
    record(&mut history, 1, (NONE, NONE, 0), Body::Foreign, FROM + S);
    finish(&mut history);
    let told = explained(&history, Metric::Foreign);
    assert_eq!(
        told.sentence.unwrap(),
        "on the topic at 1.000 s (partition 1 offset 30), and not of this run: foreign"
    );
    assert_eq!(told.order_id, None);
    let whos: Vec<&str> = told.timeline.iter().map(|s| s.who.as_str()).collect();
    assert_eq!(whos, ["topic", "observer"]);
}

#[test]
fn given_a_broker_with_another_clock_then_a_record_is_where_it_was_seen_and_said_once() {
    let mut history = cdc();
    record(&mut history, 1, (NONE, NONE, 0), Body::Foreign, FROM + S);
    finish(&mut history);
    for row in history.log.open().iter_mut() {
        row.append_ms += 2_000;
    }
    // Which matters only to a history that has nothing better
    history.samples.push(Sample {
        series: topic_end_series(1),
        at_ns: 0,
        value: 0.0,
    });
    let told = explained(&history, Metric::Foreign);
    assert_eq!(
        told.sentence.unwrap(),
        "on the topic at 1.001 s (partition 1 offset 30), and not of this run: foreign"
    );
    let whos: Vec<&str> = told.timeline.iter().map(|s| s.who.as_str()).collect();
    assert_eq!(whos, ["topic"]);
}

#[test]
fn given_a_late_event_then_the_sentence_says_where_it_waited_longest() {
    let mut history = cdc();
    history.meta.scenario.drain.late_after = std::time::Duration::from_millis(100);
    let late = attempt(&history, 7, 2);
    unpublish(&mut history, late);
    append(&mut history, 1, late, 2, FROM + 400 * MS);
    finish(&mut history);
    kafka_down(&mut history);
    service(&mut history, late, 900, Stage::Committed, 0);
    relay(&mut history, RELAY, late, 10_000, Stage::Claimed, 9);
    relay(&mut history, RELAY, late, 341_000, Stage::Handed, 0);
    assert_eq!(
        sentence(&history, Metric::Late),
        "committed at 0.059 s; first seen at 0.401 s, 0.342 s after its answer; it waited longest, \
         0.331 s, between the relay's claim and its handing to the producer; meanwhile down kafka was \
         in force (0.010 s to 0.500 s): late"
    );
}
