//! Costs as expectations: peaks, and figures for each event.

use super::lessons::crash;
use crate::checkers::Verdict;
use crate::checkers::fixture::*;
use crate::history::{History, Life, Sample};
use crate::measure::{
    BLOCKED_CONSUMERS_MS, BLOCKED_ORDERS_MS, DEAD_TUPLES, ORDERS_WRITTEN, OUTBOX_BYTES,
    ROWS_CHANGED, SLOT_WAL_BYTES, WAL_BYTES, age_at_most_ms, in_doubt,
};
use crate::scenario::{Comparison, CostKind, Metric, StrategyKind, Victim};
use proptest::prelude::*;

/// In [`crash`], the fault is in force between these times.
const FAULT: (i64, i64) = (FROM + 400 * MS, FROM + 500 * MS);

fn sample(history: &mut History, series: &str, at_ns: i64, value: f64) {
    history.samples.push(Sample {
        series: series.to_owned(),
        at_ns,
        value,
    });
}

/// A relay is killed, and this is expected of a peak.
fn relay_killed_with(kind: CostKind, comparison: Comparison, value: f64) -> History {
    let mut history = crash(StrategyKind::Cdc {}, Victim::RELAY);
    let peak = Metric::Cost(kind);
    expecting(&mut history, vec![expect(peak, comparison, value)]);
    history
}

/// The same of the WAL that its slot holds back.
fn relay_killed(comparison: Comparison, bytes: f64) -> History {
    relay_killed_with(CostKind::SlotWalPeak, comparison, bytes)
}

/// Peaks, each with the series that it is of.
const PEAKS: [(CostKind, &str); 3] = [
    (CostKind::SlotWalPeak, SLOT_WAL_BYTES),
    (CostKind::BlockedOrders, BLOCKED_ORDERS_MS),
    (CostKind::BlockedConsumers, BLOCKED_CONSUMERS_MS),
];

/// Whether it is met, and why not.
fn judged_cost(history: &History) -> (Option<bool>, String) {
    let judgement = judged(history);
    let checked = judgement.expectations.first();
    checked.map(|c| (c.met, c.reason.clone())).unwrap()
}

/// The same, told without any cleverness; of an age only what came under the fault counts for a lesson.
fn model(samples: &[(i64, f64)], is_age: bool, comparison: Comparison, bound: f64) -> Option<bool> {
    let under_fault = |from: i64, at_ns: i64, value: f64| match is_age && from == FAULT.0 {
        true => value.min((at_ns - from) as f64 / 1e6),
        false => value,
    };
    let largest = |from: i64, until: i64| {
        let mut found: Option<f64> = None;
        for (at_ns, value) in samples {
            let value = under_fault(from, *at_ns, *value);
            if *at_ns >= from && *at_ns <= until && found.is_none_or(|other| value > other) {
                found = Some(value);
            }
        }
        found
    };
    if comparison != Comparison::AtLeast {
        return Some(largest(i64::MIN, i64::MAX)? <= bound);
    }
    let during = largest(FAULT.0, FAULT.1)?;
    if during < bound {
        return Some(false);
    }
    let before = largest(FROM, FAULT.0 - 1)?;
    (before < bound).then_some(true)
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn given_any_samples_then_a_peak_is_judged_as_the_model_says(
        (kind, series) in prop::sample::select(&PEAKS[..]),
        samples in prop::collection::vec((-200i64..1_200, 0u32..6), 0..12),
        bound in 1u32..6,
        from_below: bool,
    ) {
        let comparison = if from_below { Comparison::AtLeast } else { Comparison::AtMost };
        let mut history = relay_killed_with(kind, comparison, f64::from(bound));
        let samples: Vec<(i64, f64)> = samples
            .into_iter()
            .map(|(at_ms, value)| (FROM + at_ms * MS, f64::from(value)))
            .collect();
        for (at_ns, value) in &samples {
            sample(&mut history, series, *at_ns, *value);
            // What is another figure's counts for none of it.
            sample(&mut history, OUTBOX_BYTES, *at_ns, 1e9);
        }
        let is_age = kind.info().is_age;
        let mut expected = model(&samples, is_age, comparison, f64::from(bound));
        // What may have been longer than was seen keeps no bound
        let most_ms = age_at_most_ms(&history, kind).filter(|_| !from_below);
        if expected == Some(true) && most_ms.is_some_and(|most_ms| most_ms > f64::from(bound)) {
            expected = None;
        }
        prop_assert_eq!(judged_cost(&history).0, expected);
        // And the record has the longest of all of the time that others were blocked
        let longest = samples.iter().map(|(_, value)| *value).reduce(f64::max);
        let of = |of: CostKind| longest.filter(|_| of == kind);
        let told = in_doubt(&history);
        prop_assert_eq!(told.blocked_orders_ms, of(CostKind::BlockedOrders));
        prop_assert_eq!(told.blocked_consumers_ms, of(CostKind::BlockedConsumers));
    }
}

