//! When the outbox is again what it was before the first fault.

use super::super::{OUTBOX_BYTES, Return, back_to_normal};
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

/// A fault in force from 100 ms to 200 ms, and an outbox of this size at these times.
fn sampled(sizes: &[(i64, f64)]) -> Return {
    let mut history = cdc(40);
    add_fault(
        &mut history,
        Target::Kafka,
        FaultKind::Down,
        100 * MS,
        200 * MS,
    );
    for (at_ms, bytes) in sizes {
        sample(&mut history, FROM + at_ms * MS, *bytes);
    }
    back_to_normal(&Join::new(&history))
}

#[test]
fn given_an_outbox_that_grew_when_it_is_small_again_then_that_look_counts_from_the_last_heal() {
    let grown = [(50, 8.0), (90, 5.0), (150, 90.0), (2_200, 60.0)];
    let took = sampled(&[&grown[..], &[(2_700, 8.0), (3_200, 1.0)]].concat());
    assert_eq!(took, Return::After(2.5));
    // And where it stays larger
    assert_eq!(sampled(&grown), Return::Never);
}

#[test]
fn given_nobody_who_looked_before_the_fault_or_after_it_then_it_is_not_known() {
    let untold = |sizes: &[(i64, f64)], words: &str| match sampled(sizes) {
        Return::NotMeasured(why) => assert!(why.contains(words), "{why}"),
        other => panic!("{other:?}"),
    };
    untold(&[], "was not sampled");
    untold(&[(150, 9.0), (2_200, 1.0)], "before the first fault");
    untold(&[(50, 9.0), (150, 1.0)], "after the last heal");
    let mut history = cdc(40);
    sample(&mut history, FROM, 1.0);
    let why = back_to_normal(&Join::new(&history));
    assert_eq!(
        why,
        Return::NotMeasured("no fault that concerns the strategy was in force")
    );
}

/// The same, told without any cleverness.
fn model(history: &History, first_ns: i64, healed_ns: i64) -> Option<Option<f64>> {
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
    let mut most_bytes = f64::NEG_INFINITY;
    let mut after = Vec::new();
    for sample in &history.samples {
        if sample.at_ns >= from_ns && sample.at_ns < first_ns {
            most_bytes = most_bytes.max(sample.value);
        }
        if sample.at_ns >= healed_ns {
            after.push((sample.at_ns, sample.value));
        }
    }
    if most_bytes == f64::NEG_INFINITY || after.is_empty() {
        return None;
    }
    after.retain(|(at_ns, bytes)| *bytes <= most_bytes && waiting(*at_ns) <= most_rows);
    let first = after.iter().map(|(at_ns, _)| *at_ns).min();
    Some(first.map(|at_ns| (at_ns - healed_ns) as f64 / 1e9))
}

proptest! {
    #![proptest_config(cases(500))]
    #[test]
    fn given_any_history_then_the_return_is_that_of_the_slow_model(
        history in arbitrary(),
        first_ns in 0..20 * S,
        lasts_ns in 0..20 * S,
        sizes in prop::collection::vec((0..40 * S, 0u32..4), 0..12),
    ) {
        let mut history = history;
        let healed_ns = first_ns + lasts_ns;
        history.meta.scenario.faults.clear();
        history.faults.clear();
        history.samples.clear();
        add_fault(&mut history, Target::Kafka, FaultKind::Down, 0, S);
        history.faults[0].planned_at_ns = first_ns;
        history.faults[0].injected_ns = Some(first_ns);
        history.faults[0].healed_ns = Some(healed_ns);
        for (at_ns, bytes) in &sizes {
            sample(&mut history, *at_ns, f64::from(*bytes));
        }
        let took = match back_to_normal(&Join::new(&history)) {
            Return::NotMeasured(_) => None,
            Return::Never => Some(None),
            Return::After(seconds) => Some(Some(seconds)),
        };
        prop_assert_eq!(took, model(&history, first_ns, healed_ns));
    }
}
