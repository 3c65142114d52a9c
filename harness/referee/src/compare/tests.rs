//! Sets of runs made by hand, and what must be said of them.

mod alike;
mod conduct;
mod counts;
mod failing;
mod gate;
mod simulated;

use super::*;
use reports::compare::{CompareRow, Finding};
use reports::record::{
    Broker, Cost, Counts, DatabaseCosts, Expectation, Generator, InDoubt, Latency, LatencySet,
    Machine, Outcomes, Record, Series, Server, Stack, Strategy, Verdict,
};
use std::collections::BTreeMap;

fn latency(p50: f64, p99: f64) -> Latency {
    Latency {
        p50: Some(p50),
        p99: Some(p99),
        count: 6_000,
        ..Latency::default()
    }
}

/// A run of a strategy, clean, with round figures.
fn strategy(name: &str) -> Strategy {
    let none = Some(0);
    Strategy {
        name: name.to_owned(),
        kind: "polling".to_owned(),
        broker: "kafka".to_owned(),
        orders_in: "postgres".to_owned(),
        relay: None,
        verdict: Verdict::Pass,
        reasons: Vec::new(),
        remarks: Vec::new(),
        topic: String::new(),
        schema: String::new(),
        wiring: BTreeMap::new(),
        counts: Counts {
            committed: Some(6_000),
            lost: none,
            phantom: none,
            duplicated: none,
            reordered: none,
            overtaken: none,
            corrupted: none,
            missing: none,
            undrained: none,
            foreign: none,
            split: none,
            double_applied: none,
            false_rejection: none,
            unacknowledged: none,
            late: none,
            undecided: none,
            ..Counts::default()
        },
        outcomes: Outcomes::default(),
        unread: BTreeMap::new(),
        cache: None,
        consumers: Vec::new(),
        expectations: Vec::new(),
        latency_ms: LatencySet {
            order: latency(1.4, 22.0),
            propagation: latency(4.0, 9.7),
            end_to_end: latency(5.4, 26.0),
        },
        phases: Vec::new(),
        drain_s: Some(0.006),
        recovery_s: None,
        faults: Vec::new(),
        throughput_per_s: Some(490.0),
        generator: Generator {
            kept_schedule: true,
            ..Generator::default()
        },
        series: Series::default(),
        offences: Vec::new(),
        database: DatabaseCosts {
            wal_bytes: Cost {
                total: Some(7e6),
                per_event: Some(1_150.0),
            },
            ..DatabaseCosts::default()
        },
        usage: BTreeMap::new(),
        in_doubt: InDoubt::default(),
        costs: [
            ("order-service cpu, s", 1.08),
            ("order-service peak memory, MiB", 12.7),
            ("relay cpu, s", 0.83),
            ("relay peak memory, MiB", 11.3),
        ]
        .map(|(name, value)| (name.to_owned(), Some(value)))
        .into(),
    }
}

/// A run, the so many minutes into the day.
fn record(minute: usize, strategies: Vec<Strategy>) -> Record {
    Record {
        schema_version: reports::record::SCHEMA_VERSION,
        harness_version: "0.1.0".to_owned(),
        run: format!("steady-{minute}"),
        scenario: "steady".to_owned(),
        description: String::new(),
        seed: 42,
        verdict: Verdict::Pass,
        started_at: format!("2026-11-29T{:02}:{:02}:00Z", minute / 60, minute % 60),
        took_s: 15.0,
        stack: Stack {
            provider: "local".to_owned(),
            postgres: Server {
                version: "15.18".to_owned(),
                url: String::new(),
            },
            kafka: Broker {
                version: "4.3.1".to_owned(),
                bootstrap: String::new(),
            },
            others: Vec::new(),
            toxiproxy: Server {
                version: "2.12.0".to_owned(),
                url: String::new(),
            },
            machine: Machine::default(),
            environment: [("cores", "2"), ("memory_mib", "24105")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        },
        workload: [("rate".to_owned(), "500 changes/s".to_owned())].into(),
        load: None,
        not_tested: Vec::new(),
        strategies,
        not_run: Vec::new(),
        failure: None,
    }
}

/// Base and new in turns, `pairs` of each: run `n` of each side after what `change` does to it.
fn in_turns(pairs: usize, change: impl Fn(&str, usize, &mut Strategy)) -> [RunSet; 2] {
    ["base", "new"].map(|name| {
        let records = (0..pairs).map(|n| {
            let mut strategy = strategy("cdc");
            change(name, n, &mut strategy);
            record(2 * n + usize::from(name == "new"), vec![strategy])
        });
        RunSet {
            name: name.to_owned(),
            from: format!("runs/{name}"),
            records: records.collect(),
        }
    })
}

/// The same, as other runs have come to it.
fn again(mut sets: [RunSet; 2]) -> [RunSet; 2] {
    for record in sets.iter_mut().flat_map(|set| &mut set.records) {
        record.run.push_str("-again");
    }
    sets
}

/// Swings a little from run to run, by one part in a hundred, the same on both sides.
fn swing(n: usize) -> f64 {
    1.0 + 0.01 * [0.3, -0.7, 0.9, -0.2, 0.5, -0.9, 0.1][n % 7]
}

/// Another propagation, on one side, by a factor a run.
fn slower(side: &'static str, by: impl Fn(usize) -> f64) -> impl Fn(&str, usize, &mut Strategy) {
    move |name, n, strategy| {
        let by = if name == side { by(n) } else { 1.0 };
        let p50 = &mut strategy.latency_ms.propagation.p50;
        *p50 = p50.map(|ms| {
            ms * by
                * swing(n)
                * if name == "new" {
                    1.0 + 0.001 * n as f64
                } else {
                    1.0
                }
        });
    }
}

fn terms() -> Terms {
    Terms {
        max_regression: None,
        metrics: chosen(&[]).unwrap(),
        allow_unlike: false,
    }
}

fn gated() -> Terms {
    Terms {
        max_regression: Some(0.1),
        ..terms()
    }
}

fn compared([base, new]: &[RunSet; 2], terms: &Terms) -> Compare {
    compare_sets([base, new], None, terms).unwrap()
}

fn row<'a>(compare: &'a Compare, metric: &str) -> &'a CompareRow {
    let mut rows = compare.subjects[0].rows.iter();
    rows.find(|row| row.metric == metric).unwrap()
}

fn found(compare: &Compare, finding: Finding) -> Vec<&str> {
    let rows = compare.subjects.iter().flat_map(|subject| &subject.rows);
    rows.filter(|row| row.finding == finding)
        .map(|row| row.metric.as_str())
        .collect()
}
