//! A load that was not the one planned proves nothing about the one planned.

use super::{Grounds, Inconclusive, missed_lessons};
use crate::measure::{MAX_LAG_MS, Recorder, generator, held_back_in, phases, planned_changes};
use crate::scenario::{Expectation, Metric};

/// The generator was late by itself.
pub fn lag(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let kept = generator(grounds.context.history());
    match kept.lag_p99_ms {
        Some(ms) if ms > MAX_LAG_MS => vec![Inconclusive::new(
            format!(
                "the load generator was {ms:.0} ms late at p99 (more than {MAX_LAG_MS} ms): what \
                 was measured is the generator"
            ),
            load,
        )],
        _ => Vec::new(),
    }
}

/// Changes were due and could not be offered.
pub fn unoffered(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let history = grounds.context.history();
    let unoffered = history.meta.unoffered;
    let planned = planned_changes(&history.meta.scenario.workload)
        .unwrap_or((history.requests.len() as u64).saturating_add(unoffered) as f64);
    if unoffered as f64 <= planned * 0.01 {
        return Vec::new();
    }
    let reason = format!(
        "{unoffered} of {planned:.0} planned changes could not be offered (more than 1%): the \
         load was another one than planned"
    );
    vec![Inconclusive::new(reason, load)]
}

/// Changes had to wait for a connection. What was done to the system in that phase is less than what
/// was planned, and so is what came of it.
pub fn held_back(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let history = grounds.context.history();
    let workload = &history.meta.scenario.workload;
    let reason = |phase: &str, held_back: u64, sent: u64| {
        format!(
            "{phase}: {held_back} of {sent} changes were held back, since all {} connections were \
             busy when they were due (more than 1%): raise `connections` in [workload], or leave it \
             out for as many as rate and request_timeout ask for",
            workload.connections
        )
    };
    phases(history)
        .iter()
        .filter_map(|phase| {
            let count = held_back_in(history, phase);
            count.is_too_much().then(|| {
                let reason = reason(&phase.name, count.held_back, count.sent);
                Inconclusive::new(reason, lessons_and_latencies)
            })
        })
        .collect()
}

/// Latencies whichever way they look, since holding back makes them longer and a lighter load shorter.
fn lessons_and_latencies(expectation: &Expectation, met: bool) -> bool {
    missed_lessons(expectation, met) || matches!(expectation.metric, Metric::Latency(..))
}

/// The generator stopped before its plan was done. Retries are not part of the plan.
pub fn stalled(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let history = grounds.context.history();
    let Some(planned) = planned_changes(&history.meta.scenario.workload) else {
        return Vec::new();
    };
    let mut changes = crate::view::Bits::new(history.requests.len());
    let mut offered = 0u64;
    for request in &history.requests {
        let change = request.change as usize;
        if !changes.get(change) {
            changes.set(change);
            offered += 1;
        }
    }
    let due = offered.saturating_add(history.meta.unoffered);
    // A plan is an average where intervals are drawn at random.
    if due as f64 >= planned * 0.95 - 10.0 {
        return Vec::new();
    }
    let reason = format!(
        "the load generator came to {due} of {planned:.0} planned changes and stopped: the load \
         was another one than planned"
    );
    vec![Inconclusive::new(reason, load)]
}

/// A generator in trouble explains a latency that is too high, and a lesson that did not come.
fn load(expectation: &Expectation, met: bool) -> bool {
    missed_lessons(expectation, met) || (matches!(expectation.metric, Metric::Latency(..)) && !met)
}

/// Returns the 99th percentile of many lags in milliseconds; the observer's rule uses it too.
pub(super) fn p99_ms(lags_ns: impl Iterator<Item = i64>) -> Option<f64> {
    let mut recorder = Recorder::new();
    lags_ns.for_each(|ns| recorder.record_ns(ns));
    recorder.percentile_ms(99.0)
}
