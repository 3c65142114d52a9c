use super::given::*;
use crate::checkers::context::Context;
use crate::checkers::fixture::*;
use crate::explain::Explainer;
use crate::history::{Life, Stage};
use crate::scenario::{FaultKind, Metric, Target, Victim};
use reports::record::Step;

fn told(steps: &[Step]) -> Vec<String> {
    let line = |s: &Step| format!("{:.3} {}: {}", s.at_s, s.who, s.what);
    steps.iter().map(line).collect()
}

#[test]
fn given_a_repeated_event_then_its_timeline_goes_through_all_processes_in_order() {
    let mut history = cdc();
    let again = attempt(&history, 7, 2);
    append(&mut history, 1, again, 2, FROM + 300 * MS);
    finish(&mut history);
    service(&mut history, again, 200, Stage::Received, 0);
    service(&mut history, again, 600, Stage::Committed, 0);
    service(&mut history, again, 800, Stage::Answered, 201);
    relay(
        &mut history,
        RELAY,
        again,
        1_700,
        Stage::Decoded,
        0x1_0000_00AB,
    );
    relay(&mut history, RELAY, again, 2_400, Stage::Handed, 0);
    relay(&mut history, NEXT_RELAY, again, 241_000, Stage::Handed, 0);
    relay(
        &mut history,
        NEXT_RELAY,
        again,
        243_000,
        Stage::Delivered,
        30,
    );
    relay(
        &mut history,
        NEXT_RELAY,
        again,
        244_000,
        Stage::Confirmed,
        0,
    );
    // And a relay killed between the two, whose fault is in its life already; and a fault elsewhen
    let kill = Target::Process(Victim::RELAY);
    add_fault(&mut history, kill, FaultKind::Kill, 158 * MS, 280 * MS);
    add_fault(
        &mut history,
        Target::KAFKA,
        FaultKind::Down,
        600 * MS,
        700 * MS,
    );
    killed(&mut history, "relay", RELAY, again, 100_000);
    lives(
        &mut history,
        "relay",
        NEXT_RELAY,
        FROM + 270 * MS,
        Life::Started,
        0,
    );
    lives(
        &mut history,
        "relay",
        NEXT_RELAY,
        FROM + 280 * MS,
        Life::Ready,
        0,
    );
    lives(
        &mut history,
        "relay",
        NEXT_RELAY,
        FROM + 900 * MS,
        Life::Exited,
        -1,
    );

    let offence = explained(&history, Metric::Duplicated);

    assert_eq!(
        told(&offence.timeline),
        [
            "0.058 client: due: placed",
            "0.058 client: sent",
            "0.058 order service: request received",
            "0.059 order service: committed",
            "0.059 order service: answered with status 201",
            "0.059 client: told: committed as version 2",
            "0.060 relay: read from the stream (commit 1/AB)",
            "0.060 relay: handed to the producer",
            // Appended in the same millisecond, and not before it was handed over.
            "0.060 topic: event: partition 1 offset 10",
            "0.061 observer: saw partition 1 offset 10",
            "0.158 relay: killed",
            "0.280 relay #2: ready",
            "0.299 relay #2: handed to the producer",
            "0.300 topic: event again: partition 1 offset 30",
            "0.301 relay #2: delivery reported (offset 30)",
            "0.301 observer: saw partition 1 offset 30",
            "0.302 relay #2: confirmed to the outbox",
            "2.159 database: final read: there as version 2",
        ]
    );
}

#[test]
fn given_a_lost_event_then_its_timeline_has_the_fault_it_met_and_the_final_reads() {
    let mut history = dual_write();
    let gone = attempt(&history, 7, 2);
    unpublish(&mut history, gone);
    kafka_down(&mut history);
    let lost = explained(&history, Metric::Lost);
    assert_eq!(
        told(&lost.timeline),
        [
            "0.010 fault: down kafka begins",
            "0.058 client: due: placed",
            "0.058 client: sent",
            "0.059 client: told: committed as version 2",
            "0.500 fault: down kafka healed",
            "2.159 database: final read: there as version 2",
            "2.159 topic: final read: no valid event of it",
        ]
    );
}

#[test]
fn given_a_clean_order_then_its_timeline_has_every_version_and_no_offence() {
    let history = cdc();
    let context = Context::new(&history);
    let explainer = Explainer::new(&context).unwrap();
    let order = explainer.order(7);
    assert!(order.offences.is_empty());
    assert_eq!(
        order.summary,
        "4 attempts (3 told committed, 1 told no, 0 told nothing); 3 versions in the database; 3 \
         records on the topic, 3 of them valid events"
    );
    for label in ["v1: ", "v2: ", "v3: ", "attempt 31: "] {
        let of_it = order.timeline.iter().filter(|s| s.what.starts_with(label));
        assert!(of_it.count() >= 4, "{label}");
    }
    assert!(order.timeline.is_sorted_by(|a, b| a.at_s <= b.at_s));
    let id = history.meta.key.identity().unwrap().order_id(7);
    assert_eq!(explainer.order_number(id), Some(7));
}

#[test]
fn given_an_id_of_another_run_or_of_an_order_never_offered_then_it_is_not_known() {
    let (history, other) = (cdc(), cdc());
    let context = Context::new(&history);
    let explainer = Explainer::new(&context).unwrap();
    let foreign = other.meta.key.identity().unwrap().order_id(7);
    assert_eq!(explainer.order_number(foreign), None);
    let never = history.meta.key.identity().unwrap().order_id(70);
    assert_eq!(explainer.order_number(never), None);
}

#[test]
fn given_an_attempt_taken_up_without_end_then_the_middle_of_its_timeline_is_left_out() {
    let mut history = cdc();
    let gone = attempt(&history, 7, 2);
    unpublish(&mut history, gone);
    for n in 0..1_000 {
        relay(
            &mut history,
            RELAY,
            gone,
            2_000 + n * 100,
            Stage::Claimed,
            5,
        );
    }
    let lost = explained(&history, Metric::Lost);
    assert_eq!(lost.timeline.len(), 201);
    assert!(
        lost.timeline
            .iter()
            .any(|s| s.what.ends_with(" more steps"))
    );
    assert!(lost.timeline.is_sorted_by(|a, b| a.at_s <= b.at_s));
}

#[test]
fn given_more_offences_than_the_limit_then_the_rest_is_counted() {
    let mut history = cdc();
    for version in 1..=3 {
        let gone = attempt(&history, 7, version);
        unpublish(&mut history, gone);
    }
    let mut told = 0;
    let context = Context::new(&history);
    let counts = Explainer::new(&context)
        .unwrap()
        .each(2, &mut |_| told += 1);
    assert_eq!(told, 2);
    assert!(counts.contains(&(Metric::Lost.name(), 3)));
}
