//! Phases: each change is in exactly one, and what is planned as proof stays so.

use super::super::phase::Phases;
use super::super::{latencies, phases, stretches};
use super::cdc;
use crate::checkers::fixture::*;
use crate::checkers::tests::arbitrary::arbitrary;
use crate::history::{History, Outcome};
use crate::scenario::{FaultKind, Link, Start, Target, Trigger, Victim};
use crate::view::View;
use proptest::prelude::*;

const KAFKA: Target = Target::KAFKA;
const RELAY: Target = Target::Process(Victim::RELAY);

fn down(history: &mut History, target: Target, from_ms: i64, until_ms: i64) {
    add_fault(
        history,
        target,
        FaultKind::Down,
        from_ms * MS,
        until_ms * MS,
    );
}

fn kill(history: &mut History, from_ms: i64, until_ms: i64) {
    add_fault(history, RELAY, FaultKind::Kill, from_ms * MS, until_ms * MS);
}

/// Names and stretches, in milliseconds since the load's start; -1 is without bound.
fn shape(history: &History) -> Vec<(String, Vec<(i64, i64)>)> {
    let ms = |ns: i64| match ns {
        i64::MIN | i64::MAX => -1,
        ns => (ns - FROM) / MS,
    };
    let shown = |p: super::super::Phase| {
        let spans = p.spans.iter().map(|(from, until)| (ms(*from), ms(*until)));
        (p.name, spans.collect())
    };
    phases(history).into_iter().map(shown).collect()
}

fn named(phases: &[(&str, &[(i64, i64)])]) -> Vec<(String, Vec<(i64, i64)>)> {
    let owned = phases
        .iter()
        .map(|(n, spans)| (n.to_string(), spans.to_vec()));
    owned.collect()
}

#[test]
fn without_a_fault_the_run_is_one_phase() {
    assert_eq!(shape(&cdc(40)), named(&[("whole run", &[(-1, -1)])]));
    // And a fault that does not concern the strategy makes none
    let mut history = cdc(40);
    down(&mut history, Target::Link(Link::ORDERS_KAFKA), 100, 200);
    assert_eq!(shape(&history), named(&[("whole run", &[(-1, -1)])]));
}

#[test]
fn phases_have_the_bounds_that_were_and_exist_as_planned() {
    let mut history = cdc(200);
    kill(&mut history, 400, 500);
    down(&mut history, KAFKA, 700, 800);
    kill(&mut history, 800, 900);
    history.faults[0].healed_ns = Some(FROM + 550 * MS);
    history.faults[2].planned_at_ns = FROM + 803 * MS;
    history.faults[2].injected_ns = Some(FROM + 805 * MS);
    assert_eq!(
        shape(&history),
        named(&[
            ("before", &[(-1, 400)]),
            ("open at kill relay", &[(-1, 400)]),
            ("during kill relay", &[(400, 550)]),
            ("between kill relay and down kafka", &[(550, 700)]),
            ("open at down kafka", &[(550, 700)]),
            // Without a planned gap the time until the next one is of the one before
            ("during down kafka", &[(700, 803)]),
            ("during kill relay (2)", &[(803, 900)]),
            ("after", &[(900, -1)]),
        ])
    );
}

/// The last fault waited for something, which came when it began.
fn waited(history: &mut History) {
    let fault = history.meta.scenario.faults.last_mut().unwrap();
    fault.start = Start::When(Trigger::Events(1));
}

#[test]
fn a_fault_that_waited_for_something_has_the_phases_of_when_that_came() {
    let mut history = cdc(200);
    kill(&mut history, 600, 700);
    down(&mut history, KAFKA, 300, 400);
    waited(&mut history);
    let expected = named(&[
        ("before", &[(-1, 300)]),
        ("open at down kafka", &[(-1, 300)]),
        ("during down kafka", &[(300, 400)]),
        ("between down kafka and kill relay", &[(400, 600)]),
        ("open at kill relay", &[(400, 600)]),
        ("during kill relay", &[(600, 700)]),
        ("after", &[(700, -1)]),
    ]);
    assert_eq!(shape(&history), expected);
}

