//! Acceptance: runs as noisy as real ones. Seeded, so that it says the same for ever.

use super::*;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::fmt::Write;

/// What `compare --scenario` runs unless told otherwise.
const ROUNDS: usize = 20;
const SETS: u64 = 20;

/// How much a figure of equal runs scatters (the standard deviation of its logarithm, as five rounds of `bench
/// latency` had it on two cores), and how much of what slows the whole machine down it feels.
const SCATTER: [(&str, f64, f64); 12] = [
    ("end_to_end_p50", 0.04, 1.0),
    ("end_to_end_p99", 0.50, 1.0),
    ("propagation_p50", 0.04, 1.0),
    ("propagation_p99", 0.17, 1.0),
    ("order_p50", 0.06, 1.0),
    ("order_p99", 0.55, 1.0),
    ("throughput", 0.001, 0.0),
    ("drain", 0.40, 1.0),
    ("relay_cpu", 0.04, 0.5),
    ("service_cpu", 0.06, 0.5),
    ("relay_memory", 0.012, 0.0),
    ("wal", 0.02, 0.0),
];
/// The machine's capacity swings by this much, and half of it is still there when the next run begins.
const MACHINE: f64 = 0.06;
const STAYS: f64 = 0.5;

/// A normal deviate (Box and Muller).
fn normal(random: &mut StdRng) -> f64 {
    let (a, b): (f64, f64) = (random.random(), random.random());
    (-2.0 * (1.0 - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}

fn scaled(strategy: &mut Strategy, metric: &str, by: f64) {
    let latency = &mut strategy.latency_ms;
    let mut cost = |name: &str| {
        let value = strategy.costs.get_mut(name).unwrap();
        *value = value.map(|value| value * by);
    };
    let value = match metric {
        "end_to_end_p50" => &mut latency.end_to_end.p50,
        "end_to_end_p99" => &mut latency.end_to_end.p99,
        "propagation_p50" => &mut latency.propagation.p50,
        "propagation_p99" => &mut latency.propagation.p99,
        "order_p50" => &mut latency.order.p50,
        "order_p99" => &mut latency.order.p99,
        "throughput" => &mut strategy.throughput_per_s,
        "drain" => &mut strategy.drain_s,
        "wal" => &mut strategy.database.wal_bytes.per_event,
        "relay_cpu" => return cost("relay cpu, s"),
        "service_cpu" => return cost("order-service cpu, s"),
        "relay_memory" => return cost("relay peak memory, MiB"),
        other => panic!("{other} is not simulated"),
    };
    *value = value.map(|value| value * by);
}

/// One set of rounds: `new` is a relay that sleeps, so that an event is on its way by so much longer.
fn rounds(seed: u64, rounds: usize, slower_by: f64) -> Vec<Record> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut machine = 0.0;
    (0..rounds)
        .map(|n| {
            let mut names = ["base", "base-again", "new"];
            names.shuffle(&mut random);
            let strategies = names.map(|name| {
                machine = STAYS * machine
                    + MACHINE * (1.0f64 - STAYS * STAYS).sqrt() * normal(&mut random);
                let mut run = strategy(name);
                for (metric, scatter, feels) in SCATTER {
                    let by = (feels * machine + scatter * normal(&mut random)).exp();
                    scaled(&mut run, metric, by);
                }
                if name == "new" {
                    scaled(&mut run, "propagation_p50", 1.0 + slower_by);
                    scaled(&mut run, "propagation_p99", 1.0 + slower_by);
                    // Propagation is four fifths of an event's way.
                    scaled(&mut run, "end_to_end_p50", 1.0 + 0.8 * slower_by);
                }
                run
            });
            record(n, strategies.into())
        })
        .collect()
}

/// How many of the sets say `worse`, and `better`, of propagation; of anything; and raise a confirmed alarm.
#[derive(Debug, Default, PartialEq, Eq)]
struct SetCounts {
    worse: usize,
    better: usize,
    any: usize,
    alarms: usize,
}

fn sets(rounds_each: usize, slower_by: f64) -> SetCounts {
    let mut counts = SetCounts::default();
    for set in 0..SETS {
        let seed = 1_000 * set + (1_000.0 * slower_by) as u64;
        let records = rounds(seed, rounds_each, slower_by);
        let confirming = rounds(seed + 500, rounds_each, slower_by);
        let others = ["new".to_owned()];
        let asked = Rounds {
            from: "simulated",
            records: &records,
            confirming: &confirming,
            base: "base",
            twin: Some("base-again"),
            others: &others,
        };
        let compare = compare_rounds(&asked, &gated()).unwrap();
        let finding = row(&compare, "propagation_p50").finding;
        counts.worse += usize::from(finding == Finding::Worse);
        counts.better += usize::from(!found(&compare, Finding::Better).is_empty());
        let worse = !found(&compare, Finding::Worse).is_empty();
        counts.any += usize::from(worse || !found(&compare, Finding::Better).is_empty());
        counts.alarms += usize::from(compare.verdict == Verdict::Fail);
    }
    counts
}

#[test]
fn given_twenty_sets_of_runs_as_noisy_as_real_ones_then_equal_arms_raise_no_alarm_and_a_fifth_more_is_found()
 {
    let mut table =
        String::from("rounds  slower by  worse  better  anything  exit 1   (of 20 sets)\n");
    let mut of_default = Vec::new();
    for rounds in [6, 12, 16, ROUNDS] {
        for slower_by in [0.0, 0.08, 0.2] {
            let counts = sets(rounds, slower_by);
            let SetCounts {
                worse,
                better,
                any,
                alarms,
            } = counts;
            let by = 100.0 * slower_by;
            writeln!(
                table,
                "{rounds:6}  {by:8.0}%  {worse:5}  {better:6}  {any:8}  {alarms:6}"
            )
            .unwrap();
            if rounds == ROUNDS {
                of_default.push(counts);
            }
        }
    }
    println!("{table}");
    let [equal, twelfth, fifth] = &of_default[..] else {
        panic!("{table}")
    };
    assert_eq!(*equal, SetCounts::default(), "\n{table}");
    assert_eq!((twelfth.better, fifth.better), (0, 0), "\n{table}");
    assert!(fifth.worse >= 19, "\n{table}");
}
