//! When the outbox is again what it was before the first fault.

use super::super::{OUTBOX_BYTES, Return, back_to_normal, unseen_return};
use super::cdc;
use crate::checkers::fixture::*;
use crate::checkers::tests::arbitrary::arbitrary;
use crate::history::{History, Outcome, Sample};
use crate::scenario::{FaultKind, Target};
use crate::view::Join;
use proptest::prelude::*;

fn sample(history: &mut History, at_ns: i64, bytes: f64) {
    history.samples.push(Sample {
        series: OUTBOX_BYTES.to_owned(),
        at_ns,
        value: bytes,
    });
}

/// Looks before the fault, at which the outbox had no more than 8 bytes.
const USUAL: [(i64, f64); 5] = [(10, 3.0), (30, 8.0), (50, 7.0), (70, 2.0), (90, 5.0)];

/// A fault in force from 100 ms to 200 ms of a load of 5 s, and an outbox of this size at these times.
fn with(sizes: &[(i64, f64)]) -> History {
    let mut history = cdc(40);
    history.meta.load_until_ns = FROM + 5 * S;
    add_fault(
        &mut history,
        Target::KAFKA,
        FaultKind::Down,
        100 * MS,
        200 * MS,
    );
    for (at_ms, bytes) in sizes {
        sample(&mut history, FROM + at_ms * MS, *bytes);
    }
    history
}

fn sampled(sizes: &[(i64, f64)]) -> Return {
    back_to_normal(&Join::new(&with(sizes)))
}

fn after_usual(sizes: &[(i64, f64)]) -> Vec<(i64, f64)> {
    [&USUAL[..], sizes].concat()
}

#[test]
fn given_an_outbox_that_grew_when_it_is_small_again_then_that_look_counts_from_the_last_heal() {
    let grown = after_usual(&[(150, 90.0), (2_200, 60.0)]);
    let took = sampled(&[&grown[..], &[(2_700, 8.0), (3_200, 1.0)]].concat());
    assert_eq!(took, Return::After(2.5));
    // And where it stays larger
    assert_eq!(sampled(&grown), Return::NotWithin(2.0));
    // And where it is small only after the load's end
    let drained = sampled(&[&grown[..], &[(5_001, 1.0)]].concat());
    assert_eq!(drained, Return::NotWithin(2.0));
}

#[test]
fn given_nobody_who_looked_before_the_fault_or_after_it_then_it_is_not_known() {
    let untold = |sizes: &[(i64, f64)], words: &str| match sampled(sizes) {
        Return::NotMeasured(why) => assert!(why.contains(words), "{why}"),
        other => panic!("{other:?}"),
    };
    untold(&[], "was not sampled");
    untold(&[(150, 9.0), (2_200, 1.0)], "before the first fault");
    untold(
        &after_usual(&[(150, 1.0)]),
        "between the last heal and the load's end",
    );
    untold(
        &after_usual(&[(5_001, 1.0)]),
        "between the last heal and the load's end",
    );
    let mut history = cdc(40);
    sample(&mut history, FROM, 1.0);
    let why = back_to_normal(&Join::new(&history));
    assert_eq!(
        why,
        Return::NotMeasured("no fault that concerns the strategy was in force")
    );
}

#[test]
fn given_an_outbox_that_was_still_growing_or_hardly_looked_at_when_it_stays_larger_then_the_fault_is_not_blamed()
 {
    let growing = [(10, 1.0), (30, 2.0), (50, 3.0), (70, 4.0), (90, 5.0)];
    let few = [(30, 8.0), (50, 7.0), (90, 5.0)];
    for (usual, words) in [
        (&growing[..], "still growing"),
        (&few, "less than four times"),
    ] {
        let larger = [usual, &[(2_200, 9.0)]].concat();
        match sampled(&larger) {
            Return::NotMeasured(why) => assert!(why.contains(words), "{why}"),
            other => panic!("{other:?}"),
        }
        // One that is seen back is back for certain, but perhaps not late
        let back = with(&[&larger[..], &[(2_700, 1.0)]].concat());
        assert_eq!(back_to_normal(&Join::new(&back)), Return::After(2.5));
        let unseen = unseen_return(&Join::new(&back)).unwrap();
        assert!(unseen.contains(words), "{unseen}");
    }
}

#[test]
fn given_a_server_that_did_not_answer_while_the_fault_was_in_force_then_that_hides_no_return() {
    let looks = |from_ms: i64, until_ms: i64| {
        (from_ms / 500..=until_ms / 500).map(|look| (look * 500, if look == 0 { 8.0 } else { 7.0 }))
    };
    let history = |silent_ms: (i64, i64)| {
        let mut history = cdc(40);
        history.meta.load_until_ns = FROM + 40 * S;
        add_fault(&mut history, Target::KAFKA, FaultKind::Down, 10 * S, 20 * S);
        for (at_ms, bytes) in looks(0, 40_000) {
            let bytes = if at_ms < 10_000 { bytes } else { 90.0 };
            if at_ms < silent_ms.0 || at_ms > silent_ms.1 {
                sample(&mut history, FROM + at_ms * MS, bytes);
            }
        }
        history
    };
    let unseen = |silent_ms| unseen_return(&Join::new(&history(silent_ms)));
    assert_eq!(unseen((10_200, 19_800)), None);
    for silent_ms in [(2_000, 8_000), (25_000, 31_000)] {
        let why = unseen(silent_ms).unwrap();
        assert!(why.contains("nothing was sampled"), "{why}");
    }
}

