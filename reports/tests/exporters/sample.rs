//! A run as it looks: 12 s of load, Kafka unreachable from 4 s to 8 s, three strategies.

use reports::record::*;
use std::collections::BTreeMap;

const BIN_S: f64 = 0.2;
const RATE: f64 = 490.0;
/// What the naive strategy still gets committed while the broker is away.
const STALLED: f64 = 113.0;

/// The whole record; a pass, with the naive strategy losing as expected.
pub fn record() -> Record {
    Record {
        schema_version: SCHEMA_VERSION,
        harness_version: "0.1.0".to_owned(),
        run: "broker-outage-20261123T221405Z-5f3a9c2e".to_owned(),
        scenario: "broker-outage".to_owned(),
        description: "Kafka is unreachable for 4 s under steady load.".to_owned(),
        seed: 42,
        verdict: Verdict::Pass,
        started_at: "2026-11-23T22:14:05Z".to_owned(),
        took_s: 48.3,
        stack: Stack {
            provider: "local".to_owned(),
            postgres: Server {
                version: "15.14".to_owned(),
                url: "postgres://postgres@127.0.0.1:40121/postgres".to_owned(),
            },
            kafka: Broker {
                version: "4.3.1".to_owned(),
                bootstrap: "127.0.0.1:40215".to_owned(),
            },
            others: Vec::new(),
            toxiproxy: Server {
                version: "2.12.0".to_owned(),
                url: "http://127.0.0.1:40300".to_owned(),
            },
            machine: Machine::default(),
            environment: words(&[
                ("cores", "2"),
                ("replication factor", "1"),
                ("acks", "all"),
                ("fsync", "on"),
                ("synchronous_commit", "on"),
            ]),
        },
        workload: words(&[
            ("rate", "500 changes/s"),
            ("duration", "12 s"),
            ("changes per order", "3"),
            ("payload", "256 bytes"),
            ("connections", "32"),
            ("request timeout", "2 s"),
            ("rolled back", "2%"),
        ]),
        load: None,
        not_tested: Vec::new(),
        strategies: vec![naive(), polling(), cdc()],
        not_run: Vec::new(),
        failure: None,
    }
}

