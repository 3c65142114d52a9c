//! Which expectations an inconclusive run leaves open, and which it cannot touch: an event that is
//! there stays there, whatever was not read; one that is absent may have been missed.

use crate::checkers::fixture::*;
use crate::checkers::{Judgement, Verdict};
use crate::history::{Body, Death, History, Intent, NONE, Pending, PendingState};
use crate::scenario::{
    Comparison, FaultKind, LatencyKind, Metric, Percentile, StrategyKind, Target,
};
use std::collections::BTreeSet;

const ON_THE_TOPIC: [Metric; 8] = [
    Metric::Phantom,
    Metric::Foreign,
    Metric::Duplicated,
    Metric::Reordered,
    Metric::Overtaken,
    Metric::Split,
    Metric::Corrupted,
    Metric::Late,
];
const ABSENT: [Metric; 3] = [Metric::Lost, Metric::Undrained, Metric::Undecided];

/// Of every count: none, and at least one. Of every time: a bound that is kept and one that is not.
fn all_expectations() -> Vec<crate::scenario::Expectation> {
    let mut all = Vec::new();
    for metric in COUNTS {
        all.push(expect(metric, Comparison::Equal, 0.0));
        all.push(expect(metric, Comparison::AtLeast, 1.0));
    }
    let kinds = [
        LatencyKind::Order,
        LatencyKind::Propagation,
        LatencyKind::EndToEnd,
    ];
    let times = kinds.map(|kind| Metric::Latency(kind, Percentile::P50));
    for metric in times.into_iter().chain([Metric::Drain, Metric::Recovery]) {
        all.push(expect(metric, Comparison::AtMost, 1e9));
        all.push(expect(metric, Comparison::AtMost, -1.0));
    }
    all
}

/// `lost none`, `lost some`, `drain kept`, `drain missed`.
fn name(metric: Metric, first: bool) -> String {
    let word = match (COUNTS.contains(&metric), first) {
        (true, true) => "none",
        (true, false) => "some",
        (false, true) => "kept",
        (false, false) => "missed",
    };
    format!("{} {word}", metric.name())
}

fn left_open(judgement: &Judgement) -> BTreeSet<String> {
    let numbered = judgement.expectations.iter().enumerate();
    numbered
        .filter(|(_, checked)| checked.met.is_none())
        .map(|(n, checked)| name(checked.expectation.metric, n % 2 == 0))
        .collect()
}

fn both(metrics: &[Metric]) -> BTreeSet<String> {
    let names = metrics
        .iter()
        .flat_map(|m| [name(*m, true), name(*m, false)]);
    names.collect()
}

/// A fault over all of a run but its beginning, which is clean: what is wrong may be its effect.
fn with_fault(mut history: History) -> History {
    add_fault(
        &mut history,
        Target::KAFKA,
        FaultKind::Down,
        100 * MS,
        20 * S,
    );
    history
}

/// A clean run of which everything is expected.
fn clean_run() -> History {
    let mut history = with_fault(clean(120, StrategyKind::Cdc {}));
    expecting(&mut history, all_expectations());
    history
}

/// The same with one offence of each kind that is a matter of the topic.
fn dirty_run() -> History {
    let mut history = clean(118, StrategyKind::Cdc {});
    // Lost, undrained; corrupted (and lost); reordered; split and duplicated; late
    for order in 118..124 {
        let attempts: Vec<u32> = (1..=3).map(|v| commit(&mut history, order, v)).collect();
        let at_ns = history.requests.at(attempts[2] as usize).ended_ns + MS;
        let event = |n: usize| (attempts[n], order, n as u32 + 1);
        let home = order as i32 % PARTITIONS;
        let order_of = match order {
            121 => [0, 2, 1],
            _ => [0, 1, 2],
        };
        for n in order_of {
            let (body, at_ns) = match (order, n) {
                (118 | 119, 2) => continue,
                (120, 1) => (Body::Damaged, at_ns),
                (123, 2) => (Body::Intact, at_ns + 16 * S),
                _ => (Body::Intact, at_ns),
            };
            record(&mut history, home, event(n), body, at_ns);
        }
        if order == 119 {
            history.pending.push(Pending {
                attempt: attempts[2],
                state: PendingState::Slot,
                lsn: 0,
            });
        }
        if order == 122 {
            record(&mut history, 1 - home, event(0), Body::Intact, at_ns);
        }
    }
    let vetoed = history
        .requests
        .iter()
        .position(|r| r.intent == Intent::Veto);
    let vetoed = vetoed.unwrap() as u32;
    append(&mut history, 0, vetoed, 4, FROM + S);
    record(&mut history, 0, (NONE, NONE, 0), Body::Foreign, FROM + S);
    finish(&mut history);
    expecting(&mut history, all_expectations());
    with_fault(history)
}