#[test]
fn a_fault_that_waited_in_vain_has_no_phase() {
    let mut history = cdc(200);
    down(&mut history, KAFKA, 300, 400);
    waited(&mut history);
    history.faults[0].injected_ns = None;
    history.faults[0].healed_ns = None;
    assert_eq!(shape(&history), named(&[("whole run", &[(-1, -1)])]));
}

#[test]
fn what_is_at_once_but_for_the_waiting_leaves_no_phase_between() {
    let mut history = cdc(200);
    down(&mut history, KAFKA, 300, 500);
    // Right after the beginning of the cut, and right after its end
    kill(&mut history, 304, 400);
    waited(&mut history);
    kill(&mut history, 512, 600);
    waited(&mut history);
    // With the load itself
    kill(&mut history, 3, 100);
    waited(&mut history);
    assert_eq!(
        shape(&history),
        named(&[
            ("during kill relay", &[(-1, 100)]),
            ("between kill relay and down kafka", &[(100, 300)]),
            ("open at down kafka and kill relay (2)", &[(100, 300)]),
            ("during down kafka and kill relay (2)", &[(300, 400)]),
            ("during down kafka", &[(400, 512)]),
            ("during kill relay (3)", &[(512, 600)]),
            ("after", &[(600, -1)]),
        ])
    );
}

#[test]
fn a_fault_that_the_end_of_the_load_cut_short_is_the_last_phase() {
    let mut history = cdc(200);
    let until_ns = history.meta.scenario.workload.duration.as_nanos() as i64;
    let until_ms = until_ns / MS;
    down(&mut history, KAFKA, until_ms - 200, until_ms + 500);
    waited(&mut history);
    history.faults[0].healed_ns = Some(FROM + until_ns);
    let begin_ms = until_ms - 200;
    assert_eq!(
        shape(&history),
        named(&[
            ("before", &[(-1, begin_ms)]),
            ("open at down kafka", &[(-1, begin_ms)]),
            ("during down kafka", &[(begin_ms, -1)]),
        ])
    );
}

#[test]
fn given_faults_that_overlap_then_what_they_share_is_a_phase_of_its_own() {
    let mut history = cdc(200);
    down(&mut history, KAFKA, 400, 700);
    kill(&mut history, 600, 900);
    assert_eq!(
        shape(&history),
        named(&[
            ("before", &[(-1, 400)]),
            ("open at down kafka", &[(-1, 400)]),
            ("during down kafka", &[(400, 600)]),
            ("during down kafka and kill relay", &[(600, 700)]),
            ("during kill relay", &[(700, 900)]),
            ("after", &[(900, -1)]),
        ])
    );
}

#[test]
fn given_a_fault_within_another_then_the_longer_one_is_one_phase_in_two_parts() {
    let mut history = cdc(200);
    down(&mut history, KAFKA, 0, 700);
    kill(&mut history, 300, 500);
    let expected = named(&[
        ("during down kafka", &[(-1, 300), (500, 700)]),
        ("during down kafka and kill relay", &[(300, 500)]),
        ("after", &[(700, -1)]),
    ]);
    assert_eq!(shape(&history), expected);
    // And the record says where the hole is
    let judgement = judged(&history);
    let spans = |n: usize| judgement.phases[n].spans_s.clone();
    assert_eq!(spans(0), [(0.0, 0.3), (0.5, 0.7)]);
    assert_eq!((spans(1), spans(2)), (vec![], vec![]));
    let first = &judgement.phases[0];
    assert_eq!((first.from_s, first.until_s), (0.0, 0.7));
}

