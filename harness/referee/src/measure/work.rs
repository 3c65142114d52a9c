//! What was done in the time of a phase: events that were seen, CPU time that was used. It goes by the clock, and not
//! by when a change was sent: a fault that stops a relay shows in what came meanwhile.

use super::cpu::{CpuReading, CpuStarts, cpu_series};
use super::phase::Phase;
use crate::history::History;
use crate::view::Join;
use reports::record::PhaseWork;
use std::collections::BTreeMap;

/// Returns the work of each phase, in their order; `None` for one that shares its time with
/// another, having only what was open at its end.
pub fn phase_work(join: &Join<'_>, phases: &[Phase]) -> Vec<Option<PhaseWork>> {
    let history = join.history;
    let mut all: Vec<Option<PhaseWork>> = phases
        .iter()
        .map(|phase| {
            phase
                .before
                .is_none()
                .then(|| without_events(history, phase))
        })
        .collect();
    let by_time: Vec<(usize, (i64, i64))> = phases
        .iter()
        .enumerate()
        .filter(|(_, phase)| phase.before.is_none())
        .flat_map(|(index, phase)| spans(history, phase).map(move |span| (index, span)))
        .collect();
    for seen_ns in (0..join.truth.len()).filter_map(|slot| join.seen(slot)) {
        let is_in = |(_, (from, until)): &&(usize, (i64, i64))| (*from..*until).contains(&seen_ns);
        if let Some((index, _)) = by_time.iter().find(is_in)
            && let Some(work) = &mut all[*index]
        {
            work.events = work.events.map(|events| events + 1);
        }
    }
    all
}

/// A phase before its events are counted.
fn without_events(history: &History, phase: &Phase) -> PhaseWork {
    let lasted_ns: i64 = spans(history, phase)
        .map(|(from, until)| until - from)
        .sum();
    let starts = CpuStarts::of(history);
    let used = |(process, samples): (&str, Vec<CpuReading>)| {
        let between = |before, after| starts.used_between(process, before, after).0;
        let used = spans(history, phase).map(|span| used_in(&samples, span, between));
        (process.to_owned(), used.sum())
    };
    PhaseWork {
        faults: phase.in_force.clone(),
        lasted_s: lasted_ns as f64 / 1e9,
        events: Some(0),
        cpu_s: cpu_by_process(history).into_iter().map(used).collect(),
    }
}

/// Returns a phase's stretches within the load, run time in ns: after that nothing is asked for any more.
fn spans(history: &History, phase: &Phase) -> impl Iterator<Item = (i64, i64)> {
    let meta = &history.meta;
    let (from, until) = (meta.load_from_ns, meta.load_until_ns.max(meta.load_from_ns));
    let within = move |at: i64| at.clamp(from, until);
    phase
        .spans
        .iter()
        .map(move |span| (within(span.0), within(span.1)))
}

/// Returns each process's samples as (run time in ns, CPU seconds used by then), in order of time.
fn cpu_by_process(history: &History) -> BTreeMap<&str, Vec<CpuReading>> {
    let mut by_process: BTreeMap<&str, Vec<CpuReading>> = BTreeMap::new();
    for sample in &history.samples {
        if let Some(process) = cpu_series(&sample.series) {
            let samples = by_process.entry(process).or_default();
            samples.push((sample.at_ns, sample.value));
        }
    }
    for samples in by_process.values_mut() {
        samples.sort_by_key(|(at_ns, _)| *at_ns);
    }
    by_process
}

/// Returns the CPU seconds used in a stretch. A restarted process counts
/// again from 0, as in the figure of the whole run.
fn used_in(
    samples: &[CpuReading],
    (from, until): (i64, i64),
    used_between: impl Fn(CpuReading, CpuReading) -> f64,
) -> f64 {
    let part = |pair: &[CpuReading]| {
        let ((from_ns, _), (until_ns, _)) = (pair[0], pair[1]);
        let shared = until.min(until_ns) - from.max(from_ns);
        let length = until_ns - from_ns;
        if shared <= 0 || length <= 0 {
            return 0.0;
        }
        used_between(pair[0], pair[1]) * shared as f64 / length as f64
    };
    samples.windows(2).map(part).sum()
}
