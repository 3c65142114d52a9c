//! What an absence proves, and what a loss is blamed on: each condition by itself.

use crate::checkers::fixture::*;
use crate::checkers::{Checked, Verdict};
use crate::history::{
    History, Intent, Life, Outcome, PartitionEnd, Request, Sample, WALL_DRIFT_NS,
};
use crate::scenario::{Comparison, Expectation, Metric, OrderTest, StrategyKind};
use std::collections::BTreeMap;

fn cdc() -> History {
    clean(120, StrategyKind::Cdc {})
}

fn is_said(history: &History, reason: &str) -> bool {
    judged(history).reasons.iter().any(|r| r.contains(reason))
}

#[test]
fn only_a_rollback_that_was_told_could_have_become_a_phantom() {
    let mut history = cdc();
    let vetoes = |r: &&mut Request| r.intent == Intent::Veto;
    for request in history.requests.open().iter_mut().filter(vetoes) {
        request.outcome = Outcome::Unknown;
    }
    assert!(is_said(&history, "no attempt was written and rolled back"));
    // One will do
    let mut requests = history.requests.open();
    requests.iter_mut().find(vetoes).unwrap().outcome = Outcome::Rejected;
    drop(requests);
    assert!(!is_said(&history, "no attempt was written and rolled back"));
    // But not one that was a change like any other, and refused
    let mut history = cdc();
    for request in history.requests.open().iter_mut().filter(vetoes) {
        request.intent = Intent::Commit;
    }
    assert!(is_said(&history, "no attempt was written and rolled back"));
}

#[test]
fn versions_are_in_flight_together_only_if_both_of_them_were_seen() {
    let seen = |versions: &[u32]| {
        let mut history = cdc();
        let unseen: Vec<_> = history
            .log
            .iter()
            .filter(|row| !versions.contains(&row.version))
            .map(|row| (row.partition, row.offset))
            .collect();
        history
            .sightings
            .open()
            .retain(|s| !unseen.contains(&(s.partition, s.offset)));
        history
    };
    let apart = "ever in flight together";
    assert!(!is_said(&seen(&[1, 2]), apart));
    assert!(!is_said(&seen(&[2, 3]), apart));
    // The earlier one, the later one, and two that are not neighbours
    for versions in [&[1][..], &[3], &[1, 3]] {
        assert!(is_said(&seen(versions), apart), "{versions:?}");
    }
}

#[test]
fn versions_that_were_swapped_are_swapped_though_none_were_in_flight_together() {
    let mut history = cdc();
    for sighting in history.sightings.open().iter_mut() {
        sighting.seen_ns -= 2 * MS;
    }
    let (first, second) = (attempt(&history, 7, 1), attempt(&history, 7, 2));
    let rows = [first, second].map(|attempt| log_row(&history, attempt));
    let [one, other] = rows.map(|row| history.log.at(row).offset);
    let swapped = |offset: i64| match offset {
        _ if offset == one => other,
        _ if offset == other => one,
        _ => offset,
    };
    let partition = history.log.at(rows[0]).partition;
    for row in history
        .log
        .open()
        .iter_mut()
        .filter(|r| r.partition == partition)
    {
        row.offset = swapped(row.offset);
    }
    // Each is seen when it was
    let mut sightings = history.sightings.open();
    for sighting in sightings.iter_mut().filter(|s| s.partition == partition) {
        sighting.offset = swapped(sighting.offset);
    }
    drop(sightings);
    history.log.open().sort_by_key(|r| (r.partition, r.offset));
    let judgement = judged(&history);
    assert!(is_said(&history, "ever in flight together"));
    let reordered = judgement.expectations.iter();
    let mut reordered = reordered.filter(|c| c.expectation.metric == Metric::Reordered);
    assert_eq!(reordered.next().unwrap().met, Some(false));
    // A file that does not test the order asks for no proof of it
    history.meta.scenario.order = OrderTest::NotTested;
    assert!(!is_said(&history, "ever in flight together"));
}