#[test]
fn given_what_was_open_when_a_fault_began_then_the_time_before_it_knows_nothing_of_the_wait() {
    // Given 400 ms without trouble, and two changes that wait through the outage after it: one for
    // its answer, one for its event
    let mut history = cdc(200);
    down(&mut history, KAFKA, 400, 700);
    let waits = |history: &mut History, order: u32, answer: bool| {
        let number = attempt(history, order, 1) as usize;
        let seen_ns = FROM + 800 * MS;
        if answer {
            history.requests.open()[number].ended_ns = seen_ns;
        }
        let row = history.log.at(log_row(history, number as u32));
        let mut sightings = history.sightings.open();
        let of_it = |s: &&mut crate::history::Sighting| {
            (s.partition, s.offset) == (row.partition, row.offset)
        };
        sightings.iter_mut().find(of_it).unwrap().seen_ns = seen_ns;
    };
    waits(&mut history, 10, true);
    waits(&mut history, 20, false);
    let (_, parts) = latencies(&View::new(&history));
    let of = |name: &str| {
        let part = parts.iter().find(|p| p.phase.name == name).unwrap();
        let set = part.latencies.set();
        (part.latencies.committed, set.end_to_end.max.unwrap())
    };
    // Then the quiet time is as quiet as it was, and they are apart
    assert_eq!(of("before").0, 150 - 2);
    assert!(of("before").1 < 4.0);
    assert_eq!(of("open at down kafka").0, 2);
    assert!(of("open at down kafka").1 > 600.0);
    // And both count as proof of the time before it
    assert_eq!(stretches(&parts)[0], ("before".to_owned(), 150));
}

#[test]
fn given_a_change_that_was_held_back_through_a_fault_then_it_is_of_the_time_in_which_it_was_sent() {
    // Given an outage, and a change that was due in it and sent when it was over
    let mut history = cdc(200);
    down(&mut history, KAFKA, 400, 700);
    let due = |name: &str, history: &History| {
        let (_, parts) = latencies(&View::new(history));
        let part = parts.iter().find(|p| p.phase.name == name).unwrap();
        part.latencies.committed
    };
    let during = due("during down kafka", &history);
    let after = due("after", &history);
    let sent_late = |r: &&mut crate::history::Request| {
        r.sent_ns > FROM + 701 * MS && r.outcome == Outcome::Committed
    };
    let mut requests = history.requests.open();
    let request = requests.iter_mut().find(sent_late).unwrap();
    request.intended_ns = FROM + 500 * MS;
    request.held_back = true;
    drop(requests);
    // Then it proves nothing of the outage
    assert_eq!(due("during down kafka", &history), during);
    assert_eq!(due("after", &history), after);
}

#[test]
fn given_a_loss_that_the_relay_passed_before_the_fault_then_it_stays_in_the_time_before_it() {
    let mut history = cdc(200);
    down(&mut history, KAFKA, 400, 700);
    unpublish(&mut history, attempt_of(3));
    let (_, parts) = latencies(&View::new(&history));
    assert_eq!(parts[0].latencies.end_to_end.infinite(), 1);
    assert_eq!(parts[1].latencies.end_to_end.infinite(), 0);
}

/// The first attempt at an order of a clean history.
fn attempt_of(order: u32) -> u32 {
    order * 4
}

#[test]
fn given_faults_that_overlap_then_each_is_proved_by_all_that_was_sent_during_it() {
    // Given 500 changes a second, and faults that share all but a few of each one's changes
    let mut history = cdc(300);
    down(&mut history, KAFKA, 400, 700);
    kill(&mut history, 410, 710);
    let (whole, parts) = latencies(&View::new(&history));
    let counts: Vec<u64> = parts.iter().map(|p| p.latencies.committed).collect();
    // Then counts of phases add up
    assert_eq!(counts.iter().sum::<u64>(), whole.committed);
    assert!(counts[2] < 5 && counts[4] < 5, "{counts:?}");
    // And no small phase makes a doubt of what was planned as proof
    let of_each = stretches(&parts);
    let names: Vec<&str> = of_each.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["before", "during down kafka", "during kill relay", "after"]
    );
    history.meta.scenario.workload.min_committed_per_phase = 100;
    let reasons = judged(&history).reasons;
    assert!(
        !reasons.iter().any(|r| r.contains("fewer than")),
        "{reasons:?}"
    );
    history.meta.scenario.workload.min_committed_per_phase = 115;
    let reasons = judged(&history).reasons;
    let few = reasons.iter().filter(|r| r.contains("fewer than"));
    assert_eq!(few.count(), 2, "{reasons:?}");
}

