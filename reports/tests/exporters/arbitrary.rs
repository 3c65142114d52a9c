//! Records as nobody would make them. Generators are boxed: nested as they are, they would not fit
//! on the stack of a test's thread.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use reports::record::*;
use std::collections::BTreeMap;

fn words() -> BoxedStrategy<String> {
    prop_oneof![
        Just(String::new()),
        "[a-z_]{1,12}",
        "\\PC{0,30}",
        "[\\x00-\\x1f<>&\"'|`*{} a]{0,12}",
        "[a-z]{40,90}",
    ]
    .boxed()
}

/// Any figure that is a number.
fn figure() -> BoxedStrategy<f64> {
    prop_oneof![
        Just(0.0),
        (0u32..100_000).prop_map(|n| f64::from(n) / 7.0),
        (-1000i32..1000).prop_map(f64::from),
        Just(1e-300),
        Just(1e15),
        Just(1e300),
    ]
    .boxed()
}

fn count() -> BoxedStrategy<u64> {
    prop_oneof![Just(0), 0u64..10_000, Just(u64::MAX)].boxed()
}

fn verdict() -> BoxedStrategy<Verdict> {
    prop_oneof![
        Just(Verdict::Pass),
        Just(Verdict::Fail),
        Just(Verdict::Unknown)
    ]
    .boxed()
}

fn latency() -> BoxedStrategy<Latency> {
    (
        [(); 5].map(|()| option::of(figure())),
        count(),
        count(),
        vec((figure(), figure()), 0..8),
    )
        .prop_map(
            |([p50, p90, p99, p999, max], count, censored, curve)| Latency {
                p50,
                p90,
                p99,
                p999,
                max,
                count,
                censored,
                curve,
            },
        )
        .boxed()
}

fn latencies() -> BoxedStrategy<LatencySet> {
    (latency(), latency(), latency())
        .prop_map(|(order, propagation, end_to_end)| LatencySet {
            order,
            propagation,
            end_to_end,
        })
        .boxed()
}

/// Some figures are not known.
fn known(figure: u64) -> Option<u64> {
    (!figure.is_multiple_of(5)).then_some(figure)
}

fn counts() -> BoxedStrategy<Counts> {
    vec(count(), 26)
        .prop_map(|n| Counts {
            offered: n[0],
            acknowledged: n[1],
            rejected: n[2],
            unknown: n[3],
            not_sent: n[4],
            committed: known(n[5]),
            observed: known(n[6]),
            lost: known(n[7]),
            phantom: known(n[8]),
            duplicated: known(n[9]),
            reordered: known(n[10]),
            corrupted: known(n[11]),
            unacknowledged: known(n[12]),
            missing: known(n[13]),
            late: known(n[14]),
            undrained: known(n[15]),
            undecided: known(n[16]),
            foreign: known(n[17]),
            split: known(n[18]),
            double_applied: known(n[19]),
            false_rejection: known(n[20]),
            negative_propagation: known(n[21]),
            aborted_records: known(n[22]),
            overtaken: known(n[23]),
            stale: known(n[24]),
            stale_reads: known(n[25]),
        })
        .boxed()
}

/// A cache with figures that follow from others.
fn cache(stale: u64, figure: Option<f64>) -> Cache {
    Cache {
        mode: "write-through".to_owned(),
        fill: "any".to_owned(),
        fill_hold_ms: 0.0,
        held_at_the_end: Some(stale),
        longest_staleness_ms: figure,
        reads: Reads {
            due: stale,
            answered: stale / 2,
            from_cache: stale / 3,
            ..Reads::default()
        },
    }
}

fn expectation() -> BoxedStrategy<Expectation> {
    (
        prop_oneof![
            Just("lost".to_owned()),
            Just("propagation_p99".to_owned()),
            words()
        ],
        words(),
        option::of(figure()),
        option::of(any::<bool>()),
        any::<bool>(),
        words(),
    )
        .prop_map(
            |(metric, expected, observed, met, implicit, reason)| Expectation {
                metric,
                expected,
                observed,
                met,
                implicit,
                reason,
            },
        )
        .boxed()
}

