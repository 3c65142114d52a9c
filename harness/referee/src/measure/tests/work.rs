//! What was done in the time of a phase, of histories whose times are known.

use super::super::{phase_work, phases};
use super::cdc;
use crate::checkers::fixture::*;
use crate::history::{History, Life, Sample};
use crate::scenario::{FaultKind, Target};
use crate::view::Join;
use reports::record::PhaseWork;

/// With the broker away from 400 to 1,000 ms of the load, and a relay that uses a second of CPU each second.
fn given() -> History {
    let mut history = cdc(400);
    add_fault(
        &mut history,
        Target::KAFKA,
        FaultKind::Down,
        400 * MS,
        1_000 * MS,
    );
    for at_ms in [-200, 300, 800, 1_300] {
        history.samples.push(Sample {
            series: "cpu_s.relay".to_owned(),
            at_ns: FROM + at_ms * MS,
            value: (at_ms + 200) as f64 / 1e3,
        });
    }
    history
}

fn work(history: &History) -> Vec<Option<PhaseWork>> {
    phase_work(&Join::new(history), &phases(history))
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn given_a_fault_then_each_time_has_the_events_that_were_seen_in_it_and_they_add_up() {
    // Given
    let history = given();
    // When
    let names: Vec<String> = phases(&history).into_iter().map(|p| p.name).collect();
    let work = work(&history);
    // Then what was open at the fault shares the time before it, and has no work of its own
    assert_eq!(
        names,
        ["before", "open at down kafka", "during down kafka", "after"]
    );
    assert!(work[1].is_none());
    let (before, during, after) = (work[0].as_ref(), work[2].as_ref(), work[3].as_ref());
    let (before, during, after) = (before.unwrap(), during.unwrap(), after.unwrap());
    assert_eq!(during.faults, ["down kafka"]);
    assert!(before.faults.is_empty() && after.faults.is_empty());
    assert!(near(before.lasted_s, 0.4) && near(during.lasted_s, 0.6));
    let join = Join::new(&history);
    let within = |ns: &i64| (FROM..history.meta.load_until_ns).contains(ns);
    let seen = (0..join.truth.len()).filter_map(|slot| join.seen(slot));
    let seen = seen.filter(within).count() as u64;
    let events = |of: &PhaseWork| of.events.unwrap();
    assert!(events(during) > 0);
    assert_eq!(events(before) + events(during) + events(after), seen);
}

#[test]
fn given_samples_of_cpu_then_what_lies_between_two_is_shared_out_and_a_restart_counts_from_0() {
    // Given
    let mut history = given();
    // When, then
    let of =
        |work: &[Option<PhaseWork>], phase: usize| work[phase].as_ref().unwrap().cpu_s["relay"];
    assert!(near(of(&work(&history), 0), 0.4));
    assert!(near(of(&work(&history), 2), 0.6));
    // And given a process that was killed during the fault
    for sample in history
        .samples
        .iter_mut()
        .filter(|s| s.at_ns > FROM + 500 * MS)
    {
        sample.value -= 0.9;
    }
    // Then what it had used before is not taken away, what its new life had used when it was first sampled is shared
    // out too, and what the old one used from its last sample on is not known
    assert!(near(of(&work(&history), 0), 0.3 + 0.02));
    assert!(near(of(&work(&history), 2), 0.08 + 0.2));
    // And the same of a new life that had used more by its first sample than the one before
    let mut history = given();
    process(&mut history, "relay", FROM + 600 * MS, Life::Started, 0);
    assert!(near(of(&work(&history), 0), 0.3 + 0.2));
    assert!(near(of(&work(&history), 2), 0.8 + 0.2));
}
