//! Figures of histories whose times are known.
#![allow(clippy::unwrap_used)]

mod changes;
mod endings;
mod failover;
mod normality;
mod phases;
mod work;

use super::{
    DEAD_TUPLES, OUTBOX_BYTES, REBUILD_MS, ROWS_CHANGED, ROWS_WRITTEN, SLOT_WAL_BYTES,
    STORAGE_BYTES, VACUUMS, WAL_BYTES, database_costs, drain_s, generator, hgrm, latencies_from,
    planned_changes, series, throughput_per_s, whole,
};
use crate::checkers::fixture::*;
use crate::history::{History, Outcome, Sample, WALL_DRIFT_NS};
use crate::scenario::StrategyKind;
use crate::view::Join;
use reports::record::{Cost, DatabaseCosts};
use std::time::Duration;

fn cdc(orders: u32) -> History {
    clean(orders, StrategyKind::Cdc {})
}

#[test]
fn without_the_warm_up_only_what_was_intended_after_it_counts() {
    // Given a run whose first changes took long
    let mut history = cdc(200);
    let warm_ns = FROM + 300 * MS;
    for request in history.requests.open().iter_mut() {
        if request.intended_ns < warm_ns {
            request.ended_ns += 50 * MS;
        }
    }
    let join = Join::new(&history);
    let due_later = |r: &crate::history::Request| r.intended_ns >= warm_ns;
    let later = history.requests.iter().filter(due_later);
    let acknowledged = later.filter(|r| r.outcome == Outcome::Committed).count();
    // When the latencies are asked for from there on
    let warm = latencies_from(&join, warm_ns);
    // Then they are of the later ones, all of them, and of nothing else
    assert!(acknowledged > 0);
    assert_eq!(warm.set().order.count, acknowledged as u64);
    assert!(warm.set().order.max.unwrap() < 50.0);
    assert!(whole(&join).set().order.max.unwrap() > 50.0);
}

#[test]
fn latencies_count_from_the_intended_start() {
    // Given answers after 1 ms and sights after 3 ms, one of them unknown, one never sent, and
    // one event never seen
    let mut history = cdc(40);
    history.requests.open()[0].sent_ns += 20 * MS;
    history.requests.open()[1].outcome = Outcome::Unknown;
    offer(
        &mut history,
        3,
        crate::history::Intent::Commit,
        Outcome::NotSent,
    );
    let (partition, offset) = (history.log.at(10).partition, history.log.at(10).offset);
    history.log.open().remove(10);
    history
        .sightings
        .open()
        .retain(|s| (s.partition, s.offset) != (partition, offset));
    let whole = whole(&Join::new(&history));
    let set = whole.set();
    // Then a late send shortens nothing
    let near = |ms: Option<f64>, expected: f64| (ms.unwrap() - expected).abs() < expected * 0.002;
    assert!(near(set.order.p50, 1.0));
    assert!(near(set.propagation.p50, 2.0));
    assert!(near(set.end_to_end.p50, 3.0));
    // And the unknown, the unsent and the unseen are infinite; the rejected are apart
    assert_eq!((set.order.count, set.order.censored), (121, 2));
    assert_eq!((set.propagation.count, set.propagation.censored), (119, 1));
    assert_eq!((set.end_to_end.count, set.end_to_end.censored), (120, 1));
    assert_eq!(
        (set.end_to_end.p99, set.end_to_end.max.is_none()),
        (set.end_to_end.p90, true)
    );
    let curve = &set.end_to_end.curve;
    assert!(
        curve.len() > 20
            && curve
                .windows(2)
                .all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1)
    );
}

#[test]
fn an_event_seen_before_its_answer_is_counted_as_such() {
    let mut history = cdc(40);
    history.requests.open()[5].ended_ns += 10 * MS;
    let judgement = judged(&history);
    assert_eq!(judgement.counts.negative_propagation, Some(1));
    // One seen as it was answered was not seen before it
    let mut history = cdc(40);
    history.requests.open()[5].ended_ns += 2 * MS;
    assert_eq!(judged(&history).counts.negative_propagation, Some(0));
}

