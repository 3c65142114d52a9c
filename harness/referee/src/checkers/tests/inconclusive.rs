//! One test a rule of `unknown`: it fails when the rule is removed.

mod faults;
mod observer;

use crate::checkers::fixture::*;
use crate::checkers::{Judgement, Verdict};
use crate::history::{FaultRecord, History, Intent, Outcome, WALL_DRIFT_NS};
use crate::scenario::{
    BrokerChoice, Comparison, FaultKind, LatencyKind, Link, Metric, NatsSettings, Percentile,
    StrategyKind, Target, Victim,
};

fn cdc() -> History {
    clean(120, StrategyKind::Cdc {})
}

/// Kafka down from 0.4 s to 0.5 s, where the clean run does not mind.
fn outage() -> History {
    let mut history = cdc();
    add_fault(
        &mut history,
        Target::KAFKA,
        FaultKind::Down,
        400 * MS,
        500 * MS,
    );
    history
}

/// Unknown, for this reason and no other.
fn assert_inconclusive(judgement: &Judgement, reason: &str) {
    assert_eq!(
        judgement.verdict,
        Verdict::Unknown,
        "{:?}",
        judgement.reasons
    );
    assert_eq!(judgement.reasons.len(), 1, "{:?}", judgement.reasons);
    assert!(
        judgement.reasons[0].contains(reason),
        "{:?}",
        judgement.reasons
    );
}

#[test]
fn the_runs_that_these_tests_spoil_pass() {
    for history in [cdc(), outage()] {
        let judgement = judged(&history);
        assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    }
}

#[test]
fn nothing_expected() {
    let mut history = cdc();
    expecting(&mut history, Vec::new());
    assert_inconclusive(&judged(&history), "nothing is expected");
}

#[test]
fn nothing_committed_whatever_the_minimum() {
    let mut history = clean(0, StrategyKind::Cdc {});
    history.meta.scenario.workload.min_committed_per_phase = 0;
    expecting(
        &mut history,
        vec![expect(Metric::Lost, Comparison::Equal, 0.0)],
    );
    for order in 0..40 {
        veto(&mut history, order);
    }
    finish(&mut history);
    assert_inconclusive(&judged(&history), "no change was committed");
}

#[test]
fn too_little_committed_in_one_phase() {
    // Given 360 changes committed, 36 or so of them during the fault
    let mut history = outage();
    history.meta.scenario.workload.min_committed_per_phase = 30;
    assert_eq!(judged(&history).verdict, Verdict::Pass);
    history.meta.scenario.workload.min_committed_per_phase = 100;
    assert_inconclusive(&judged(&history), "phase `during down kafka`");
}

#[test]
fn a_phase_of_no_planned_length_does_not_exist() {
    let mut history = cdc();
    add_fault(&mut history, Target::KAFKA, FaultKind::Down, 0, 100 * MS);
    let names: Vec<String> = judged(&history)
        .phases
        .into_iter()
        .map(|p| p.name)
        .collect();
    assert_eq!(names, ["during down kafka", "after"]);
}

#[test]
fn a_generator_that_was_late() {
    let mut history = cdc();
    let late = |history: &mut History, ms: i64| {
        let mut requests = history.requests.open();
        let some = requests.iter_mut().step_by(50);
        some.for_each(|r| r.lag_ns = ms * MS);
    };
    late(&mut history, 99);
    assert_eq!(judged(&history).verdict, Verdict::Pass);
    late(&mut history, 101);
    assert_inconclusive(&judged(&history), "the load generator was 101 ms late");
}

#[test]
fn changes_that_could_not_be_offered() {
    let mut history = cdc();
    history.meta.unoffered = 4;
    assert_eq!(judged(&history).verdict, Verdict::Pass);
    history.meta.unoffered = 5;
    assert_inconclusive(
        &judged(&history),
        "5 of 480 planned changes could not be offered",
    );
}

