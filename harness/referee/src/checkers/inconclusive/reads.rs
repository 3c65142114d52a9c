//! What is said of a cache rests on reads: that they were sent as planned, and that the cache answered some of them.

use super::{Grounds, Inconclusive};
use crate::checkers::stale;
use crate::history::{ReadOutcome, ReadRow, ReadSource};
use crate::measure::{MAX_LAG_MS, Phase, last_heal_ns, phases, reads_held_back_in};
use crate::scenario::{Comparison, Expectation, Metric};
use crate::view::NEVER;

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

/// Nobody was answered from the cache after the last heal, so nothing shows what the faults left there.
pub fn after_the_last_heal(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let history = grounds.context.history();
    let Some(healed_ns) = last_heal_ns(history).filter(|ns| *ns != NEVER && has_cache(grounds))
    else {
        return Vec::new();
    };
    let mut hits = history
        .reads
        .iter()
        .filter(|r| r.source == ReadSource::Cache);
    if hits.any(|read| read.sent_ns > healed_ns) {
        return Vec::new();
    }
    let reason = "no read that was sent after the last heal was answered from the cache: nothing shows \
                  whether what the faults left there is stale";
    vec![Inconclusive::new(reason.to_owned(), |e, met| {
        bounds_cache_from_above(e) && met
    })]
}

/// The cache had no memory left for what a relay marks there. A relay that is refused goes no further, and publishes again
/// what it has published: that is the server's doing.
pub fn refused_a_relay(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let history = grounds.context.history();
    let topology = grounds.context.view.topology();
    let end = history.meta.cache.as_ref().filter(|end| end.has_overflowed);
    let (Some(_), Some(true)) = (end, topology.map(|t| t.relay_invalidates)) else {
        return Vec::new();
    };
    let reason = "the cache had no memory left, and refused what the relay marks there: what that did not publish, or \
                  published again, is not its doing";
    vec![Inconclusive::new(reason.to_owned(), |e, _| {
        use crate::scenario::LatencyKind::{EndToEnd, Propagation};
        matches!(
            e.metric,
            Metric::Undrained
                | Metric::Duplicated
                | Metric::Late
                | Metric::Drain
                | Metric::Recovery
                | Metric::Latency(Propagation | EndToEnd, _)
        )
    })]
}

/// Too few reads were answered in a stretch that the scenario plans as proof. As many are wanted as changes, or fewer
/// where fewer reads than changes are planned.
pub fn phases_read(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    if !has_cache(grounds) {
        return Vec::new();
    }
    let history = grounds.context.history();
    let workload = &history.meta.scenario.workload;
    let share = (workload.reads_a_second() / workload.rate).min(1.0);
    let wanted = (workload.min_committed_per_phase as f64 * share).ceil() as u64;
    let mut stretches: Vec<(String, u64)> = Vec::new();
    for phase in phases(history)
        .iter()
        .filter(|phase| phase.before.is_none())
    {
        let answered = sent_in(grounds, phase).filter(is_answered).count() as u64;
        let names = match phase.in_force.is_empty() {
            true => vec![phase.name.clone()],
            false => phase
                .in_force
                .iter()
                .map(|f| format!("during {f}"))
                .collect(),
        };
        for name in names {
            match stretches.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += answered,
                None => stretches.push((name, answered)),
            }
        }
    }
    let few = stretches
        .into_iter()
        .filter(|(_, answered)| *answered < wanted);
    let reasons = few.map(|(name, answered)| {
        let reason = format!(
            "{answered} of the reads sent in phase `{name}` were answered, fewer than the {wanted} that \
             prove something"
        );
        Inconclusive::new(reason, |e, met| {
            e.metric != Metric::Stale && fewer(e, met)
        })
    });
    reasons.collect()
}

/// Reads came to nothing while no fault was in force.
pub fn failed(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    if !has_cache(grounds) {
        return Vec::new();
    }
    let (mut due, mut failed) = (0u64, 0u64);
    let phases = phases(grounds.context.history());
    for phase in phases.iter().filter(|phase| phase.in_force.is_empty()) {
        for read in sent_in(grounds, phase) {
            due += 1;
            failed += u64::from(!is_answered(&read));
        }
    }
    if failed * 100 <= due {
        return Vec::new();
    }
    let reason = format!(
        "{failed} of {due} reads that were due while no fault was in force were not answered (more than \
         1%): what they would have been answered is not known"
    );
    vec![Inconclusive::new(reason, |e, met| {
        e.metric != Metric::Stale && fewer(e, met)
    })]
}

/// The source still held what takes old entries out of the cache.
pub fn awaited(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let awaiting = stale::awaiting(grounds.context);
    if awaiting == 0 {
        return Vec::new();
    }
    let reason = format!(
        "the cache holds an old version of {awaiting} orders whose newest change the source still held at \
         the end: the relay might still have invalidated them"
    );
    vec![Inconclusive::new(reason, |e, met| {
        let is_reached = e.comparison == Comparison::AtLeast && met;
        let is_exceeded = !is_to_reach(e) && !met;
        e.metric == Metric::Stale && !is_reached && !is_exceeded
    })]
}

fn has_cache(grounds: &Grounds<'_, '_>) -> bool {
    grounds.context.view.topology().is_some_and(|t| t.has_cache)
}

fn sent_in<'g>(
    grounds: &'g Grounds<'_, '_>,
    phase: &'g Phase,
) -> impl Iterator<Item = ReadRow> + 'g {
    let reads = grounds.context.history().reads.iter();
    reads.filter(|read| phase.contains(read.sent_ns))
}

fn is_answered(read: &ReadRow) -> bool {
    match read.outcome {
        ReadOutcome::Answered | ReadOutcome::NotFound => true,
        ReadOutcome::NotSent | ReadOutcome::Failed => false,
    }
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
    let planned = history.meta.scenario.workload.planned_reads();
    let due = history.reads.len();
    // What is due before any order is known has nothing to ask for.
    if !has_cache(grounds) || due as f64 >= planned * 0.9 - 10.0 {
        return Vec::new();
    }
    let reason = format!(
        "the readers came to {due} of {planned:.0} planned reads: the load was another one than planned"
    );
    vec![Inconclusive::new(reason, fewer)]
}

/// A stale read is one, however few there are: what fewer reads leave open is whether there would have been more.
fn fewer(expectation: &Expectation, met: bool) -> bool {
    let may_be_reached = is_to_reach(expectation) && !met;
    expectation.metric.is_of_cache()
        && (may_be_reached || (bounds_cache_from_above(expectation) && met))
}

/// Whether more than what was seen may meet what is missed: a lesson, or an exact count that is not 0.
fn is_to_reach(expectation: &Expectation) -> bool {
    match expectation.comparison {
        Comparison::AtLeast => true,
        Comparison::Equal => expectation.value > 0.0,
        Comparison::AtMost => false,
    }
}

fn bounds_cache_from_above(expectation: &Expectation) -> bool {
    expectation.metric.is_of_cache() && expectation.comparison != Comparison::AtLeast
}