/// Target, begin and length as planned; lateness of injection and heal, if they happened.
type PlannedFault = (u8, i64, i64, Option<i64>, Option<i64>);

fn planned() -> impl Strategy<Value = Vec<PlannedFault>> {
    let late = || prop::option::weighted(0.9, 0..300i64);
    let fault = (0..4u8, 0..12i64, 1..8i64, late(), late());
    prop::collection::vec(fault, 0..5)
}

fn with_faults(history: &mut History, faults: &[PlannedFault]) {
    for (target, at, lasts, injected, healed) in faults {
        let target = match target {
            0 => KAFKA,
            1 => RELAY,
            2 => Target::Link(Link::ORDERS_POSTGRES),
            _ => Target::Link(Link::ORDERS_KAFKA),
        };
        // Whole seconds, so that begins and ends often fall together.
        down(history, target, at * 1_000, (at + lasts) * 1_000);
        let record = history.faults.last_mut().unwrap();
        let planned_ns = record.planned_at_ns;
        record.injected_ns = injected.map(|ms| planned_ns + ms * MS);
        record.healed_ns = healed.map(|ms| planned_ns + lasts * S + ms * MS);
    }
    history.meta.scenario.workload.duration = std::time::Duration::from_secs(21);
}

proptest! {
    #![proptest_config(cases(500))]
    #[test]
    fn at_any_time_there_is_exactly_one_phase(
        faults in planned(),
        waits in prop::collection::vec(any::<bool>(), 5),
        at_ms in -2_000..25_000i64,
    ) {
        let mut history = cdc(4);
        with_faults(&mut history, &faults);
        for (fault, waits) in history.meta.scenario.faults.iter_mut().zip(waits) {
            if waits {
                fault.start = Start::When(Trigger::Events(1));
            }
        }
        let phases = Phases::of(&history);
        let at_ns = FROM + at_ms * MS;
        let mut of_it = (0..phases.all.len()).filter(|n| phases.all[*n].contains(at_ns));
        let found = of_it.next();
        prop_assert_eq!(found, Some(phases.index(at_ns, || i64::MIN)));
        prop_assert_eq!(of_it.next(), None);
        // What is open for ever goes to the phase for it, if there is one for the time.
        let open = &phases.all[phases.index(at_ns, || i64::MAX)];
        let own = &phases.all[found.unwrap()];
        prop_assert!(open.name == own.name || open.before.as_ref() == Some(&own.name));
        // Names are names of one.
        let mut names: Vec<&String> = phases.all.iter().map(|p| &p.name).collect();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), phases.all.len());
    }

    #[test]
    fn every_change_is_in_exactly_one_phase_and_proves_each_fault_that_it_was_sent_in(
        history in arbitrary(),
        faults in planned(),
    ) {
        let mut history = history;
        with_faults(&mut history, &faults);
        let view = View::new(&history);
        let (whole, parts) = latencies(&view);
        // Given each change's first send, and how many versions came of it
        let mut changes = std::collections::BTreeMap::new();
        for (attempt, request) in history.requests.numbered() {
            let made = (0..view.join.truth.len())
                .filter(|slot| view.join.attempt(*slot) as usize == attempt);
            let entry = changes.entry(request.change).or_insert((i64::MAX, 0u64));
            *entry = (entry.0.min(request.sent_ns), entry.1 + made.count() as u64);
        }
        // Then the phase of that time, and the one of what was open there, have those versions
        for quiet in parts.iter().filter(|p| p.phase.before.is_none()) {
            let sent = changes.values().filter(|(sent_ns, _)| quiet.phase.contains(*sent_ns));
            let expected: u64 = sent.map(|(_, versions)| versions).sum();
            let open = parts.iter().filter(|p| p.phase.before.as_ref() == Some(&quiet.phase.name));
            let counted = open.map(|p| p.latencies.committed).sum::<u64>() + quiet.latencies.committed;
            prop_assert_eq!(counted, expected, "{}", quiet.phase.name);
        }
        let all: u64 = changes.values().map(|(_, versions)| versions).sum();
        prop_assert_eq!(whole.committed, all);
        let order: u64 = parts.iter().map(|p| p.latencies.order.count()).sum();
        prop_assert_eq!(whole.order.count(), order);
        // And what proves a fault is all that was sent during it
        for (name, committed) in stretches(&parts) {
            let of_it = parts.iter().filter(|p| {
                let during = p.phase.in_force.iter().any(|f| format!("during {f}") == name);
                during || p.phase.name == name || p.phase.before.as_ref() == Some(&name)
            });
            let expected: u64 = of_it.map(|p| p.latencies.committed).sum();
            prop_assert_eq!(committed, expected, "{}", name);
        }
    }
}