#[test]
fn given_changes_that_wait_when_nobody_answered_them_then_they_wait_from_their_send_on() {
    // Given changes that were sent a second after the load's begin, answered at 1.9 s and seen at 1.8 s
    let took = |outcome| {
        let mut history = with(&after_usual(&[(1_500, 8.0), (1_950, 8.0)]));
        for request in history.requests.open().iter_mut() {
            request.outcome = outcome;
            (request.sent_ns, request.ended_ns) = (FROM + 1_000 * MS, FROM + 1_900 * MS);
        }
        for sighting in history.sightings.open().iter_mut() {
            sighting.seen_ns = FROM + 1_800 * MS;
        }
        back_to_normal(&Join::new(&history))
    };
    assert_eq!(took(Outcome::Unknown), Return::After(1.75));
    // Those that were answered count from then on
    assert_eq!(took(Outcome::Committed), Return::After(1.3));
}

/// The same, told without any cleverness: `None` where it is not measured, else the seconds and whether it came.
fn model(history: &History, first_ns: i64, healed_ns: i64) -> Option<(f64, bool)> {
    let join = Join::new(history);
    let waiting = |at_ns: i64| {
        let mut rows = 0;
        for slot in 0..join.truth.len() {
            let Some(request) = join.request(slot) else {
                continue;
            };
            let since = match request.outcome == Outcome::Committed {
                true => request.ended_ns,
                false => request.sent_ns,
            };
            let seen = join.seen(slot).is_some_and(|seen_ns| seen_ns <= at_ns);
            rows += usize::from(since <= at_ns && !seen);
        }
        rows
    };
    let mut times = vec![history.meta.load_from_ns];
    for request in history.requests.iter() {
        times.extend([request.sent_ns, request.ended_ns]);
    }
    let from_ns = history.meta.load_from_ns;
    times.retain(|at_ns| *at_ns >= from_ns && *at_ns < first_ns);
    let most_rows = times.iter().map(|at_ns| waiting(*at_ns)).max().unwrap_or(0);
    let mut looks: Vec<(i64, f64)> = Vec::new();
    for sample in &history.samples {
        looks.push((sample.at_ns, sample.value));
    }
    looks.sort_by_key(|(at_ns, _)| *at_ns);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (at_ns, bytes) in looks {
        if at_ns >= from_ns && at_ns < first_ns {
            before.push(bytes);
        }
        if at_ns >= healed_ns && at_ns <= history.meta.load_until_ns {
            after.push((at_ns, bytes));
        }
    }
    let most_bytes = before.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let last_ns = after.last()?.0;
    if before.is_empty() {
        return None;
    }
    after.retain(|(at_ns, bytes)| *bytes <= most_bytes && waiting(*at_ns) <= most_rows);
    let since = |at_ns: i64| (at_ns - healed_ns) as f64 / 1e9;
    if let Some((at_ns, _)) = after.first() {
        return Some((since(*at_ns), true));
    }
    // So many of the first looks, at least three of four, must have had the largest among them
    let settled = before.len() * 3 / 4;
    let is_usual = before.len() >= 4 && before[..settled].contains(&most_bytes);
    is_usual.then_some((since(last_ns), false))
}

proptest! {
    #![proptest_config(cases(500))]
    #[test]
    fn given_any_history_then_the_return_is_that_of_the_slow_model(
        history in arbitrary(),
        first_ns in 0..20 * S,
        lasts_ns in 0..20 * S,
        load_s in 1..40i64,
        sizes in prop::collection::vec((0..40 * S, 0u32..4), 0..24),
    ) {
        let mut history = history;
        history.meta.load_until_ns = history.meta.load_from_ns + load_s * S;
        let healed_ns = first_ns + lasts_ns;
        history.meta.scenario.faults.clear();
        history.faults.clear();
        history.samples.clear();
        add_fault(&mut history, Target::KAFKA, FaultKind::Down, 0, S);
        history.faults[0].planned_at_ns = first_ns;
        history.faults[0].injected_ns = Some(first_ns);
        history.faults[0].healed_ns = Some(healed_ns);
        for (at_ns, bytes) in &sizes {
            sample(&mut history, *at_ns, f64::from(*bytes));
        }
        let took = match back_to_normal(&Join::new(&history)) {
            Return::NotMeasured(_) => None,
            Return::NotWithin(seconds) => Some((seconds, false)),
            Return::After(seconds) => Some((seconds, true)),
        };
        prop_assert_eq!(took, model(&history, first_ns, healed_ns));
    }
}