#[test]
fn given_each_version_on_a_partition_of_its_own_then_none_could_have_been_swapped() {
    let mut history = cdc();
    assert!(!is_said(&history, "ever in flight together"));
    let mut ends = BTreeMap::new();
    let mut moved = BTreeMap::new();
    for row in history.log.open().iter_mut() {
        let before = (row.partition, row.offset);
        row.partition = row.version as i32 - 1;
        let end = ends.entry(row.partition).or_insert(0);
        row.offset = *end;
        *end += 1;
        moved.insert(before, (row.partition, row.offset));
    }
    history.log.open().sort_by_key(|r| (r.partition, r.offset));
    for sighting in history.sightings.open().iter_mut() {
        let to = moved[&(sighting.partition, sighting.offset)];
        (sighting.partition, sighting.offset) = to;
    }
    let ends = ends.into_iter();
    let ends = ends.map(|(partition, end_offset)| PartitionEnd {
        partition,
        end_offset,
        stable_offset: end_offset,
        read_offset: end_offset,
    });
    history.partitions = ends.collect();
    let judgement = judged(&history);
    assert!(
        is_said(&history, "ever in flight together"),
        "{:?}",
        judgement.reasons
    );
}

/// A run so slow that each event is seen before the next version is sent.
fn too_slow() -> History {
    let mut history = cdc();
    for sighting in history.sightings.open().iter_mut() {
        sighting.seen_ns -= 2 * MS;
    }
    history
}

#[test]
fn given_a_scenario_that_does_not_test_the_order_when_nothing_could_be_swapped_then_it_passes() {
    let mut history = too_slow();
    assert_eq!(judged(&history).verdict, Verdict::Unknown);
    history.meta.scenario.order = OrderTest::NotTested;
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    let of_order = |checked: &&Checked| checked.expectation.metric == Metric::Reordered;
    assert!(
        !judgement
            .expectations
            .iter()
            .any(|checked| of_order(&checked))
    );
}

#[test]
fn given_a_scenario_that_does_not_test_the_order_when_events_are_swapped_then_it_fails() {
    let mut history = cdc();
    history.meta.scenario.order = OrderTest::NotTested;
    let rows = [1, 2].map(|version| log_row(&history, attempt(&history, 7, version)));
    let mut log = history.log.open();
    let (first, second) = (log[rows[0]].offset, log[rows[1]].offset);
    (log[rows[0]].offset, log[rows[1]].offset) = (second, first);
    drop(log);
    finish(&mut history);
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Fail, "{:?}", judgement.reasons);
    assert!(
        judgement.reasons[0].starts_with("reordered: "),
        "{:?}",
        judgement.reasons
    );
}

#[test]
fn what_the_broker_lost_is_blamed_on_its_kill_only_if_it_was_killed() {
    let lost_by = |name: &str, life: Life, exit: i32| {
        let mut history = cdc();
        let mut ghost = history.sightings.at(100);
        ghost.offset = 10_000;
        history.sightings.open().insert(101, ghost);
        process(&mut history, name, FROM + S, life, exit);
        history
    };
    let blamed = "kafka-server was killed in this run";
    assert!(is_said(&lost_by("kafka-server", Life::Exited, 9), blamed));
    for other in [
        lost_by("relay", Life::Exited, 9),
        lost_by("kafka-server", Life::Exited, 15),
        lost_by("kafka-server", Life::Terminating, 9),
    ] {
        assert!(is_said(&other, "the broker's loss, not the strategy's"));
        assert!(!is_said(&other, blamed));
    }
}

#[test]
fn a_clock_that_jumped_after_its_last_sample_jumped() {
    let mut history = cdc();
    history.samples.push(Sample {
        series: WALL_DRIFT_NS.to_owned(),
        at_ns: FROM,
        value: 1e6,
    });
    assert!(!is_said(&history, "the wall clock moved"));
    history.meta.wall_drift_ns = S;
    assert!(is_said(&history, "the wall clock moved"));
}