#[test]
fn given_a_peak_that_grew_under_the_fault_then_it_is_the_lesson_and_before_it_is_none() {
    let mut history = relay_killed(Comparison::AtLeast, 1e6);
    sample(&mut history, SLOT_WAL_BYTES, FROM + 100 * MS, 3e5);
    sample(&mut history, SLOT_WAL_BYTES, FROM + 450 * MS, 2e6);
    assert_eq!(judged_cost(&history), (Some(true), String::new()));
    sample(&mut history, SLOT_WAL_BYTES, FROM + 200 * MS, 1e6);
    let (met, reason) = judged_cost(&history);
    assert_eq!(met, None);
    assert!(
        reason.contains("976.6 KiB before the first")
            || reason.contains("977 KiB before the first"),
        "{reason}"
    );
}

#[test]
fn given_a_time_in_which_nobody_looked_then_only_too_much_is_certain() {
    for (bound, expected) in [(4e6, None), (1e6, Some(false))] {
        let mut history = relay_killed(Comparison::AtMost, bound);
        sample(&mut history, SLOT_WAL_BYTES, FROM, 2e6);
        sample(&mut history, SLOT_WAL_BYTES, FROM + 7 * S, 0.0);
        let (met, reason) = judged_cost(&history);
        assert_eq!(met, expected, "{reason}");
        assert_eq!(
            reason.contains("for 7.0 s nothing was sampled"),
            met.is_none(),
            "{reason}"
        );
    }
}

#[test]
fn given_an_age_that_may_have_grown_unseen_then_a_bound_is_kept_only_where_that_keeps_it_too() {
    // Given looks of which one came 3 s after the one before
    for (bound_ms, expected) in [(8e3, Some(true)), (2e3, None), (900.0, Some(false))] {
        let kind = CostKind::BlockedOrders;
        let mut history = relay_killed_with(kind, Comparison::AtMost, bound_ms);
        for (at_ms, age_ms) in [(0, 0.0), (1_000, 950.0), (4_000, 0.0), (4_100, 0.0)] {
            sample(&mut history, BLOCKED_ORDERS_MS, FROM + at_ms * MS, age_ms);
        }
        let (met, reason) = judged_cost(&history);
        assert_eq!(met, expected, "{reason}");
        assert_eq!(reason.contains("it may be more: up to"), met.is_none());
    }
}

#[test]
fn given_orders_that_were_blocked_before_a_fault_then_that_time_is_none_of_its_doing() {
    let mut history = relay_killed_with(CostKind::BlockedOrders, Comparison::AtLeast, 300.0);
    sample(&mut history, BLOCKED_ORDERS_MS, FROM + 100 * MS, 0.0);
    sample(&mut history, BLOCKED_ORDERS_MS, FROM + 450 * MS, 350.0);
    let (met, reason) = judged_cost(&history);
    assert_eq!(met, Some(false), "{reason}");
}

#[test]
fn given_a_successor_that_used_more_than_the_first_then_its_start_tells_that_there_were_two() {
    let mut history = clean(40, StrategyKind::Cdc {});
    for (at, relay) in [(0, 0.5), (1, 0.75), (2, 1.0)] {
        sample(&mut history, "cpu_s.relay", FROM + at * MS, relay);
    }
    let (started_ns, committed) = (FROM + MS + 1, history.truth.len() as f64);
    process(&mut history, "relay", started_ns, Life::Started, 0);
    // 0.25 s, and in its next life 1 s.
    let figure = 1.25e6 / committed;
    let cost = Metric::Cost(CostKind::CpuPerEvent);
    for (bound, expected) in [(figure + 1.0, None), (figure - 1.0, Some(false))] {
        expecting(&mut history, vec![expect(cost, Comparison::AtMost, bound)]);
        let (met, reason) = judged_cost(&history);
        assert_eq!(met, expected, "{reason}");
    }
}

#[test]
fn given_nothing_sampled_then_no_cost_is_met_nor_missed() {
    for row in &crate::scenario::COSTS {
        let mut history = clean(40, StrategyKind::Cdc {});
        history.samples.clear();
        let cost = Metric::Cost(row.kind);
        expecting(&mut history, vec![expect(cost, Comparison::AtMost, 1e12)]);
        let (met, reason) = judged_cost(&history);
        assert_eq!(met, None, "{}", row.name);
        assert_eq!(
            reason,
            format!("this run cannot tell: `{}` was not sampled", row.name)
        );
        assert_eq!(judged(&history).verdict, Verdict::Unknown);
    }
}