#[test]
fn given_more_than_one_in_a_hundred_held_back_in_a_phase_when_judged_then_it_says_so_and_what_to_change()
 {
    // Given a run with a fault, and all that was held back sent after it
    let mut history = outage();
    let held = |history: &mut History, count: usize| {
        let after = |r: &&mut crate::history::Request| r.sent_ns >= FROM + 500 * MS;
        let mut requests = history.requests.open();
        let late = requests.iter_mut().filter(after).take(count);
        late.for_each(|r| r.held_back = true);
    };
    let sent = history
        .requests
        .iter()
        .filter(|r| r.sent_ns >= FROM + 500 * MS)
        .count();
    let reasons = |history: &History| {
        let judgement = judged(history);
        let about = |r: &&String| r.contains("held back");
        judgement
            .reasons
            .iter()
            .filter(about)
            .cloned()
            .collect::<Vec<_>>()
    };
    held(&mut history, sent / 100);
    assert_eq!(reasons(&history), Vec::<String>::new());
    held(&mut history, sent / 100 + 1);
    let [reason] = &reasons(&history)[..] else {
        panic!("{:?}", reasons(&history));
    };
    let expected = format!("after: {} of {sent} changes were held back", sent / 100 + 1);
    assert!(reason.starts_with(&expected), "{reason}");
    assert!(reason.contains("raise `connections`"), "{reason}");
    assert_ne!(judged(&history).verdict, Verdict::Pass);
}

#[test]
fn a_generator_that_stopped_half_way() {
    let mut history = cdc();
    history.meta.scenario.workload.rate *= 2.0;
    assert_inconclusive(&judged(&history), "the load generator came to 480 of 960");
}

#[test]
fn a_change_offered_twice_is_one_change_of_the_plan() {
    // Given a plan of 960 changes of which 480 were offered, each twice
    let mut history = cdc();
    let repeats: Vec<_> = history
        .requests
        .iter()
        .map(|mut r| {
            r.outcome = Outcome::NotSent;
            r
        })
        .collect();
    history.requests.extend(repeats);
    history.meta.scenario.workload.rate *= 2.0;
    assert_inconclusive(&judged(&history), "the load generator came to 480 of 960");
}

#[test]
fn samples_of_other_things_are_no_clock() {
    let mut history = cdc();
    history.samples.push(crate::history::Sample {
        series: "rss_bytes.relay".to_owned(),
        at_ns: FROM,
        value: 1e12,
    });
    assert_eq!(judged(&history).verdict, Verdict::Pass);
}

#[test]
fn a_step_of_the_fence_that_failed_or_was_left_out() {
    for step in 0..8 {
        let mut history = cdc();
        history.fences[step].ok = false;
        history.fences[step].detail = "a backend would not end".to_owned();
        let judgement = judged(&history);
        assert_eq!(judgement.verdict, Verdict::Unknown);
        assert!(
            judgement
                .reasons
                .iter()
                .any(|r| r.contains("failed: a backend would not end"))
        );
        history.fences.remove(step);
        let judgement = judged(&history);
        assert_eq!(judgement.verdict, Verdict::Unknown);
        assert!(
            judgement
                .reasons
                .iter()
                .any(|r| r.contains("was not taken"))
        );
    }
}

#[test]
fn without_a_fence_an_absence_is_not_called_lost() {
    let mut history = cdc();
    history.log.open().pop();
    let last = history.log.len() as i64;
    history
        .sightings
        .open()
        .retain(|s| s.partition == 0 || s.offset < last / 2);
    assert_eq!(judged(&history).verdict, Verdict::Fail);
    history.fences[6].ok = false;
    assert_eq!(judged(&history).verdict, Verdict::Unknown);
}

#[test]
fn a_partition_that_was_not_read_to_its_end() {
    let mut history = cdc();
    history.partitions[1].read_offset -= 1;
    assert_eq!(judged(&history).verdict, Verdict::Unknown);
    assert!(judged(&history).reasons[0].contains("partition 1 was read up to"));
    history.partitions.remove(1);
    assert_eq!(judged(&history).verdict, Verdict::Unknown);
    assert!(judged(&history).reasons[0].contains("partition 1 was not read again"));
}

