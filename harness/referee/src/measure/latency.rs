//! The three latencies, over the whole run and by phase.

use super::change::{Change, Changes};
use super::phase::{Phase, Phases};
use super::recorder::Recorder;
use crate::history::History;
use crate::view::{Join, Span, View};
use reports::record;

/// These are the order, propagation and end-to-end latencies of some changes.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    /// The order latency goes from the first intended start to the answer, of acknowledged changes; one that was told
    /// nothing never ended. Rejected ones are not in it.
    pub order: Recorder,
    /// The propagation latency goes from the answer to the first sight, of acknowledged and committed changes; it is
    /// below zero where the event was seen before its answer.
    pub propagation: Recorder,
    /// The end-to-end latency goes from the first intended start to the first sight, of everything committed.
    pub end_to_end: Recorder,
    /// This counts the committed versions that these changes made.
    pub committed: u64,
}

impl Latencies {
    /// Records a change with the versions it made.
    fn record(&mut self, join: &Join<'_>, change: Change, slots: &[usize]) {
        let since = |from_ns: i64, at_ns: Option<i64>| Some(at_ns?.saturating_sub(from_ns));
        if change.committed_ns.is_some() || !change.refused {
            let took_ns = since(change.intended_ns, change.committed_ns);
            self.order.record(took_ns);
        }
        for slot in slots {
            let seen_ns = join.seen(*slot);
            self.committed += 1;
            self.end_to_end.record(since(change.intended_ns, seen_ns));
            if let Some(answered_ns) = change.committed_ns {
                self.propagation.record(since(answered_ns, seen_ns));
            }
        }
    }

    fn add(&mut self, other: &Self) {
        self.order.add(&other.order);
        self.propagation.add(&other.propagation);
        self.end_to_end.add(&other.end_to_end);
        self.committed += other.committed;
    }

    /// Returns the three distributions in the form of a run's record, milliseconds.
    pub fn set(&self) -> record::LatencySet {
        record::LatencySet {
            order: self.order.latency(),
            propagation: self.propagation.latency(),
            end_to_end: self.end_to_end.latency(),
        }
    }
}

/// A phase and what was measured of its changes.
#[derive(Debug, Clone)]
pub struct PhaseLatencies {
    /// This is the phase to which the changes belong.
    pub phase: Phase,
    /// These are the latencies of the phase's changes.
    pub latencies: Latencies,
}

impl PhaseLatencies {
    /// Returns the phase as a run's record has it, with its bounds in seconds from the load's start, cut to the load.
    pub fn record(&self, history: &History) -> record::Phase {
        let meta = &history.meta;
        let (from, until) = (meta.load_from_ns, meta.load_until_ns.max(meta.load_from_ns));
        let seconds = |at: i64| (at.clamp(from, until) - from) as f64 / 1e9;
        let spans: Vec<(f64, f64)> = self
            .phase
            .spans
            .iter()
            .map(|span| (seconds(span.0), seconds(span.1)))
            .collect();
        record::Phase {
            name: self.phase.name.clone(),
            from_s: spans.first().map_or(0.0, |span| span.0),
            until_s: spans.last().map_or(0.0, |span| span.1),
            spans_s: if spans.len() > 1 { spans } else { Vec::new() },
            committed: Some(self.latencies.committed),
            latency_ms: self.latencies.set(),
            work: None,
        }
    }
}

/// Measures the latencies over the whole run, and by phase. Each change is in one phase, and the whole is their sum.
pub fn latencies(view: &View<'_>) -> (Latencies, Vec<PhaseLatencies>) {
    let join = &view.join;
    let phases = Phases::of(join.history);
    let mut parts = vec![Latencies::default(); phases.all.len()];
    Changes::new(join).each(|change, slots| {
        let phase = phases.index(change.sent_ns, || open_until(view, change, slots));
        parts[phase].record(join, change, slots);
    });
    let mut whole = Latencies::default();
    parts.iter().for_each(|part| whole.add(part));
    let parts = phases.all.into_iter().zip(parts);
    let named = parts.map(|(phase, latencies)| PhaseLatencies { phase, latencies });
    (whole, named.collect())
}

/// Measures the latencies over the whole run alone.
pub fn whole(join: &Join<'_>) -> Latencies {
    latencies_from(join, i64::MIN)
}

/// Measures the changes that were intended from then on, run time: those of a system that is warm.
pub fn latencies_from(join: &Join<'_>, from_ns: i64) -> Latencies {
    let mut all = Latencies::default();
    Changes::new(join).each(|change, slots| {
        if change.intended_ns >= from_ns {
            all.record(join, change, slots);
        }
    });
    all
}

/// Of the changes that are picked by their time: from the first intended start to the last outcome, or
/// until each of its events had been seen, or had been passed.
pub fn latencies_where(
    view: &View<'_>,
    until_seen: bool,
    pick: impl Fn(Span) -> bool,
) -> Latencies {
    let mut all = Latencies::default();
    let join = &view.join;
    Changes::new(join).each(|change, slots| {
        let until_ns = match until_seen {
            true => open_until(view, change, slots),
            false => change.ended_ns,
        };
        let span = Span {
            from_ns: change.intended_ns,
            until_ns: until_ns.max(change.intended_ns),
        };
        if pick(span) {
            all.record(join, change, slots);
        }
    });
    all
}

/// When a change had its outcome and each of its events had been seen, or its relay had passed it.
fn open_until(view: &View<'_>, change: Change, slots: &[usize]) -> i64 {
    let delivered = slots.iter().map(|slot| match view.join.seen(*slot) {
        Some(seen_ns) => seen_ns,
        None => view.delivery_span(*slot).until_ns,
    });
    delivered.fold(change.ended_ns, i64::max)
}

/// What was committed in each stretch that the scenario plans as proof: each time without a fault,
/// with what was open at its end, and the whole of each fault, whatever else was in force.
pub fn stretches(parts: &[PhaseLatencies]) -> Vec<(String, u64)> {
    let mut stretches: Vec<(String, u64)> = Vec::new();
    for PhaseLatencies { phase, latencies } in parts {
        let mut add = |name: String| match stretches.iter_mut().find(|(known, _)| *known == name) {
            Some((_, committed)) => *committed += latencies.committed,
            None => stretches.push((name, latencies.committed)),
        };
        match &phase.before {
            Some(before) => add(before.clone()),
            None if phase.in_force.is_empty() => add(phase.name.clone()),
            None => phase
                .in_force
                .iter()
                .for_each(|fault| add(format!("during {fault}"))),
        }
    }
    stretches
}
