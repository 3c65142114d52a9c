//! Fail-over: from a fault's injection until something sent since then was seen.

use super::super::failover_s;
use super::cdc;
use crate::bite::name;
use crate::checkers::fixture::*;
use crate::checkers::tests::arbitrary::arbitrary;
use crate::history::{Body, FaultRecord, History, Observation};
use crate::scenario::{FaultKind, Target, Victim};
use crate::view::Join;
use proptest::prelude::*;

fn of(history: &History) -> Option<f64> {
    failover_s(&Join::new(history), &history.faults[0])
}

/// The same, slow and obvious: every sighting of every record that carries what the database has.
fn model(history: &History, fault: &FaultRecord) -> Option<i64> {
    let injected_ns = fault.injected_ns?;
    let mut firsts = Vec::new();
    for row in history.truth.iter() {
        let Some(request) = history.requests.get(row.attempt as usize) else {
            continue;
        };
        if request.sent_ns < injected_ns {
            continue;
        }
        for record in history.log.iter() {
            let is_it = record.body == Body::Intact
                && (record.order, record.version) == (row.order, row.version)
                && record.attempt == row.attempt
                && request.order == row.order;
            let sights = history
                .sightings
                .iter()
                .filter(|s| is_it && (s.partition, s.offset) == (record.partition, record.offset));
            firsts.extend(sights.map(|s| s.seen_ns));
        }
    }
    let marks = history.observations.iter();
    let marks = marks.filter(|o| o.fault == fault.fault && o.name == name::INJECTING);
    let began_ns = marks.map(|o| o.at_ns).next().unwrap_or(injected_ns);
    let first_ns = firsts.into_iter().min()?;
    Some(first_ns.saturating_sub(began_ns.min(injected_ns)).max(0))
}

fn kill(history: &mut History, at_ns: i64, until_ns: i64) {
    let relay = Target::Process(Victim::RELAY);
    add_fault(history, relay, FaultKind::Kill, at_ns, until_ns);
}

fn began(history: &mut History, at_ns: i64) {
    history.observations.push(Observation {
        fault: 0,
        place: "relay".to_owned(),
        name: name::INJECTING.to_owned(),
        at_ns,
        value: 1.0,
    });
}

#[test]
fn given_a_relay_that_is_killed_then_it_lasts_until_something_sent_since_is_seen() {
    // Given 40 orders, 8 ms each, each seen 3 ms after it was due
    let mut history = cdc(40);
    kill(&mut history, 50 * MS, 100 * MS);
    let injected_ns = history.faults[0].injected_ns.unwrap();
    let next = history
        .requests
        .iter()
        .filter(|r| r.sent_ns >= injected_ns)
        .map(|r| r.sent_ns)
        .min()
        .unwrap();
    let usual = of(&history).unwrap();
    assert!(usual > (next - injected_ns) as f64 / 1e9, "{usual}");
    // When everything that was sent since is seen late, then so long it lasts
    let join = Join::new(&history);
    let sent_since: Vec<(i32, i64)> = (0..join.truth.len())
        .filter(|slot| join.request(*slot).unwrap().sent_ns >= injected_ns)
        .filter_map(|slot| join.first_row(slot))
        .map(|row| (join.log.at(row).partition, join.log.at(row).offset))
        .collect();
    drop(join);
    for sighting in history.sightings.open().iter_mut() {
        if sent_since.contains(&(sighting.partition, sighting.offset)) {
            sighting.seen_ns += 700 * MS;
        }
    }
    assert!((of(&history).unwrap() - usual - 0.7).abs() < 1e-6);
    // And from the moment in which the injection began
    began(&mut history, injected_ns - 30 * MS);
    assert!((of(&history).unwrap() - usual - 0.73).abs() < 1e-6);
}

#[test]
fn what_was_not_measured_is_none() {
    let mut history = cdc(40);
    kill(&mut history, 50 * MS, 100 * MS);
    // A fault that was never in force, or after which nothing was sent
    history.faults[0].injected_ns = None;
    assert_eq!(of(&history), None);
    history.faults[0].injected_ns = Some(history.meta.load_until_ns + S);
    assert_eq!(of(&history), None);
    // Or nothing of which was seen
    history.faults[0].injected_ns = Some(FROM + 50 * MS);
    history.sightings.open().clear();
    assert_eq!(of(&history), None);
}

proptest! {
    #![proptest_config(cases(500))]
    #[test]
    fn fail_over_agrees_with_the_slow_model_on_any_history(
        history in arbitrary(),
        injected in prop::option::of(0..20 * S),
        began_ns in prop::option::of(0..20 * S),
    ) {
        let mut history = history;
        kill(&mut history, 0, S);
        history.faults[0].injected_ns = injected;
        if let Some(at_ns) = began_ns {
            began(&mut history, at_ns);
        }
        let expected = model(&history, &history.faults[0]);
        prop_assert_eq!(of(&history), expected.map(|ns| ns as f64 / 1e9));
    }
}
