//! What a step of the fence left unread: whatever is still said of the run is what would have been said
//! had it been read, and nothing that was not read makes a run fail.

use super::plan::plan;
use super::planter::run;
use crate::checkers::fixture::*;
use crate::checkers::{Judgement, Verdict};
use crate::history::{History, LogRow, NONE, Outcome, Rows, Sighting};
use crate::scenario::{
    Comparison, CostKind, LatencyKind, Metric, Percentile, Strategy as Scheme, StrategyKind,
};
use proptest::prelude::*;

/// How a step of the fence went wrong.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// It failed, and says so.
    Failed,
    /// It was never taken.
    NotTaken,
    /// It failed after it had been taken for good.
    FailedLater,
}

/// What one step that did not hold leaves.
#[derive(Debug, Clone, Copy)]
struct StepFailure {
    step: u32,
    way: Way,
    /// How much of what the step was for is missing: of 256.
    share: usize,
    /// Of a topic: that it was read in part only, and the step says nothing of it.
    silent: bool,
}

fn spoil() -> impl Strategy<Value = StepFailure> {
    let way = prop_oneof![
        Just(Way::Failed),
        Just(Way::NotTaken),
        Just(Way::FailedLater)
    ];
    (1..=8u32, way, 0..=256usize, any::<bool>()).prop_map(|(step, way, share, silent)| {
        StepFailure {
            step,
            way,
            share,
            silent,
        }
    })
}

impl StepFailure {
    /// The history that a run leaves in which this step did not hold.
    fn of(self, history: &History) -> History {
        let mut spoiled = history.clone();
        let left = |whole: usize| whole - whole * self.share / 256;
        match self.step {
            1 => {
                let mut requests = spoiled.requests.open();
                let kept = left(requests.len());
                for request in requests.iter_mut().skip(kept) {
                    (request.outcome, request.told_version) = (Outcome::Unknown, 0);
                }
                if self.silent {
                    requests.truncate(kept);
                }
            }
            4 => spoiled.truth.open().clear(),
            6 => spoiled.pending.clear(),
            // What could not be delivered, or was appended after it had been read.
            2 | 3 | 5 | 7 => {
                keep_records(&mut spoiled, left(history.log.len()));
                for end in &mut spoiled.partitions {
                    let length = length(&spoiled.log, end.partition);
                    (end.end_offset, end.stable_offset, end.read_offset) = (length, length, length);
                }
            }
            _ => {
                keep_records(&mut spoiled, left(history.log.len()));
                if self.silent && spoiled.log.len() < history.log.len() {
                    for end in &mut spoiled.partitions {
                        let whole = length(&history.log, end.partition);
                        (end.end_offset, end.stable_offset) = (whole, whole);
                        end.read_offset = length(&spoiled.log, end.partition);
                    }
                    return spoiled;
                }
                spoiled.partitions.clear();
            }
        }
        let index = self.step as usize - 1;
        let failed = crate::history::FenceRecord {
            ok: false,
            detail: "for this reason".to_owned(),
            ..spoiled.fences[index].clone()
        };
        match self.way {
            Way::Failed => spoiled.fences[index] = failed,
            Way::FailedLater => spoiled.fences.push(failed),
            Way::NotTaken => {
                spoiled.fences.remove(index);
            }
        }
        spoiled
    }
}

/// Where a partition ends.
fn length(log: &Rows<LogRow>, partition: i32) -> i64 {
    let rows = log.iter().filter(|r| r.partition == partition);
    rows.map(|r| r.offset + 1).max().unwrap_or(0)
}

/// Only so many records, the first of each partition, and what was seen of them.
fn keep_records(history: &mut History, kept: usize) {
    let mut order: Vec<usize> = (0..history.log.len()).collect();
    order.sort_by_key(|row| history.log.at(*row).offset);
    let gone: Vec<(i32, i64)> = order[kept..]
        .iter()
        .map(|row| history.log.at(*row))
        .map(|row| (row.partition, row.offset))
        .collect();
    let is_gone = |partition: i32, offset: i64| gone.contains(&(partition, offset));
    history
        .log
        .open()
        .retain(|r| !is_gone(r.partition, r.offset));
    let seen = |s: &Sighting| !is_gone(s.partition, s.offset);
    history.sightings.open().retain(seen);
}