#[test]
fn given_a_broker_without_partitions_when_its_one_is_read_then_no_other_is_missed() {
    let mut history = cdc();
    history.partitions.truncate(1);
    let unread = |history: &History| {
        let judged = judged(history);
        let mut reasons = judged.reasons.into_iter();
        reasons.any(|reason| reason.contains("was not read again"))
    };
    assert!(unread(&history));
    history.meta.scenario.strategies[0].broker = BrokerChoice::Nats(NatsSettings::default());
    assert!(!unread(&history));
}

#[test]
fn a_kafka_transaction_left_open() {
    let mut history = cdc();
    history.partitions[1].stable_offset -= 1;
    assert_eq!(judged(&history).verdict, Verdict::Unknown);
    assert!(judged(&history).reasons[0].contains("partition 1 is stable up to"));
}

#[test]
fn no_phantoms_where_nothing_was_rolled_back() {
    let mut history = cdc();
    for request in history.requests.open().iter_mut() {
        if request.intent == Intent::Veto {
            request.intent = Intent::Commit;
        }
    }
    assert_inconclusive(&judged(&history), "no attempt was written and rolled back");
    // But a phantom is a phantom
    append(&mut history, 0, 3, 4, FROM + 500 * MS);
    finish(&mut history);
    assert_eq!(judged(&history).verdict, Verdict::Fail);
}

#[test]
fn no_reordering_where_nothing_was_in_flight_together() {
    let mut history = cdc();
    for sighting in history.sightings.open().iter_mut() {
        sighting.seen_ns -= 2 * MS;
    }
    assert_inconclusive(&judged(&history), "ever in flight together");
}

#[test]
fn a_wall_clock_that_jumped() {
    let mut history = cdc();
    history.meta.wall_drift_ns = -500 * MS;
    assert_eq!(judged(&history).verdict, Verdict::Pass);
    history.meta.wall_drift_ns -= 1;
    assert_inconclusive(&judged(&history), "the wall clock moved");
}

#[test]
fn a_wall_clock_that_jumped_and_jumped_back() {
    for drift_ns in [2e9, -2e9, f64::NAN] {
        let mut history = cdc();
        let mut sampled = |at_ns: i64, value: f64| {
            history.samples.push(crate::history::Sample {
                series: WALL_DRIFT_NS.to_owned(),
                at_ns,
                value,
            });
        };
        sampled(FROM, 1e6);
        sampled(FROM + 100 * MS, drift_ns);
        sampled(FROM + 200 * MS, -1e6);
        assert_inconclusive(&judged(&history), "the wall clock moved");
        history.samples[1].value = 4e8;
        assert_eq!(judged(&history).verdict, Verdict::Pass);
    }
}

#[test]
fn what_a_jumped_clock_decides_is_not_told() {
    // Given a clock that jumped, and expectations that append times decide
    let mut history = outage();
    history.meta.wall_drift_ns = S;
    let lesson = expect(Metric::Duplicated, Comparison::AtLeast, 1.0);
    let late = expect(Metric::Late, Comparison::Equal, 0.0);
    let lost = expect(Metric::Lost, Comparison::Equal, 0.0);
    expecting(&mut history, vec![lesson, late, lost]);
    let met: Vec<_> = judged(&history)
        .expectations
        .iter()
        .map(|c| c.met)
        .collect();
    assert_eq!(met, [None, None, Some(true)]);
}

#[test]
fn a_run_that_was_interrupted() {
    let mut history = cdc();
    history.meta.interrupted = true;
    assert_inconclusive(&judged(&history), "was interrupted while this strategy");
}

#[test]
fn a_history_that_was_changed() {
    let altered = ["log.parquet".to_owned()];
    assert_inconclusive(
        &judge_with(&cdc(), &altered, Vec::new()),
        "log.parquet differ",
    );
}

#[test]
fn a_plan_is_kept_if_all_but_one_in_twenty_and_ten_of_its_changes_were_offered() {
    let planning = |changes: f64| {
        let mut history = cdc();
        history.meta.scenario.workload.rate *= changes / 480.0;
        judged(&history)
    };
    assert_eq!(planning(515.0).verdict, Verdict::Pass);
    assert_inconclusive(&planning(517.0), "the load generator came to 480 of 517");
}
