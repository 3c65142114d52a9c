//! What an absence proves, and what a loss is blamed on: each condition by itself.

use crate::checkers::fixture::*;
use crate::history::{History, Intent, Life, Outcome, Request, Sample, WALL_DRIFT_NS};
use crate::scenario::StrategyKind;

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
    for request in history.requests.iter_mut().filter(vetoes) {
        request.outcome = Outcome::Unknown;
    }
    assert!(is_said(&history, "no attempt was written and rolled back"));
    // One will do
    let first = history.requests.iter_mut().find(vetoes);
    first.unwrap().outcome = Outcome::Rejected;
    assert!(!is_said(&history, "no attempt was written and rolled back"));
    // But not one that was a change like any other, and refused
    let mut history = cdc();
    for request in history.requests.iter_mut().filter(vetoes) {
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
fn what_the_broker_lost_is_blamed_on_its_kill_only_if_it_was_killed() {
    let lost_by = |name: &str, life: Life, exit: i32| {
        let mut history = cdc();
        let mut ghost = history.sightings[100];
        ghost.offset = 10_000;
        history.sightings.insert(101, ghost);
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
    for sighting in history.sightings.iter_mut().step_by(50) {
        sighting.seen_ns += 110 * MS;
    }
    let late = "ms after their append at p99";
    assert!(is_said(&history, late));
    for row in history.log.clone() {
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