/// Returns every metric of a strategy that has no cache.
fn without_a_cache() -> Vec<Metric> {
    let mut all = Metric::all();
    all.retain(|metric| !metric.is_of_cache());
    all
}

/// Of every metric: none or a bound that is easily kept, one that is easily missed, and a lesson.
fn of_everything() -> Vec<crate::scenario::Expectation> {
    let mut all = Vec::new();
    for metric in without_a_cache() {
        let few = if COUNTS.contains(&metric) { 1.0 } else { 0.5 };
        all.push(expect(metric, Comparison::AtLeast, few));
        all.push(expect(metric, Comparison::AtMost, 1e9));
        let zero = if COUNTS.contains(&metric) {
            Comparison::Equal
        } else {
            Comparison::AtMost
        };
        all.push(expect(metric, zero, 0.0));
    }
    all
}

fn known_counts(judgement: &Judgement) -> Vec<(Metric, u64)> {
    let known = judgement.findings.iter().filter(|f| f.unread.is_none());
    known.map(|f| (f.metric, f.count)).collect()
}

/// Whatever is said after a step did not hold is what is said where it did.
fn says_no_more_than_it_read(whole: &History, spoil: StepFailure) -> Result<(), TestCaseError> {
    let spoiled = spoil.of(whole);
    let (before, after) = (judged(whole), judged(&spoiled));
    prop_assert_ne!(after.verdict, Verdict::Pass);
    if before.verdict != Verdict::Fail {
        prop_assert_ne!(after.verdict, Verdict::Fail, "{:?}", after.reasons);
    }
    for (then, now) in before.expectations.iter().zip(&after.expectations) {
        if let (Some(then_met), Some(now_met)) = (then.met, now.met) {
            prop_assert_eq!(then_met, now_met, "{:?} {:?}", then, now);
        }
    }
    for (metric, count) in known_counts(&after) {
        prop_assert!(
            known_counts(&before).contains(&(metric, count)),
            "{}",
            metric.name()
        );
    }
    for finding in after.findings.iter().filter(|f| f.unread.is_some()) {
        prop_assert!(
            finding.count <= count(&before, finding.metric),
            "{finding:?}"
        );
    }
    for (metric, reason) in &after.unread {
        prop_assert!(after.reasons.contains(reason), "{reason}");
        for checked in after
            .expectations
            .iter()
            .filter(|c| c.expectation.metric == *metric)
        {
            prop_assert_ne!(checked.met, Some(true), "{:?}", checked);
            prop_assert!(
                checked.met.is_some() || checked.observed.is_none(),
                "{:?}",
                checked
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(300))]
    #[test]
    fn given_any_run_when_a_step_does_not_hold_then_nothing_is_said_of_what_was_not_read(
        plan in plan(),
        spoil in spoil(),
    ) {
        let (mut whole, _) = run(&plan);
        expecting(&mut whole, of_everything());
        says_no_more_than_it_read(&whole, spoil)?;
    }

    #[test]
    fn given_a_run_that_passes_when_a_step_does_not_hold_then_it_is_unknown(spoil in spoil()) {
        for kind in [naive(), StrategyKind::Cdc {}] {
            let whole = clean(60, kind);
            prop_assert_eq!(judged(&whole).verdict, Verdict::Pass);
            let spoiled = judged(&spoil.of(&whole));
            if spoil.share > 8 || !(spoil.silent && spoil.step == 8) {
                prop_assert_eq!(spoiled.verdict, Verdict::Unknown, "{:?}", spoiled.reasons);
            }
        }
    }
}

/// The metrics that one failed step leaves unknown in a clean run.
fn unknown_without(step: usize) -> Vec<Metric> {
    let mut history = clean(60, StrategyKind::Cdc {});
    history.fences[step - 1].ok = false;
    judged(&history)
        .unread
        .into_iter()
        .map(|(m, _)| m)
        .collect()
}

#[test]
fn given_each_step_when_it_fails_then_what_rests_on_it_is_unknown_and_the_rest_is_not() {
    let order = |m: &Metric| matches!(m, Metric::Latency(LatencyKind::Order, _));
    let arrivals = |m: &Metric| {
        let latency = matches!(
            m,
            Metric::Latency(LatencyKind::Propagation | LatencyKind::EndToEnd, _)
        );
        latency
            || matches!(
                m,
                Metric::Drain
                    | Metric::Recovery
                    | Metric::Late
                    | Metric::Cost(CostKind::TimeToNormal)
            )
    };
    let peak = |m: &Metric| matches!(m, Metric::Cost(kind) if kind.info().is_peak);
    let in_the_database = [
        Metric::Missing,
        Metric::DoubleApplied,
        Metric::FalseRejection,
        Metric::Unacknowledged,
        Metric::Cost(CostKind::CpuPerEvent),
        Metric::Cost(CostKind::WalPerEvent),
    ];
    let all = without_a_cache();
    let all_but = |left_out: &dyn Fn(&Metric) -> bool| -> Vec<Metric> {
        all.iter().copied().filter(|m| !left_out(m)).collect()
    };
    let database = |m: &Metric| in_the_database.contains(m);
    assert_eq!(unknown_without(1), all_but(&peak));
    assert_eq!(unknown_without(4), all_but(&|m| order(m) || peak(m)));
    for step in [2, 3, 5, 7, 8] {
        assert_eq!(
            unknown_without(step),
            all_but(&|m| order(m) || database(m) || peak(m)),
            "{step}"
        );
    }
    let source = all_but(&|m| order(m) || database(m) || arrivals(m) || peak(m));
    assert_eq!(unknown_without(6), source);
}

#[test]
fn given_a_database_that_could_not_be_read_when_judged_then_nothing_is_missing_or_lost() {
    let mut history = clean(60, StrategyKind::Cdc {});
    history.truth.open().clear();
    history.fences[3].ok = false;
    history.fences[3].detail = "permission denied for table orders".to_owned();

    let judgement = judged(&history);

    assert_eq!(
        judgement.verdict,
        Verdict::Unknown,
        "{:?}",
        judgement.reasons
    );
    assert_eq!(judgement.reasons.len(), 1, "{:?}", judgement.reasons);
    assert!(judgement.reasons[0].contains("permission denied for table orders"));
    let counts = judgement.counts;
    for figure in [
        counts.committed,
        counts.missing,
        counts.lost,
        counts.phantom,
    ] {
        assert_eq!(figure, None);
    }
    assert_eq!(counts.observed, Some(180));
    assert_eq!(judgement.outcomes.db_event, None);
    assert_eq!(judgement.latency.end_to_end.count, 0);
    assert!(judgement.latency.order.p50.is_some());
    assert!(
        judgement
            .phases
            .iter()
            .all(|phase| phase.committed.is_none())
    );
    assert!(!judgement.has_offences());
    for checked in &judgement.expectations {
        assert_eq!((checked.observed, checked.met), (None, None), "{checked:?}");
        assert!(checked.reason.contains("permission denied"), "{checked:?}");
    }
}

#[test]
fn given_a_topic_that_was_not_read_when_an_event_of_nobody_was_then_that_stands() {
    let mut history = clean(60, StrategyKind::Cdc {});
    let nobodys = (NONE, NONE, 0);
    record(
        &mut history,
        0,
        nobodys,
        crate::history::Body::Foreign,
        FROM + S,
    );
    finish(&mut history);
    history.fences[7].ok = false;

    let judgement = judged(&history);

    assert_eq!(judgement.verdict, Verdict::Fail);
    assert!(
        judgement.reasons[0].contains("saw 1 at least"),
        "{:?}",
        judgement.reasons
    );
    assert_eq!(judgement.counts.foreign, Some(1));
    assert_eq!(judgement.counts.duplicated, None);
    // And as many as are allowed are not the end of it
    let Scheme { expectations, .. } = &mut history.meta.scenario.strategies[0];
    *expectations = vec![
        expect(Metric::Foreign, Comparison::AtMost, 1.0),
        expect(Metric::Foreign, Comparison::AtLeast, 1.0),
        expect(
            Metric::Latency(LatencyKind::EndToEnd, Percentile::P99),
            Comparison::AtMost,
            1e9,
        ),
    ];
    let met = judged(&history).expectations;
    assert!(met.iter().all(|checked| checked.met.is_none()), "{met:?}");
}

#[test]
fn given_arrivals_that_were_not_read_when_judged_then_no_time_that_rests_on_them_is_told() {
    let mut history = clean(60, StrategyKind::Cdc {});
    let kafka = crate::scenario::Target::KAFKA;
    let down = crate::scenario::FaultKind::Down;
    add_fault(&mut history, kafka, down, 100 * MS, 200 * MS);
    // Of each set of latencies: how many of each kind
    let told = |judgement: &Judgement| {
        let counts = |set: &reports::record::LatencySet| {
            [&set.order, &set.propagation, &set.end_to_end].map(|of| of.count > 0)
        };
        let phases = judgement.phases.iter().map(|p| counts(&p.latency_ms));
        let [order, propagation, end_to_end] = phases.fold([false; 3], |all, one| {
            [all[0] | one[0], all[1] | one[1], all[2] | one[2]]
        });
        assert_eq!(counts(&judgement.latency), [order, propagation, end_to_end]);
        let (drain, recovery) = (judgement.drain_s, judgement.recovery_s);
        let times = [propagation, end_to_end, drain.is_some(), recovery.is_some()];
        assert!(order);
        times
    };
    assert_eq!(told(&judged(&history)), [true; 4]);
    for step in [2, 3, 5, 7, 8] {
        let mut unread = history.clone();
        unread.fences[step - 1].ok = false;
        assert_eq!(told(&judged(&unread)), [false; 4], "{step}");
    }
}

#[test]
fn given_one_offence_then_there_are_offences_and_without_one_there_are_none() {
    let mut history = clean(60, StrategyKind::Cdc {});
    assert!(!judged(&history).has_offences());
    let lost = attempt(&history, 7, 2);
    unpublish(&mut history, lost);
    assert!(judged(&history).has_offences());
}

#[test]
fn given_several_steps_that_failed_then_the_reason_of_each_metric_is_the_first_that_it_needs() {
    let mut history = clean(60, StrategyKind::Cdc {});
    for (step, why) in [(4, "no database"), (7, "no end"), (8, "no topic")] {
        history.fences[step - 1].ok = false;
        history.fences[step - 1].detail = why.to_owned();
    }
    let reading = crate::checkers::reading::Reading::of(&history);
    let why = |metric| reading.of_metric(metric).reason().unwrap().to_owned();
    assert!(why(Metric::Lost).ends_with("no database"));
    assert!(why(Metric::Foreign).ends_with("no database"));
    history.fences[3].ok = true;
    let reading = crate::checkers::reading::Reading::of(&history);
    let why = |metric| reading.of_metric(metric).reason().unwrap().to_owned();
    assert!(why(Metric::Lost).ends_with("no end"));
}

#[test]
fn given_a_topic_that_was_not_read_to_its_end_then_that_is_said_once_whatever_else_failed() {
    let mut history = clean(60, StrategyKind::Cdc {});
    history.partitions[1].read_offset -= 1;
    let reasons = |history: &History| -> Vec<String> {
        let reading = crate::checkers::reading::Reading::of(history);
        reading.reasons().map(str::to_owned).collect()
    };
    let left = "partition 1 was read up to offset";
    assert!(reasons(&history)[0].starts_with(left));
    // Beside another step
    history.fences[0].ok = false;
    let of_both = reasons(&history);
    assert_eq!(of_both.len(), 2, "{of_both:?}");
    assert!(of_both[1].starts_with(left));
    // But where the reading itself failed, that is the reason
    history.fences[0].ok = true;
    history.fences[7].ok = false;
    let of_it = reasons(&history);
    assert_eq!(of_it.len(), 1, "{of_it:?}");
    assert!(of_it[0].starts_with("step 8"));
}