#[test]
fn where_nothing_is_inconclusive_nothing_is_open() {
    assert_eq!(left_open(&judged(&clean_run())), BTreeSet::new());
    let dirty = judged(&dirty_run());
    assert_eq!(left_open(&dirty), BTreeSet::new());
    for metric in ON_THE_TOPIC {
        assert!(count(&dirty, metric) > 0, "{}", metric.name());
    }
}

#[test]
fn a_step_of_the_fence_that_failed_or_was_not_taken_leaves_open_all_but_what_was_read() {
    let spoils: [fn(&mut History); 2] = [
        |h| h.fences[3].ok = false,
        |h| {
            h.fences.remove(3);
        },
    ];
    let order = Metric::Latency(LatencyKind::Order, Percentile::P50);
    for spoil in spoils {
        let spoiled = |mut history: History| {
            spoil(&mut history);
            judged(&history)
        };
        let all: BTreeSet<String> = all_expectations()
            .iter()
            .filter(|e| e.metric != order)
            .flat_map(|e| both(&[e.metric]))
            .collect();
        assert_eq!(left_open(&spoiled(clean_run())), all);
        // What is wrong by itself is wrong whatever the database holds
        let wrong = [Metric::Foreign, Metric::Corrupted].map(|metric| name(metric, true));
        assert_eq!(left_open(&spoiled(dirty_run())), &all - &wrong.into());
    }
}

#[test]
fn a_topic_that_was_not_read_leaves_open_what_was_not_found_on_it() {
    let spoils: [fn(&mut History); 3] = [
        |h| h.partitions[0].read_offset -= 1,
        |h| h.partitions[0].stable_offset -= 1,
        |h| {
            h.partitions.remove(0);
        },
    ];
    let times = [
        Metric::Drain,
        Metric::Recovery,
        Metric::Latency(LatencyKind::Propagation, Percentile::P50),
        Metric::Latency(LatencyKind::EndToEnd, Percentile::P50),
    ];
    for spoil in spoils {
        let spoiled = |mut history: History| {
            spoil(&mut history);
            judged(&history)
        };
        let open = &(&both(&ABSENT) | &both(&times)) | &both(&ON_THE_TOPIC);
        assert_eq!(left_open(&spoiled(clean_run())), open);
        // What is there stays there, but an order of events, and a time, may still be another
        let found = ON_THE_TOPIC
            .iter()
            .filter(|m| !m.is_of_order() && **m != Metric::Late)
            .map(|metric| name(*metric, true))
            .collect();
        assert_eq!(left_open(&spoiled(dirty_run())), &open - &found);
    }
}

#[test]
fn an_observer_in_doubt_leaves_open_what_it_timed() {
    let live = [
        Metric::Late,
        Metric::Drain,
        Metric::Recovery,
        Metric::Latency(LatencyKind::Propagation, Percentile::P50),
        Metric::Latency(LatencyKind::EndToEnd, Percentile::P50),
    ];
    let mut late = clean_run();
    late.sightings
        .open()
        .iter_mut()
        .for_each(|s| s.seen_ns += 200 * MS);
    let mut blind = clean_run();
    blind.sightings.open().remove(3);
    for history in [late, blind] {
        assert_eq!(left_open(&judged(&history)), both(&live));
    }
    // A clock that jumped moves, besides, what a fault overlaps: lessons that did not come
    let mut jumped = clean_run();
    jumped.meta.wall_drift_ns = S;
    let lessons = COUNTS.map(|metric| name(metric, false)).into();
    assert_eq!(left_open(&judged(&jumped)), &both(&live) | &lessons);
}

