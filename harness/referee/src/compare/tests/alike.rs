//! What is refused, and what is not.

use super::*;
use reports::record::{Fault, Load, Relay};

fn refused(sets: &[RunSet; 2]) -> Vec<String> {
    match compare_sets([&sets[0], &sets[1]], None, &terms()) {
        Err(Refusal::Unlike(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn given_another_scenario_stack_or_machine_then_it_is_refused_by_name_and_allowed_only_by_saying_so_on_top()
 {
    let change = |change: &dyn Fn(&mut Record)| {
        let mut sets = in_turns(6, |_, _, _| {});
        change(&mut sets[1].records[3]);
        sets
    };
    let load = |retries: u32| Load {
        rate_per_s: Some(500.0),
        clients: None,
        connections: 64,
        duration_s: 15.0,
        ramp_s: 0.0,
        changes_per_order: 3,
        skew: 0.0,
        payload_bytes: 200,
        request_timeout_s: 5.0,
        retries,
        rollback_ratio: 0.0,
        hold_ratio: 0.0,
        hold_s: 0.0,
        partitions: 4,
        postgres_connections: 16,
        min_committed_per_phase: 10,
        read_share: 0.0,
    };
    // One record of before does not have it
    let loads = || {
        let mut sets = in_turns(6, |_, _, _| {});
        for record in sets.iter_mut().flat_map(|set| &mut set.records).skip(1) {
            record.load = Some(load(1));
        }
        sets
    };
    let slow = |latency: &str| {
        let settings = [("lasts_s", "4"), ("latency", latency)];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some(settings.into())
    };
    let fault = |at: f64| Fault {
        target: "kafka".to_owned(),
        kind: "down".to_owned(),
        settings: None,
        trigger: None,
        fired_s: None,
        fired_on: None,
        injected_s: Some(at),
        healed_s: Some(at + 4.0),
        failover_s: None,
        bit: Some(true),
        evidence: String::new(),
    };
    for (sets, said) in [
        (
            change(&|r| r.scenario = "outage".into()),
            "scenario: base steady, new outage",
        ),
        (change(&|r| r.seed = 7), "seed: base 42, new 7"),
        (
            change(&|r| r.stack.kafka.version = "4.0".into()),
            "Kafka: base 4.3.1, new 4.0",
        ),
        (
            change(&|r| {
                r.workload.insert("rate".into(), "5 changes/s".into());
            }),
            "workload rate: base 500 changes/s, new 5 changes/s",
        ),
        (
            change(&|r| {
                r.stack.environment.insert("cores".into(), "4".into());
            }),
            "cores: base 2, new 4",
        ),
        (
            {
                let of = |model: &str| Some(model.to_owned());
                let mut sets = in_turns(6, |_, _, _| {});
                let [base, new] = &mut sets;
                base.records
                    .iter_mut()
                    .for_each(|r| r.stack.machine.processor = of("one"));
                new.records
                    .iter_mut()
                    .for_each(|r| r.stack.machine.processor = of("another"));
                sets
            },
            "processor: base one, new another",
        ),
        (
            change(&|r| {
                r.stack.environment.insert("jvm".into(), "17".into());
            }),
            "jvm: base none, new 17",
        ),
        (
            change(&|r| r.strategies[0].kind = "cdc".into()),
            "cdc: another kind of strategy (base and new)",
        ),
        (
            {
                let mut sets = loads();
                sets[0].records[0].load = Some(load(1));
                sets[1].records[3].load = Some(load(3));
                sets
            },
            "load retries: base 1, new 3",
        ),
        (
            in_turns(6, |name, n, s| {
                let settings = match (name, n) {
                    ("base", 3) => None,
                    ("base", _) => slow("300"),
                    _ => slow("500"),
                };
                let slow_kafka = Fault {
                    kind: "latency".to_owned(),
                    settings,
                    ..fault(4.0)
                };
                s.faults.push(slow_kafka);
            }),
            "cdc: latency kafka: latency 300, 500 (base and new)",
        ),
        (
            change(&|r| r.strategies[0].faults.push(fault(4.0))),
            "cdc: other faults, or at other times (base and new)",
        ),
    ] {
        assert_eq!(refused(&sets), [said]);
        let allowed = Terms {
            allow_unlike: true,
            ..terms()
        };
        let compare = compare_sets([&sets[0], &sets[1]], None, &allowed).unwrap();
        assert_eq!(compare.unlike, [said]);
    }
    compared(&loads(), &terms());
}

#[test]
fn given_versions_of_what_is_compared_and_a_machines_small_change_then_they_are_alike() {
    let mut sets = in_turns(6, |_, _, _| {});
    // Records of before do not know it
    sets[0].records[0].stack.machine.processor = Some("one".into());
    for record in &mut sets[1].records {
        record.harness_version = "0.2.0".into();
        record
            .stack
            .environment
            .insert("memory_mib".into(), "24100".into());
        record
            .stack
            .environment
            .insert("relay.cdc".into(), "theirs 4.1".into());
        record.strategies[0].relay = Some(Relay {
            name: "theirs".into(),
            version: "4.1".into(),
            language: None,
            homepage: None,
            licence: None,
            delivery: "at-least-once".into(),
            order: "key".into(),
        });
    }
    let compare = compared(&sets, &terms());
    assert_eq!(
        compare.sides[1].versions,
        ["outbox-harness 0.2.0", "theirs 4.1"]
    );
}

#[test]
fn given_nothing_in_common_or_no_runs_then_there_is_nothing_to_compare() {
    let mut sets = in_turns(6, |_, _, _| {});
    for record in &mut sets[1].records {
        record.strategies[0].name = "other".into();
    }
    let said = compare_sets([&sets[0], &sets[1]], None, &terms()).unwrap_err();
    assert!(said.to_string().contains("no strategy in common"), "{said}");
    let empty = || RunSet {
        name: "base".into(),
        from: String::new(),
        records: Vec::new(),
    };
    let (base, new) = (empty(), empty());
    assert!(compare_sets([&base, &new], None, &terms()).is_err());
    // A run differs from itself by nothing, and confirms nothing that it has shown
    let [base, new] = &in_turns(6, |_, _, _| {});
    for (sets, confirming) in [([base, base], None), ([base, new], Some([base, new]))] {
        let said = compare_sets(sets, confirming, &terms()).unwrap_err();
        let what = "the run steady-0 of 2026-11-29T00:00:00Z is there twice, in runs/base and in runs/base";
        assert!(said.to_string().contains(what), "{said}");
    }
    let many = in_turns(MOST_PAIRS + 1, |_, _, _| {});
    let said = compare_sets([&many[0], &many[1]], None, &terms()).unwrap_err();
    assert!(said.to_string().contains("201 pairs"), "{said}");
}

#[test]
fn a_metric_has_one_name_and_an_unknown_one_is_answered_with_all_of_them() {
    let mut ids: Vec<&str> = METRICS.iter().map(|m| m.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), METRICS.len());
    let said = chosen(&["speed".to_owned()]).unwrap_err();
    assert!(said.contains("end_to_end_p99"), "{said}");
    assert_eq!(chosen(&["drain".to_owned()]).unwrap().len(), 1);
}