#[test]
fn series_hold_every_change_once() {
    let history = cdc(400);
    let series = series(&Join::new(&history));
    let total = |per_s: &[f64]| per_s.iter().sum::<f64>() * series.bin_s;
    assert_eq!(series.bin_s, 0.25);
    assert_eq!(total(&series.acknowledged_per_s), 1_200.0);
    assert_eq!(total(&series.published_per_s), 1_200.0);
    assert_eq!(series.backlog.last(), Some(&0.0));
    let bins = series.backlog.len();
    assert_eq!(bins, 13);
    assert_eq!(series.propagation_p50_ms.len(), bins);
    assert_eq!(series.propagation_p50_ms[0], Some(2.0));
    assert_eq!(series.propagation_p99_ms[bins - 1], Some(2.0));
}

#[test]
fn what_is_lost_stays_in_the_backlog_and_long_runs_get_wider_bins() {
    let mut history = cdc(40);
    history.log.open().clear();
    history.sightings.open().clear();
    history.meta.load_until_ns = FROM + 300 * S;
    let series = series(&Join::new(&history));
    assert_eq!(series.backlog.last(), Some(&120.0));
    assert_eq!(series.bin_s, 1.0);
    assert!(series.backlog.len() <= 400);
    assert!(series.propagation_p99_ms.iter().all(Option::is_none));
}

#[test]
fn an_empty_run_has_figures_of_nothing() {
    let history = cdc(0);
    assert_eq!(series(&Join::new(&history)).backlog, [0.0]);
    assert_eq!(throughput_per_s(&history), None);
    assert_eq!(drain_s(&Join::new(&history)), None);
    assert_eq!(generator(&history).lag_p99_ms, None);
    assert!(!generator(&history).kept_schedule);
}

#[test]
fn a_generator_on_time_kept_its_schedule() {
    let history = cdc(200);
    let kept = generator(&history);
    assert!(kept.kept_schedule);
    assert!(kept.lag_p99_ms.unwrap() < 0.01);
    let mut workload = history.meta.scenario.workload.clone();
    (workload.rate, workload.duration) = (100.0, Duration::from_secs(10));
    assert_eq!(planned_changes(&workload), Some(1_000.0));
    workload.ramp = Duration::from_secs(4);
    assert_eq!(planned_changes(&workload), Some(800.0));
    // One that ramps up all the time, and one that has not come far when it ends
    workload.ramp = Duration::from_secs(10);
    assert_eq!(planned_changes(&workload), Some(500.0));
    workload.ramp = Duration::from_secs(20);
    assert_eq!(planned_changes(&workload), Some(250.0));
    workload.duration = Duration::ZERO;
    assert_eq!(planned_changes(&workload), None);
    workload.ramp = Duration::ZERO;
    assert_eq!(planned_changes(&workload), None);
    workload.duration = Duration::from_secs(1);
    workload.rate = 0.1;
    assert_eq!(planned_changes(&workload), Some(0.1));
    for rate in [f64::INFINITY, f64::NAN, 0.0] {
        workload.rate = rate;
        assert_eq!(planned_changes(&workload), None);
    }
}

#[test]
fn hgrm_is_what_the_tools_read() {
    let mut history = cdc(40);
    history.requests.open()[0].outcome = Outcome::Unknown;
    let files = hgrm(&Join::new(&history), true);
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["order", "propagation", "end_to_end"]);
    let lines: Vec<&str> = files[2].1.lines().collect();
    assert_eq!(
        lines[0],
        "       Value     Percentile TotalCount 1/(1-Percentile)"
    );
    assert_eq!(lines[1], "");
    // Value, percentile, count, 1/(1-percentile); the last, at 100%, has no fourth
    let rows: Vec<Vec<f64>> = lines[2..]
        .iter()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            line.split_whitespace()
                .map(|n| n.parse().unwrap())
                .collect()
        })
        .collect();
    assert!(
        rows.iter()
            .rev()
            .skip(1)
            .all(|row| row.len() == 4 || row[1] == 1.0)
    );
    assert_eq!(rows.last().unwrap()[1..], [1.0, 120.0]);
    assert!(lines.iter().any(|line| line.starts_with("#[Mean    = ")));
    // An unknown answer keeps the order latency from reaching 100%
    let order = &files[0].1;
    assert!(order.contains("# never ended: 1"), "{order}");
    assert!(!order.lines().any(|line| line.contains(" 1.000000000000 ")));
}

/// Samples of one series, one after the other.
fn add_samples(history: &mut History, series: &str, values: &[f64]) {
    let samples = values.iter().enumerate().map(|(at, value)| Sample {
        series: series.to_owned(),
        at_ns: at as i64,
        value: *value,
    });
    history.samples.extend(samples);
}

