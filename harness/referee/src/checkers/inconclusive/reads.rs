//! What is said of a cache rests on reads: that they were sent as planned, and that the cache answered some of them.

use super::{Grounds, Inconclusive};
use crate::history::ReadSource;
use crate::measure::{MAX_LAG_MS, phases, reads_held_back_in};
use crate::scenario::{Comparison, Expectation};

/// Nobody was answered from the cache, so nothing shows what it would have answered.
pub fn from_the_cache(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let history = grounds.context.history();
    let asked = grounds.expectations.iter().any(|e| e.metric.is_of_cache());
    let mut reads = history.reads.iter();
    if !asked || reads.any(|read| read.source == ReadSource::Cache) {
        return Vec::new();
    }
    let reason = format!(
        "of {} reads none was answered from the cache, so nothing shows whether it answers what is \
         stale",
        history.reads.len()
    );
    vec![Inconclusive::new(reason, |e, met| {
        bounds_cache_from_above(e) && met
    })]
}

/// The readers were late by themselves.
pub fn lag(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let lags = grounds.context.history().reads.iter().map(|r| r.lag_ns);
    match super::generator::p99_ms(lags) {
        Some(ms) if ms > MAX_LAG_MS => vec![Inconclusive::new(
            format!(
                "reads were sent {ms:.0} ms late at p99 (more than {MAX_LAG_MS} ms): the machine read \
                 less than was planned, and later"
            ),
            fewer,
        )],
        Some(_) | None => Vec::new(),
    }
}

/// Reads had to wait for a connection.
pub fn held_back(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let history = grounds.context.history();
    phases(history)
        .iter()
        .filter_map(|phase| {
            let count = reads_held_back_in(history, phase);
            count.is_too_much().then(|| {
                let reason = format!(
                    "{}: {} of {} reads were held back, since all their connections were busy when \
                     they were due (more than 1%)",
                    phase.name, count.held_back, count.sent
                );
                Inconclusive::new(reason, fewer)
            })
        })
        .collect()
}

/// Far fewer reads than planned.
pub fn stalled(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let history = grounds.context.history();
    let has_cache = crate::view::strategy(history).is_some_and(|s| s.cache.is_some());
    let planned = history.meta.scenario.workload.planned_reads();
    let due = history.reads.len();
    // What is due before any order is known has nothing to ask for.
    if !has_cache || due as f64 >= planned * 0.9 - 10.0 {
        return Vec::new();
    }
    let reason = format!(
        "the readers came to {due} of {planned:.0} planned reads: the load was another one than planned"
    );
    vec![Inconclusive::new(reason, fewer)]
}

/// A stale read is one, however few there are: what fewer reads leave open is whether there would have been more.
fn fewer(expectation: &Expectation, met: bool) -> bool {
    let is_missed_lesson = expectation.comparison == Comparison::AtLeast && !met;
    expectation.metric.is_of_cache()
        && (is_missed_lesson || (bounds_cache_from_above(expectation) && met))
}

fn bounds_cache_from_above(expectation: &Expectation) -> bool {
    expectation.metric.is_of_cache() && expectation.comparison != Comparison::AtLeast
}