fn phase() -> BoxedStrategy<Phase> {
    let spans = vec((figure(), figure()), 0..3);
    (words(), figure(), figure(), spans, count(), latencies())
        .prop_map(
            |(name, from_s, until_s, spans_s, committed, latency_ms)| Phase {
                name,
                from_s,
                until_s,
                spans_s,
                committed: known(committed),
                latency_ms,
                work: None,
            },
        )
        .boxed()
}

fn fault() -> BoxedStrategy<Fault> {
    (
        words(),
        prop_oneof![Just("kill".to_owned()), words()],
        option::of(words()),
        option::of(figure()),
        option::of(words()),
        option::of(figure()),
        option::of(figure()),
        option::of(any::<bool>()),
        words(),
    )
        .prop_map(
            |(target, kind, trigger, fired_s, fired_on, injected_s, healed_s, bit, evidence)| {
                Fault {
                    target,
                    settings: trigger.clone().map(|of| [(kind.clone(), of)].into()),
                    kind,
                    trigger,
                    fired_s,
                    fired_on,
                    injected_s,
                    healed_s,
                    failover_s: fired_s.filter(|_| bit == Some(true)),
                    bit,
                    evidence,
                }
            },
        )
        .boxed()
}

fn series() -> BoxedStrategy<Series> {
    (
        figure(),
        vec(figure(), 0..12),
        vec(figure(), 0..12),
        vec(figure(), 0..12),
        vec(option::of(figure()), 0..12),
        vec(option::of(figure()), 0..12),
    )
        .prop_map(
            |(bin_s, acknowledged_per_s, published_per_s, backlog, p50, p99)| Series {
                bin_s,
                acknowledged_per_s,
                published_per_s,
                backlog,
                propagation_p50_ms: p50,
                propagation_p99_ms: p99,
            },
        )
        .boxed()
}

fn step() -> BoxedStrategy<Step> {
    (figure(), words(), words())
        .prop_map(|(at_s, who, what)| Step { at_s, who, what })
        .boxed()
}

fn offence() -> BoxedStrategy<Offence> {
    (
        words(),
        option::of(words()),
        option::of(any::<u32>()),
        option::of(words()),
        words(),
        option::of(words()),
        vec(step(), 0..4),
    )
        .prop_map(
            |(metric, order_id, version, attempt, what, sentence, timeline)| Offence {
                metric,
                order_id,
                version,
                attempt,
                what,
                sentence,
                timeline,
            },
        )
        .boxed()
}

fn cost() -> BoxedStrategy<Cost> {
    (option::of(figure()), option::of(figure()))
        .prop_map(|(total, per_event)| Cost { total, per_event })
        .boxed()
}

fn database() -> BoxedStrategy<DatabaseCosts> {
    let of_events = (cost(), cost(), option::of(figure()));
    let of_house = (
        option::of(figure()),
        option::of(figure()),
        option::of(figure()),
    );
    (cost(), cost(), cost(), cost(), cost(), of_events, of_house)
        .prop_map(|costs| DatabaseCosts {
            wal_bytes: costs.0,
            outbox_peak_bytes: costs.1,
            dead_tuples_peak: costs.2,
            rows_changed: costs.3,
            slot_wal_peak_bytes: costs.4,
            rows_written: costs.5.0,
            storage_end_bytes: costs.5.1,
            rebuild_ms: costs.5.2,
            vacuums: costs.6.0,
            time_to_normal_s: costs.6.1,
            not_normal_for_s: costs.6.2,
        })
        .boxed()
}

fn in_doubt() -> BoxedStrategy<InDoubt> {
    (option::of(figure()), option::of(figure()))
        .prop_map(|(blocked_orders_ms, blocked_consumers_ms)| InDoubt {
            blocked_orders_ms,
            blocked_consumers_ms,
        })
        .boxed()
}