#[test]
fn a_load_in_doubt_leaves_open_latencies_that_are_missed_and_lessons_that_did_not_come() {
    let spoils: [fn(&mut History); 3] = [
        |h| h.requests.open().iter_mut().for_each(|r| r.lag_ns = S),
        |h| h.meta.unoffered = 100,
        |h| h.meta.scenario.workload.rate *= 2.0,
    ];
    let mut expected: BTreeSet<String> = COUNTS.map(|metric| name(metric, false)).into();
    for kind in [
        LatencyKind::Order,
        LatencyKind::Propagation,
        LatencyKind::EndToEnd,
    ] {
        expected.insert(name(Metric::Latency(kind, Percentile::P50), false));
    }
    for spoil in spoils {
        let mut history = clean_run();
        spoil(&mut history);
        assert_eq!(left_open(&judged(&history)), expected);
    }
}

#[test]
fn given_changes_held_back_when_judged_then_every_latency_is_open_and_lessons_that_did_not_come() {
    let mut history = clean_run();
    let requests = &mut history.requests;
    requests.open().iter_mut().for_each(|r| r.held_back = true);
    let mut expected: BTreeSet<String> = COUNTS.map(|metric| name(metric, false)).into();
    for kind in [
        LatencyKind::Order,
        LatencyKind::Propagation,
        LatencyKind::EndToEnd,
    ] {
        for upper in [false, true] {
            expected.insert(name(Metric::Latency(kind, Percentile::P50), upper));
        }
    }
    assert_eq!(left_open(&judged(&history)), expected);
}

#[test]
fn a_fault_in_doubt_leaves_open_lessons_that_did_not_come() {
    let mut history = clean_run();
    add_fault(
        &mut history,
        Target::KAFKA,
        FaultKind::Down,
        400 * MS,
        500 * MS,
    );
    let lessons: BTreeSet<String> = COUNTS.map(|metric| name(metric, false)).into();
    let toothless = judge_with(&history, &[], Vec::new());
    assert_eq!(left_open(&toothless), lessons);
    history.faults[0].injected_ns = None;
    assert_eq!(left_open(&judged(&history)), lessons);
}

/// "At least one" that is met.
fn lessons_that_came(judgement: &Judgement) -> BTreeSet<String> {
    let all = judgement.expectations.iter();
    let came = all.filter(|c| c.expectation.comparison == Comparison::AtLeast);
    let came = came.filter(|c| c.met == Some(true));
    came.map(|c| name(c.expectation.metric, false)).collect()
}

#[test]
fn a_lesson_that_came_stands_whatever_was_wrong_with_load_fault_and_clock() {
    let came = lessons_that_came(&judged(&dirty_run()));
    for metric in [Metric::Lost, Metric::Reordered, Metric::Late] {
        assert!(came.contains(&name(metric, false)), "{}", metric.name());
    }
    let load: [fn(&mut History); 3] = [
        |h| h.requests.open().iter_mut().for_each(|r| r.lag_ns = S),
        |h| h.meta.unoffered = 100,
        |h| h.meta.scenario.workload.rate *= 2.0,
    ];
    for spoil in load {
        let mut history = dirty_run();
        spoil(&mut history);
        assert_eq!(lessons_that_came(&judged(&history)), came);
    }
    // The fault did not bite, or was never healed
    let mut history = dirty_run();
    let toothless = judge_with(&history, &[], Vec::new());
    assert_eq!(lessons_that_came(&toothless), came);
    history.faults[0].healed_ns = None;
    assert_eq!(lessons_that_came(&judged(&history)), came);
    // Only what was timed by a clock that jumped is open
    let mut history = dirty_run();
    history.meta.wall_drift_ns = S;
    let late = BTreeSet::from([name(Metric::Late, false)]);
    assert_eq!(lessons_that_came(&judged(&history)), &came - &late);
}