#[test]
fn given_figures_of_the_whole_run_then_they_are_shared_by_what_was_committed() {
    let mut history = clean(40, StrategyKind::Cdc {});
    let committed = history.truth.len() as f64;
    for (at, wal, service, relay) in [
        (0, 5e3, 1.0, 0.5),
        (1, 9e3, 1.25, 0.75),
        (2, 13e3, 2.0, 1.5),
    ] {
        sample(&mut history, WAL_BYTES, FROM + at * MS, wal);
        sample(&mut history, "cpu_s.order-service", FROM + at * MS, service);
        sample(&mut history, "cpu_s.relay", FROM + at * MS, relay);
        sample(&mut history, "cpu_s.harness", FROM + at * MS, 100.0 * wal);
        sample(
            &mut history,
            "cpu_s.consumer-payments",
            FROM + at * MS,
            100.0 * wal,
        );
    }
    for (kind, figure) in [
        (CostKind::WalPerEvent, 8e3 / committed),
        (CostKind::CpuPerEvent, 2e6 / committed),
    ] {
        for (bound, met) in [(figure, Some(true)), (figure - 1.0, Some(false))] {
            let cost = Metric::Cost(kind);
            expecting(&mut history, vec![expect(cost, Comparison::AtMost, bound)]);
            assert_eq!(judged_cost(&history).0, met, "{kind:?} <= {bound}");
            assert_eq!(judged(&history).expectations[0].observed, Some(figure));
        }
    }
}

#[test]
fn given_a_relay_that_was_started_again_then_what_it_used_is_a_lower_bound() {
    let mut history = clean(40, StrategyKind::Cdc {});
    let committed = history.truth.len() as f64;
    for (at, relay) in [(0, 0.5), (1, 0.75), (2, 0.25), (3, 0.5)] {
        sample(&mut history, "cpu_s.relay", FROM + at * MS, relay);
    }
    // 0.25 s, and in its next life 0.5 s.
    let figure = 0.75e6 / committed;
    for (bound, expected) in [(figure + 1.0, None), (figure - 1.0, Some(false))] {
        let cost = Metric::Cost(CostKind::CpuPerEvent);
        expecting(&mut history, vec![expect(cost, Comparison::AtMost, bound)]);
        let (met, reason) = judged_cost(&history);
        assert_eq!(met, expected, "{reason}");
        assert_eq!(
            reason.contains("relay was started again"),
            met.is_none(),
            "{reason}"
        );
    }
}

#[test]
fn given_statistics_that_were_lost_then_dead_tuples_may_have_been_more() {
    let mut history = clean(40, StrategyKind::Cdc {});
    for (at, rows) in [(0, 10.0), (1, 500.0), (2, 20.0)] {
        sample(&mut history, DEAD_TUPLES, FROM + at * MS, 7.0);
        sample(&mut history, ROWS_CHANGED, FROM + at * MS, rows);
    }
    let cost = Metric::Cost(CostKind::DeadTuplesPeak);
    expecting(&mut history, vec![expect(cost, Comparison::AtMost, 1e3)]);
    let (met, reason) = judged_cost(&history);
    assert_eq!(met, None);
    assert!(reason.contains("statistics went back"), "{reason}");
}

#[test]
fn given_partitions_whose_counters_are_not_taken_when_those_of_orders_go_back_then_dead_tuples_may_have_been_more()
 {
    for (last, expected) in [(900.0, Some(true)), (20.0, None)] {
        let mut history = clean(40, StrategyKind::Cdc {});
        for (at, rows) in [(0, 10.0), (1, 500.0), (2, last)] {
            sample(&mut history, DEAD_TUPLES, FROM + at * MS, 7.0);
            sample(&mut history, ORDERS_WRITTEN, FROM + at * MS, rows);
        }
        let cost = Metric::Cost(CostKind::DeadTuplesPeak);
        expecting(&mut history, vec![expect(cost, Comparison::AtMost, 1e3)]);
        let (met, reason) = judged_cost(&history);
        assert_eq!(met, expected, "{reason}");
    }
}

#[test]
fn given_an_outbox_that_stays_large_when_the_load_ends_within_the_bound_then_it_is_open_and_else_missed()
 {
    // Given one that was not back when it was last looked at, some seconds after the heal
    let mut history = relay_killed_with(CostKind::TimeToNormal, Comparison::AtMost, 0.0);
    let (from_ns, healed_ns) = FAULT;
    history.meta.load_until_ns = healed_ns + 4_000 * MS;
    for (look, bytes) in [(0, 8.0), (1, 7.0), (2, 7.0), (3, 7.0)] {
        sample(&mut history, OUTBOX_BYTES, FROM + look * 90 * MS, bytes);
    }
    sample(&mut history, OUTBOX_BYTES, from_ns + MS, 90.0);
    for second in 1..=4 {
        sample(
            &mut history,
            OUTBOX_BYTES,
            healed_ns + second * 1_000 * MS,
            90.0,
        );
    }
    for (bound, expected, words) in [
        (3.0, Some(false), "it was not back within"),
        (10.0, None, "let the load go on for longer"),
    ] {
        let cost = Metric::Cost(CostKind::TimeToNormal);
        expecting(&mut history, vec![expect(cost, Comparison::AtMost, bound)]);
        let (met, reason) = judged_cost(&history);
        assert_eq!(met, expected, "{reason}");
        assert!(reason.contains(words), "{reason}");
    }
}