#[test]
fn repetitions_do_not_thin_out_what_the_observer_saw_late() {
    // Given two in a hundred events that were seen late, and each of all published twice more
    let mut history = cdc();
    for sighting in history.sightings.open().iter_mut().step_by(50) {
        sighting.seen_ns += 110 * MS;
    }
    let late = "ms after they were there at p99";
    assert!(is_said(&history, late));
    for row in &history.log.clone() {
        for again in 1..=2 {
            let at_ns = FROM + (1 + again) * S;
            append(&mut history, row.partition, row.attempt, row.version, at_ns);
        }
    }
    finish(&mut history);
    assert!(is_said(&history, late));
}

#[test]
fn changes_that_could_not_be_offered_are_no_stall() {
    let mut history = cdc();
    history.meta.unoffered = 480;
    history.meta.scenario.workload.rate *= 2.0;
    assert!(is_said(&history, "480 of 960 planned changes could not be"));
    assert!(!is_said(&history, "and stopped"));
    // Where no number is planned, they are compared with what there was
    history.meta.scenario.workload.rate = 0.0;
    assert!(is_said(&history, "480 of 960 planned changes could not be"));
}

#[test]
fn nothing_is_asked_of_what_is_not_expected_to_be_absent() {
    let without_rollbacks = |expectations: Vec<Expectation>| {
        let mut history = cdc();
        for request in history.requests.open().iter_mut() {
            request.intent = Intent::Commit;
        }
        for sighting in history.sightings.open().iter_mut() {
            sighting.seen_ns -= 2 * MS;
        }
        expecting(&mut history, expectations);
        history
    };
    for metric in [Metric::Phantom, Metric::Reordered] {
        let reason = format!("{}: no ", metric.name());
        let none = without_rollbacks(vec![expect(metric, Comparison::Equal, 0.0)]);
        assert!(is_said(&none, &reason), "{reason}");
        let some = without_rollbacks(vec![expect(metric, Comparison::AtLeast, 1.0)]);
        assert!(!is_said(&some, &reason), "{reason}");
        let other = without_rollbacks(vec![expect(Metric::Lost, Comparison::Equal, 0.0)]);
        assert!(!is_said(&other, &reason), "{reason}");
    }
}

#[test]
fn as_much_as_is_asked_for_in_each_phase_is_enough() {
    let mut history = cdc();
    let committed = judged(&history).phases[0].committed.unwrap();
    history.meta.scenario.workload.min_committed_per_phase = committed;
    assert!(!is_said(&history, "fewer than the"));
    history.meta.scenario.workload.min_committed_per_phase = committed + 1;
    assert!(is_said(&history, "fewer than the"));
}

#[test]
fn versions_of_different_orders_are_never_in_flight_together() {
    // Given last versions that are seen only after the first one of the next order was sent
    let mut history = too_slow();
    let last: Vec<_> = history
        .log
        .iter()
        .filter(|row| row.version == 3)
        .map(|row| (row.partition, row.offset))
        .collect();
    for sighting in history.sightings.open().iter_mut() {
        if last.contains(&(sighting.partition, sighting.offset)) {
            sighting.seen_ns += 10 * MS;
        }
    }
    assert!(is_said(&history, "ever in flight together"));
}

#[test]
fn two_versions_are_in_flight_together_if_the_first_is_seen_after_the_second_was_sent() {
    let apart = "ever in flight together";
    let mut history = too_slow();
    let (first, second) = (attempt(&history, 0, 1), attempt(&history, 0, 2));
    let sent_ns = history.requests.at(second as usize).sent_ns;
    let row = history.log.at(log_row(&history, first));
    let mut see_at = |ns: i64| {
        let mut sightings = history.sightings.open();
        let mut of_it = sightings.iter_mut();
        of_it
            .find(|s| (s.partition, s.offset) == (row.partition, row.offset))
            .unwrap()
            .seen_ns = ns;
        drop(sightings);
        is_said(&history, apart)
    };
    assert!(see_at(sent_ns));
    assert!(!see_at(sent_ns + 1));
}