#[test]
fn what_could_not_have_happened_is_left_open_and_nothing_else() {
    let mut history = clean_run();
    for request in history.requests.open().iter_mut() {
        request.intent = Intent::Commit;
    }
    let open = left_open(&judged(&history));
    assert_eq!(open, BTreeSet::from([name(Metric::Phantom, true)]));
    let mut history = clean_run();
    history
        .sightings
        .open()
        .iter_mut()
        .for_each(|s| s.seen_ns -= 2 * MS);
    let open = left_open(&judged(&history));
    let orders = [Metric::Reordered, Metric::Overtaken].map(|metric| name(metric, true));
    assert_eq!(open, orders.into());
}

#[test]
fn what_else_is_inconclusive_leaves_every_expectation_as_it_is() {
    let altered = ["log.parquet".to_owned()];
    let bit = crate::bite::Bite {
        fault: 0,
        bit: true,
        evidence: "by decree".to_owned(),
    };
    let judgement = judge_with(&clean_run(), &altered, vec![bit]);
    assert_eq!(left_open(&judgement), BTreeSet::new());
    let mut few = clean_run();
    few.meta.scenario.workload.min_committed_per_phase = 1_000;
    let judgement = judged(&few);
    assert_eq!(left_open(&judgement), BTreeSet::new());
    assert_eq!(
        judgement.verdict,
        Verdict::Fail,
        "the missed ones are missed"
    );
}

#[test]
fn given_a_relay_that_somebody_killed_then_all_is_open_that_rests_on_its_delivery_and_looks_bad() {
    let killed = |mut history: History| {
        history.meta.deaths.push(Death {
            process: "relay".to_owned(),
            at_ns: FROM + 500 * MS,
            exit: 9,
            how: "was ended by signal 9".to_owned(),
            last_words: String::new(),
        });
        judged(&history)
    };
    let times = [
        Metric::Drain,
        Metric::Recovery,
        Metric::Latency(LatencyKind::Propagation, Percentile::P50),
        Metric::Latency(LatencyKind::EndToEnd, Percentile::P50),
    ];
    let missed: BTreeSet<String> = times.map(|metric| name(metric, false)).into();
    assert_eq!(left_open(&killed(clean_run())), missed);
    // Of what is there, neither that there is none nor that there is some
    let found = both(&[Metric::Lost, Metric::Undrained, Metric::Late]);
    // Something never came, so no bound on how long that took is kept
    let endless = [Metric::Drain, Metric::Recovery].map(|metric| name(metric, true));
    let endless = BTreeSet::from(endless);
    assert_eq!(
        left_open(&killed(dirty_run())),
        &(&missed | &found) | &endless
    );
}

#[test]
fn given_more_than_enough_on_a_topic_that_was_not_read_whole_then_a_lesson_is_open_and_not_missed()
{
    let mut history = dirty_run();
    for _ in 0..3 {
        let first = history.log.at(0);
        append(
            &mut history,
            first.partition,
            first.attempt,
            first.version,
            FROM + S,
        );
    }
    finish(&mut history);
    history.partitions[0].read_offset -= 1;
    let judgement = judged(&history);
    assert!(count(&judgement, Metric::Duplicated) > 1);
    assert!(left_open(&judgement).contains(&name(Metric::Duplicated, false)));
}

#[test]
fn given_a_met_expectation_that_an_inconclusive_run_leaves_open_then_the_reason_is_that_alone() {
    let mut history = clean_run();
    let mut requests = history.requests.open();
    requests.iter_mut().for_each(|r| r.intent = Intent::Commit);
    drop(requests);
    let judgement = judged(&history);
    let mut open = judgement.expectations.iter().filter(|c| c.met.is_none());
    let reason = &open.next().unwrap().reason;
    assert!(
        reason.starts_with("this run cannot tell: phantom: "),
        "{reason}"
    );
}
