//! What is said of the time in which a fault was in force.

use super::*;
use reports::compare::FailingRow;
use reports::record::{Phase, PhaseWork};

fn phase(name: &str, faults: &[&str], events: u64, p99: Option<f64>, cpu_s: f64) -> Phase {
    Phase {
        name: name.to_owned(),
        from_s: 0.0,
        until_s: 4.0,
        spans_s: Vec::new(),
        committed: Some(2_000),
        latency_ms: LatencySet {
            end_to_end: Latency {
                p99,
                count: 2_000,
                censored: u64::from(p99.is_none()),
                ..Latency::default()
            },
            ..LatencySet::default()
        },
        work: Some(PhaseWork {
            faults: faults.iter().map(|fault| (*fault).to_owned()).collect(),
            lasted_s: 4.0,
            events: Some(events),
            cpu_s: [("relay", cpu_s), ("relay-2", cpu_s), ("harness", 9.0)]
                .map(|(name, cpu_s)| (name.to_owned(), cpu_s))
                .into(),
        }),
    }
}

/// Before, slow and away; the open phase has no work of its own, and what comes after catches up.
fn phases(base: bool) -> Vec<Phase> {
    let p99 = |ms| Some(ms).filter(|_| base);
    let open = Phase {
        work: None,
        ..phase("open at slow kafka", &[], 0, Some(9e3), 0.0)
    };
    vec![
        phase("before", &[], 2_000, Some(20.0), 0.2),
        open,
        phase(
            "during slow kafka",
            &["slow kafka"],
            1_000,
            Some(400.0),
            0.2,
        ),
        phase("during down kafka", &["down kafka"], 40, p99(4_000.0), 0.1),
        phase("after", &[], 5_000, Some(2_000.0), 0.3),
    ]
}

fn named<'a>(rows: &'a [FailingRow], during: &str, metric: &str) -> Option<&'a FailingRow> {
    let is_it = |row: &&FailingRow| row.during == during && row.metric == metric;
    rows.iter().find(is_it)
}

#[test]
fn given_faults_then_each_has_its_speed_beside_that_of_the_time_before_them() {
    // Given
    let sets = in_turns(6, |name, _, strategy| {
        strategy.phases = phases(name == "base")
    });
    // When
    let compare = compared(&sets, &gated());
    let rows = &compare.subjects[0].failing;
    // Then
    let slow = named(rows, "during slow kafka", "events").unwrap();
    assert_eq!(slow.base.during.median, Some(250.0));
    assert_eq!(slow.base.without.median, Some(500.0));
    assert!((slow.base.change.unwrap() + 0.5).abs() < 1e-9);
    let p99 = named(rows, "during slow kafka", "end_to_end_p99").unwrap();
    assert!((p99.new.change.unwrap() - 19.0).abs() < 1e-9);
    // Both relays work for the events
    let cpu = named(rows, "during slow kafka", "relay_cpu").unwrap();
    assert!((cpu.base.during.median.unwrap() - 400.0).abs() < 1e-9);
    // Where next to nothing came its cost cannot be shared out, and what never arrived is so
    assert!(named(rows, "during down kafka", "relay_cpu").is_none());
    let away = named(rows, "during down kafka", "end_to_end_p99").unwrap();
    assert_eq!((away.base.during.never, away.new.during.never), (0, 6));
    // It is asked nothing: no figure more costs the others anything
    assert_eq!(found(&compare, Finding::Worse), Vec::<&str>::new());
    assert!(rows.iter().all(|row| row.metric != "service_cpu"));
}

#[test]
fn given_records_of_before_or_a_fault_from_the_first_moment_then_nothing_is_made_up() {
    let old = in_turns(6, |_, _, strategy| {
        strategy.phases = phases(true);
        strategy
            .phases
            .iter_mut()
            .for_each(|phase| phase.work = None);
    });
    assert!(compared(&old, &terms()).subjects[0].failing.is_empty());
    let from_the_start = in_turns(6, |_, _, strategy| {
        strategy.phases = phases(true).split_off(2)
    });
    let compare = compared(&from_the_start, &terms());
    let slow = named(&compare.subjects[0].failing, "during slow kafka", "events").unwrap();
    assert_eq!(slow.base.during.median, Some(250.0));
    assert_eq!((slow.base.without.median, slow.base.change), (None, None));
}