fn words(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// None of anything, all of it known.
fn none_found() -> Counts {
    let none = Some(0);
    Counts {
        offered: 0,
        acknowledged: 0,
        rejected: 0,
        unknown: 0,
        not_sent: 0,
        committed: none,
        observed: none,
        lost: none,
        phantom: none,
        duplicated: none,
        reordered: none,
        overtaken: none,
        corrupted: none,
        unacknowledged: none,
        missing: none,
        late: none,
        undrained: none,
        undecided: none,
        foreign: none,
        split: none,
        stale: None,
        stale_reads: None,
        double_applied: none,
        false_rejection: none,
        negative_propagation: none,
        aborted_records: none,
    }
}

/// A strategy without any trouble; the others differ from it.
pub fn clean(name: &str, kind: &str) -> Strategy {
    Strategy {
        relay: None,
        remarks: Vec::new(),
        name: name.to_owned(),
        broker: "kafka".to_owned(),
        orders_in: "postgres".to_owned(),
        kind: kind.to_owned(),
        verdict: Verdict::Pass,
        reasons: Vec::new(),
        topic: format!("oh.r7k2.{name}"),
        schema: format!("oh_r7k2_{name}"),
        wiring: words(&[
            ("orders->postgres", "direct"),
            ("relay->kafka", "proxied"),
            ("relay->postgres", "direct"),
        ]),
        counts: Counts {
            offered: 6000,
            acknowledged: 5879,
            rejected: 120,
            unknown: 1,
            committed: Some(5880),
            observed: Some(5880),
            unacknowledged: Some(1),
            ..none_found()
        },
        outcomes: Outcomes {
            db_event: Some(5880),
            db_only: Some(0),
            event_only: Some(0),
            neither: Some(120),
        },
        unread: BTreeMap::new(),
        cache: None,
        consumers: Vec::new(),
        expectations: vec![
            expected("lost", "0", 0.0, false),
            expected("phantom", "0", 0.0, false),
            expected("reordered", "0", 0.0, false),
            expected("undrained", "0", 0.0, true),
            expected("corrupted", "0", 0.0, true),
            expected("missing", "0", 0.0, true),
        ],
        latency_ms: LatencySet::default(),
        phases: Vec::new(),
        drain_s: Some(0.003),
        recovery_s: Some(0.62),
        faults: vec![Fault {
            target: "kafka".to_owned(),
            kind: "down".to_owned(),
            settings: None,
            trigger: None,
            fired_s: None,
            fired_on: None,
            failover_s: None,
            injected_s: Some(4.002),
            healed_s: Some(8.011),
            bit: Some(true),
            evidence: "41 of 41 probes refused between 4.0 s and 8.0 s; the relay's sockets to \
                       Kafka fell from 2 to 0; 1,964 changes were committed and none was seen."
                .to_owned(),
        }],
        throughput_per_s: Some(489.9),
        generator: Generator {
            lag_p99_ms: Some(0.41),
            unoffered: 0,
            kept_schedule: true,
            held_back: 0,
        },
        series: Series::default(),
        offences: Vec::new(),
        costs: [
            ("order service CPU s", Some(4.1)),
            ("order service peak MiB", Some(21.0)),
            ("relay CPU s", Some(1.3)),
            ("relay peak MiB", Some(9.2)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into(),
        usage: BTreeMap::new(),
        in_doubt: InDoubt::default(),
        database: DatabaseCosts {
            wal_bytes: cost(1184.0),
            outbox_peak_bytes: cost(41.0),
            dead_tuples_peak: cost(0.061),
            rows_changed: cost(1.0),
            slot_wal_peak_bytes: Cost::default(),
            rows_written: Cost::default(),
            storage_end_bytes: Cost::default(),
            rebuild_ms: None,
            vacuums: None,
            time_to_normal_s: None,
            not_normal_for_s: None,
        },
    }
}

/// Of 5,880 events.
fn cost(per_event: f64) -> Cost {
    Cost {
        total: Some(per_event * 5880.0),
        per_event: Some(per_event),
    }
}

pub fn expected(metric: &str, expected: &str, observed: f64, implicit: bool) -> Expectation {
    Expectation {
        metric: metric.to_owned(),
        expected: expected.to_owned(),
        observed: Some(observed),
        met: Some(true),
        implicit,
        reason: String::new(),
    }
}

fn naive() -> Strategy {
    let mut strategy = clean("naive", "dual-write");
    strategy.wiring = words(&[("orders->kafka", "proxied"), ("orders->postgres", "direct")]);
    strategy.counts = Counts {
        offered: 4496,
        acknowledged: 3941,
        rejected: 90,
        unknown: 465,
        not_sent: 0,
        committed: Some(4404),
        observed: Some(3951),
        lost: Some(453),
        unacknowledged: Some(463),
        negative_propagation: Some(7),
        ..none_found()
    };
    strategy.outcomes = Outcomes {
        db_event: Some(3951),
        db_only: Some(453),
        event_only: Some(0),
        neither: Some(92),
    };
    strategy.expectations = vec![expected("lost", ">= 1", 453.0, false)];
    strategy.drain_s = None;
    strategy.recovery_s = None;
    strategy.throughput_per_s = Some(328.4);
    strategy.faults[0].evidence = "41 of 41 probes refused between 4.0 s and 8.0 s; the order \
                                   service's sockets to Kafka fell from 2 to 0; 453 publishes \
                                   failed."
        .to_owned();
    strategy.costs.insert("relay CPU s".to_owned(), None);
    strategy.costs.insert("relay peak MiB".to_owned(), None);
    strategy.database = DatabaseCosts {
        wal_bytes: cost(612.0),
        ..DatabaseCosts::default()
    };
    strategy.offences = (0..4)
        .map(|n| Offence {
            metric: "lost".to_owned(),
            order_id: Some(format!("0000{n:04x}-77c1-8a31-9d02-51f00c0a6b1{n}")),
            version: Some(2),
            attempt: Some(format!("f1b2{n:04x}-0c11-8b7e-a5d1-7e9900aa310{n}")),
            what: format!(
                "committed at 4.{n}12 s, the publish failed after 1,000 ms, and no event carries \
                 this attempt"
            ),
            sentence: Some(format!(
                "committed at 4.{n}11 s; handed to the producer at 4.{n}11 s; its publish failed at \
                 5.{n}12 s (not persisted) while down kafka was in force (4.002 s to 8.011 s): lost"
            )),
            timeline: steps(4.011 + f64::from(n) / 10.0),
        })
        .collect();
    let quiet = |order| (order, Shape::Tail(0.7, 2.4), Shape::Tail(2.6, 9.1));
    measure(
        &mut strategy,
        [
            (1952, 0, quiet(Shape::Tail(1.9, 7.9))),
            (
                500,
                453,
                (
                    Shape::Between(1000.2, 1016.0),
                    Shape::Tail(0.9, 14.0),
                    Shape::Between(1.9, 1890.0),
                ),
            ),
            (1952, 0, quiet(Shape::Tail(2.0, 8.4))),
        ],
    );
    strategy.series = series(1.9, |t| match t {
        t if t < 4.0 => (RATE, RATE, 0.0, Some((0.8, 2.6))),
        t if t < 8.0 => (0.0, 0.0, STALLED * (t - 4.0), None),
        t if t < 12.0 => (RATE, RATE, 453.0, Some((0.8, 3.0))),
        _ => (0.0, 0.0, 453.0, None),
    });
    strategy
}

/// The way of a change that was committed at this time and whose publish failed.
fn steps(committed_s: f64) -> Vec<Step> {
    [
        (4.002, "fault", "down kafka begins"),
        (committed_s - 0.002, "client", "due: paid"),
        (committed_s - 0.002, "client", "sent"),
        (committed_s - 0.001, "order service", "request received"),
        (committed_s, "order service", "committed as version 2"),
        (committed_s, "order service", "handed to the producer"),
        (
            committed_s + 1.001,
            "order service",
            "delivery failed (not persisted)",
        ),
        (
            committed_s + 1.001,
            "order service",
            "answered with status 503",
        ),
        (committed_s + 1.002, "client", "told nothing (status 503)"),
        (8.011, "fault", "down kafka healed"),
        (13.204, "database", "final read: there as version 2"),
        (13.911, "topic", "final read: no valid event of it"),
    ]
    .into_iter()
    .map(|(at_s, who, what)| Step {
        at_s,
        who: who.to_owned(),
        what: what.to_owned(),
    })
    .collect()
}

fn polling() -> Strategy {
    let mut strategy = clean("polling", "polling");
    strategy
        .expectations
        .push(expected("propagation_p99", "<= 10s", 4080.0, false));
    strategy.counts.duplicated = Some(24);
    strategy.counts.observed = Some(5904);
    let order = Shape::Tail(1.7, 6.1);
    measure(
        &mut strategy,
        [
            (
                1961,
                0,
                (order, Shape::Tail(2.7, 9.2), Shape::Tail(4.6, 13.4)),
            ),
            (
                1958,
                0,
                (
                    order,
                    Shape::Between(320.0, 4120.0),
                    Shape::Between(322.0, 4123.0),
                ),
            ),
            (
                1961,
                0,
                (order, Shape::Tail(3.0, 412.0), Shape::Tail(4.9, 417.0)),
            ),
        ],
    );
    strategy.series = outbox_series(2.7, 9.2, 2400.0);
    strategy.recovery_s = Some(0.84);
    strategy
}

fn cdc() -> Strategy {
    let mut strategy = clean("cdc", "cdc");
    let order = Shape::Tail(1.6, 5.8);
    measure(
        &mut strategy,
        [
            (
                1960,
                0,
                (order, Shape::Tail(0.6, 2.2), Shape::Tail(2.4, 7.6)),
            ),
            (
                1959,
                0,
                (
                    order,
                    Shape::Between(110.0, 4090.0),
                    Shape::Between(112.0, 4093.0),
                ),
            ),
            (
                1961,
                0,
                (order, Shape::Tail(0.7, 148.0), Shape::Tail(2.5, 153.0)),
            ),
        ],
    );
    strategy.series = outbox_series(0.6, 2.2, 6100.0);
    strategy.recovery_s = Some(0.35);
    strategy
}

/// How latencies are spread.
#[derive(Clone, Copy)]
enum Shape {
    /// By median and p99.
    Tail(f64, f64),
    /// Evenly, as they are when all of them wait for the same moment.
    Between(f64, f64),
}

impl Shape {
    fn sample(self, count: u64) -> Vec<f64> {
        let at = |rank: u64| {
            let share = (rank as f64 + 0.5) / count as f64;
            match self {
                Self::Tail(p50, p99) => {
                    let nines = -(1.0 - share).log10();
                    p50 * (p99 / p50).powf((nines - 0.301) / 1.699)
                }
                Self::Between(low, high) => low + (high - low) * share,
            }
        };
        (0..count).map(at).collect()
    }
}

/// Order, propagation and end to end.
type Shapes = (Shape, Shape, Shape);

/// Seen, lost and shapes by phase: fills in the phases and the whole run.
fn measure(strategy: &mut Strategy, figures: [(u64, u64, Shapes); 3]) {
    let names = [
        ("before", 0.0, 4.002),
        ("during down kafka", 4.002, 8.011),
        ("after", 8.011, 12.0),
    ];
    let mut whole = [Vec::new(), Vec::new(), Vec::new()];
    let mut whole_lost = 0;
    for ((name, from_s, until_s), (seen, lost, shapes)) in names.into_iter().zip(figures) {
        let samples = [
            shapes.0.sample(seen + lost),
            shapes.1.sample(seen),
            shapes.2.sample(seen),
        ];
        for (all, some) in whole.iter_mut().zip(&samples) {
            all.extend(some);
        }
        whole_lost += lost;
        strategy.phases.push(Phase {
            name: name.to_owned(),
            from_s,
            until_s,
            spans_s: Vec::new(),
            committed: Some(seen + lost),
            latency_ms: latencies(samples, lost),
            work: None,
        });
    }
    strategy.latency_ms = latencies(whole, whole_lost);
}

fn latencies([order, propagation, end_to_end]: [Vec<f64>; 3], lost: u64) -> LatencySet {
    LatencySet {
        order: latency(order, 0),
        propagation: latency(propagation, 0),
        end_to_end: latency(end_to_end, lost),
    }
}

/// Percentiles; those that fall on what never ended are infinite.
fn latency(mut ended: Vec<f64>, censored: u64) -> Latency {
    ended.sort_by(f64::total_cmp);
    let count = ended.len() as u64 + censored;
    let at = |percentile: f64| {
        let rank = (percentile / 100.0 * count as f64).ceil().max(1.0) as usize;
        let value = ended.get(rank - 1)?;
        Some((value * 100.0).round() / 100.0)
    };
    let curve = (0..80)
        .map(|n| 100.0 * (1.0 - 10f64.powf(-f64::from(n) / 20.0)))
        .filter(|percentile| count as f64 * (1.0 - percentile / 100.0) >= 1.0)
        .filter_map(|percentile| at(percentile).map(|ms| (percentile, ms)))
        .collect();
    Latency {
        p50: at(50.0),
        p90: at(90.0),
        p99: at(99.0),
        p999: at(99.9),
        max: at(100.0),
        count,
        censored,
        curve,
    }
}

/// A relay that waits the outage out and then catches up at so many events a second.
fn outbox_series(p50: f64, p99: f64, catching_up: f64) -> Series {
    let outage_backlog = RATE * 4.0;
    let caught_up = 8.2 + outage_backlog / (catching_up - RATE);
    series(p50, move |t| match t {
        t if t < 4.0 => (RATE, RATE, 2.0, Some((p50, p99))),
        t if t < 8.2 => (RATE, 0.0, RATE * (t - 4.0), None),
        t if t < caught_up => {
            let left = outage_backlog - (t - 8.2) * (catching_up - RATE);
            let waited = 4000.0 * left.max(20.0) / outage_backlog;
            (
                RATE,
                catching_up,
                left.max(0.0),
                Some((waited, waited * 1.04)),
            )
        }
        t if t < 12.0 => (RATE, RATE, 2.0, Some((p50, p99))),
        _ => (0.0, 0.0, 0.0, None),
    })
}

/// 13 s in bins, with some life in it that is the same each time.
fn series(pace: f64, at: impl Fn(f64) -> (f64, f64, f64, Option<(f64, f64)>)) -> Series {
    let mut series = Series {
        bin_s: BIN_S,
        ..Series::default()
    };
    for bin in 0..65 {
        let (acknowledged, published, backlog, propagation) = at((f64::from(bin) + 0.5) * BIN_S);
        let life = 1.0
            + 0.04 * (f64::from(bin) * pace).sin()
            + 0.02 * (f64::from(bin) * (pace + 1.3)).cos();
        series
            .acknowledged_per_s
            .push((acknowledged * life).round());
        series.published_per_s.push((published * life).round());
        series.backlog.push(backlog.round());
        series
            .propagation_p50_ms
            .push(propagation.map(|(p50, _)| p50 * life));
        series
            .propagation_p99_ms
            .push(propagation.map(|(_, p99)| p99 * life.powi(3)));
    }
    series
}

/// The same run with an outbox that lost something: a fail.
pub fn failed() -> Record {
    let mut record = record();
    record.verdict = Verdict::Fail;
    let cdc = &mut record.strategies[2];
    cdc.verdict = Verdict::Fail;
    cdc.reasons = vec!["lost: expected 0, saw 3".to_owned()];
    cdc.counts.lost = Some(3);
    cdc.counts.observed = Some(5877);
    cdc.outcomes.db_event = Some(5877);
    cdc.outcomes.db_only = Some(3);
    cdc.expectations[0].observed = Some(3.0);
    cdc.expectations[0].met = Some(false);
    cdc.expectations[0].reason = "expected 0, saw 3".to_owned();
    cdc.offences = (0..8)
        .map(|n| Offence {
            metric: "lost".to_owned(),
            order_id: Some(format!("0000{n:04x}-77c1-8a31-9d02-51f00c0a6b10")),
            version: Some(1),
            attempt: None,
            what: format!("offence number {n}"),
            sentence: None,
            timeline: Vec::new(),
        })
        .collect();
    record
}

/// The same run with a fault that did not bite: unknown.
pub fn unknown() -> Record {
    let mut record = record();
    record.verdict = Verdict::Unknown;
    let polling = &mut record.strategies[1];
    polling.verdict = Verdict::Unknown;
    polling.reasons = vec![
        "down kafka did not bite: the relay kept 2 sockets to Kafka throughout".to_owned(),
        "only 61 changes were committed before the fault, and 100 are needed".to_owned(),
    ];
    polling.faults[0].bit = Some(false);
    polling.faults[0].evidence = "2 sockets to Kafka before and during the fault".to_owned();
    polling.expectations[0].met = None;
    polling.expectations[0].observed = None;
    polling.expectations[0].reason = "the fault did not bite".to_owned();
    record
}

/// A run whose stack failed when the first strategy had been judged.
pub fn broken_off() -> Record {
    let mut record = record();
    let why = "the stack failed: kafka-server was to run until it is told to end: it was ended by \
               signal 9\n  --- last lines of kafka.log\n  started";
    record.verdict = Verdict::Unknown;
    record.strategies.truncate(1);
    record.not_run = ["polling", "cdc"]
        .map(|name| NotRun {
            strategy: name.to_owned(),
            why: why.to_owned(),
        })
        .into();
    record.failure = Some(why.to_owned());
    record
}