#[test]
fn what_is_sent_as_a_fault_begins_is_in_it_and_what_ends_then_was_not_open_at_it() {
    let mut history = cdc(200);
    down(&mut history, KAFKA, 400, 500);
    let phases = Phases::of(&history);
    let begin_ns = FROM + 400 * MS;
    let name = |sent_ns: i64, open_until_ns: i64| {
        let index = phases.index(sent_ns, || open_until_ns);
        phases.all[index].name.clone()
    };
    assert_eq!(name(begin_ns, begin_ns), "during down kafka");
    assert_eq!(name(begin_ns - 1, begin_ns), "before");
    assert_eq!(name(begin_ns - 1, begin_ns + 1), "open at down kafka");
    assert_eq!(name(i64::MAX, i64::MAX), "after");
}

#[test]
fn faults_of_a_file_in_any_order_make_the_same_phases() {
    let shape_of = |faults: [(i64, i64); 2]| {
        let mut history = cdc(200);
        for (from_ms, until_ms) in faults {
            down(&mut history, KAFKA, from_ms, until_ms);
        }
        shape(&history)
    };
    let in_order = shape_of([(200, 300), (500, 600)]);
    assert_eq!(shape_of([(500, 600), (200, 300)]), in_order);
    let names: Vec<&str> = in_order.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[2], "during down kafka");
    assert_eq!(names[5], "during down kafka (2)");
}

#[test]
fn a_load_of_no_planned_length_is_one_phase() {
    let mut history = cdc(40);
    history.meta.scenario.workload.duration = std::time::Duration::ZERO;
    assert_eq!(shape(&history), named(&[("whole run", &[(-1, -1)])]));
    let (whole, parts) = latencies(&View::new(&history));
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0].latencies.committed, whole.committed);
    assert_eq!(whole.committed, 120);
}

#[test]
fn a_fault_that_ends_after_the_planned_load_has_its_whole_phase() {
    let mut history = cdc(200);
    down(&mut history, KAFKA, 400, 500);
    down(&mut history, RELAY, 900, 3_000);
    let last = shape(&history).pop().unwrap();
    assert_eq!(last, ("during down relay".to_owned(), vec![(900, -1)]));
}

#[test]
fn given_faults_planned_for_one_moment_then_a_phase_begins_with_the_first_and_ends_with_the_last() {
    // Whichever of the two it is that is late
    for late in [0, 1] {
        let mut history = cdc(200);
        down(&mut history, KAFKA, 400, 700);
        kill(&mut history, 400, 700);
        let record = &mut history.faults[late];
        record.planned_at_ns = FROM + 403 * MS;
        record.injected_ns = Some(FROM + 405 * MS);
        record.healed_ns = Some(FROM + 750 * MS);
        let expected = named(&[
            ("before", &[(-1, 400)]),
            ("open at down kafka and kill relay", &[(-1, 400)]),
            ("during down kafka and kill relay", &[(400, 750)]),
            ("after", &[(750, -1)]),
        ]);
        assert_eq!(shape(&history), expected, "{late}");
    }
}