#[test]
fn what_the_database_paid_is_shared_by_what_was_committed() {
    let mut history = cdc(40);
    add_samples(&mut history, WAL_BYTES, &[5000.0, 6000.0, 9000.0]);
    add_samples(&mut history, OUTBOX_BYTES, &[100.0, 800.0, 300.0]);
    add_samples(&mut history, DEAD_TUPLES, &[0.0, 10.0, 2.0]);
    add_samples(&mut history, ROWS_CHANGED, &[3.0, 20.0, 43.0]);
    add_samples(&mut history, SLOT_WAL_BYTES, &[0.0, 4000.0, 0.0]);
    add_samples(&mut history, ROWS_WRITTEN, &[1.0, 61.0, 121.0]);
    // What is there at the end, and not what there was at most
    add_samples(&mut history, STORAGE_BYTES, &[100.0, 900.0, 700.0]);
    add_samples(&mut history, REBUILD_MS, &[3.5]);
    add_samples(&mut history, VACUUMS, &[1.0, 1.0, 3.0]);
    let cost = |total: f64| Cost {
        total: Some(total),
        per_event: Some(total / 40.0),
    };
    assert_eq!(
        database_costs(&history, 40),
        DatabaseCosts {
            wal_bytes: cost(4000.0),
            outbox_peak_bytes: cost(800.0),
            dead_tuples_peak: cost(10.0),
            rows_changed: cost(40.0),
            slot_wal_peak_bytes: cost(4000.0),
            rows_written: cost(120.0),
            storage_end_bytes: cost(700.0),
            rebuild_ms: Some(3.5),
            vacuums: Some(2.0),
            time_to_normal_s: None,
            not_normal_for_s: None,
        }
    );
    // What was last seen long before the last look is not what was there at the end
    history.samples.push(Sample {
        series: WALL_DRIFT_NS.to_owned(),
        at_ns: 5 * S,
        value: 0.0,
    });
    assert_eq!(
        database_costs(&history, 40).storage_end_bytes,
        Cost::default()
    );
    // Nothing was committed: nobody to share it
    let nobody = database_costs(&history, 0);
    assert_eq!(nobody.wal_bytes.total, Some(4000.0));
    assert_eq!(nobody.wal_bytes.per_event, None);
}

#[test]
fn what_was_not_measured_or_lost_in_a_crash_costs_null_and_not_nothing() {
    let mut history = cdc(40);
    history.samples.clear();
    assert_eq!(database_costs(&history, 40), DatabaseCosts::default());
    add_samples(&mut history, WAL_BYTES, &[5000.0]);
    // The server's statistics begin again after it was killed.
    add_samples(&mut history, ROWS_CHANGED, &[0.0, 20.0, 4.0, 30.0]);
    let costs = database_costs(&history, 40);
    assert_eq!(costs.wal_bytes, Cost::default());
    assert_eq!(costs.rows_changed, Cost::default());
    // At the very end as well; but one that stands still has lost nothing
    let rows = |values: &[f64]| {
        let mut history = cdc(40);
        add_samples(&mut history, ROWS_CHANGED, values);
        database_costs(&history, 40).rows_changed.total
    };
    assert_eq!(rows(&[0.0, 20.0, 30.0, 4.0]), None);
    assert_eq!(rows(&[0.0, 20.0, 20.0]), Some(20.0));
}

#[test]
fn a_generator_that_was_late_or_left_out_more_than_one_in_a_hundred_kept_no_schedule() {
    let kept = |lag_ms: i64, unoffered: u64| {
        let mut history = cdc(50);
        let mut requests = history.requests.open();
        requests.iter_mut().for_each(|r| r.lag_ns = lag_ms * MS);
        drop(requests);
        history.meta.unoffered = unoffered;
        generator(&history).kept_schedule
    };
    // 200 changes are planned
    assert!(kept(99, 2));
    assert!(!kept(99, 3));
    assert!(!kept(101, 2));
}

#[test]
fn what_was_held_back_is_counted() {
    let mut history = cdc(20);
    let mut requests = history.requests.open();
    requests.iter_mut().take(7).for_each(|r| r.held_back = true);
    drop(requests);
    assert_eq!(generator(&history).held_back, 7);
}

#[test]
fn throughput_is_what_was_acknowledged_by_the_time_of_the_load() {
    let mut history = cdc(20);
    history.meta.load_until_ns = history.meta.load_from_ns + 4 * S;
    assert_eq!(throughput_per_s(&history), Some(15.0));
}