fn consumer() -> impl Strategy<Value = reports::record::Consumer> {
    let told = (words(), words(), words(), words());
    let counts = (count(), count(), count(), count(), count(), count());
    (told, counts).prop_map(|(told, counts)| reports::record::Consumer {
        name: told.0,
        effect: told.1,
        idempotency: told.2,
        commit: told.3,
        effects: known(counts.0),
        unapplied: known(counts.1),
        applied_twice: known(counts.2),
        applied_unseen: known(counts.3),
        applied_out_of_order: known(counts.4),
        copies: known(counts.5),
    })
}

fn strategy() -> BoxedStrategy<reports::record::Strategy> {
    let told = (
        words(),
        words(),
        verdict(),
        vec(words(), 0..3),
        words(),
        words(),
        btree_map(words(), words(), 0..3),
    );
    let judged = (
        counts(),
        (count(), count(), count(), count()),
        btree_map(words(), words(), 0..2),
        (vec(expectation(), 0..4), vec(consumer(), 0..3)),
        latencies(),
        vec(phase(), 0..4),
        (option::of(figure()), option::of(figure())),
    );
    let shown = (
        vec(fault(), 0..4),
        option::of(figure()),
        (option::of(figure()), count(), any::<bool>()),
        series(),
        vec(offence(), 0..4),
        btree_map(words(), option::of(figure()), 0..3),
        (database(), in_doubt()),
    );
    (told, judged, shown)
        .prop_map(|(told, judged, shown)| {
            let (name, kind, verdict, reasons, topic, schema, wiring) = told;
            let (counts, outcomes, unread, expectations, latency_ms, phases, endings) = judged;
            let (drain_s, recovery_s) = endings;
            let (expectations, consumers) = expectations;
            let (faults, throughput_per_s, generator, series, offences, costs, sampled) = shown;
            let (database, in_doubt) = sampled;
            reports::record::Strategy {
                relay: None,
                remarks: Vec::new(),
                broker: "kafka".to_owned(),
                orders_in: "postgres".to_owned(),
                name,
                kind,
                verdict,
                reasons,
                topic,
                schema,
                wiring,
                counts,
                outcomes: Outcomes {
                    db_event: known(outcomes.0),
                    db_only: known(outcomes.1),
                    event_only: known(outcomes.2),
                    neither: known(outcomes.3),
                },
                unread,
                cache: counts.stale.map(|stale| cache(stale, throughput_per_s)),
                consumers,
                expectations,
                latency_ms,
                phases,
                drain_s,
                recovery_s,
                faults,
                throughput_per_s,
                generator: Generator {
                    lag_p99_ms: generator.0,
                    unoffered: generator.1,
                    kept_schedule: generator.2,
                    held_back: generator.1 / 2,
                },
                series,
                offences,
                database,
                in_doubt,
                costs,
                usage: BTreeMap::new(),
            }
        })
        .boxed()
}

/// Any record.
pub fn record() -> BoxedStrategy<Record> {
    let told = (words(), words(), any::<u64>(), verdict(), words(), figure());
    let environment = btree_map(words(), words(), 0..3);
    let not_run = (words(), words()).prop_map(|(strategy, why)| NotRun { strategy, why });
    let ended = (vec(not_run, 0..3), option::of(words()));
    (told, environment, words(), vec(strategy(), 0..4), ended)
        .prop_map(|(told, environment, address, strategies, ended)| {
            let (scenario, description, seed, verdict, started_at, took_s) = told;
            let server = Server {
                version: address.clone(),
                url: address.clone(),
            };
            Record {
                schema_version: SCHEMA_VERSION,
                harness_version: address.clone(),
                run: address.clone(),
                scenario,
                description,
                seed,
                verdict,
                started_at,
                took_s,
                stack: Stack {
                    provider: address.clone(),
                    postgres: server.clone(),
                    kafka: Broker {
                        version: address.clone(),
                        bootstrap: address,
                    },
                    others: Vec::new(),
                    toxiproxy: server,
                    machine: Machine {
                        processor: environment.keys().next().cloned(),
                        cores: Some(2),
                        memory_mib: None,
                    },
                    environment: environment.clone(),
                },
                not_tested: environment.keys().take(1).cloned().collect(),
                workload: environment,
                load: None,
                strategies,
                not_run: ended.0,
                failure: ended.1,
            }
        })
        .boxed()
}
