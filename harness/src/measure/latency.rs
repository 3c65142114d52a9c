//! The three latencies, over the whole run and by phase.

use super::phase::{Phase, phases};
use super::recorder::Recorder;
use crate::checkers::join::Join;
use crate::history::{History, Outcome, Request};
use reports::record;

/// Order, propagation and end-to-end latency of some changes.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    /// Intended start to answer, of acknowledged requests; one that was told nothing never ended.
    /// Rejected ones are apart.
    pub order: Recorder,
    /// Answer to first sight, of acknowledged and committed changes; below zero where the event
    /// was seen before its answer.
    pub propagation: Recorder,
    /// Intended start to first sight, of everything committed.
    pub end_to_end: Recorder,
    /// Versions committed.
    pub committed: u64,
}

impl Latencies {
    fn add(&mut self, other: &Self) {
        self.order.add(&other.order);
        self.propagation.add(&other.propagation);
        self.end_to_end.add(&other.end_to_end);
        self.committed += other.committed;
    }

    /// For the record.
    pub fn set(&self) -> record::LatencySet {
        record::LatencySet {
            order: self.order.latency(),
            propagation: self.propagation.latency(),
            end_to_end: self.end_to_end.latency(),
        }
    }
}

/// A phase and what was measured of the changes intended in it.
#[derive(Debug, Clone)]
pub struct PhaseLatencies {
    /// The phase.
    pub phase: Phase,
    /// Its latencies.
    pub latencies: Latencies,
}

impl PhaseLatencies {
    /// For the record; bounds in seconds from the load's start, within the load.
    pub fn record(&self, history: &History) -> record::Phase {
        let meta = &history.meta;
        let (from, until) = (meta.load_from_ns, meta.load_until_ns.max(meta.load_from_ns));
        let seconds = |at: i64| (at.clamp(from, until) - from) as f64 / 1e9;
        record::Phase {
            name: self.phase.name.clone(),
            from_s: seconds(self.phase.from_ns),
            until_s: seconds(self.phase.until_ns),
            committed: Some(self.latencies.committed),
            latency_ms: self.latencies.set(),
        }
    }
}

/// Over the whole run, and by phase.
pub fn latencies(join: &Join<'_>) -> (Latencies, Vec<PhaseLatencies>) {
    let mut split = Split::new(phases(join.history));
    each(join, |intended_ns, one| split.add(intended_ns, one));
    split.done()
}

/// Of the changes intended from then on, run time: of a system that is warm.
pub fn latencies_from(join: &Join<'_>, from_ns: i64) -> Latencies {
    let mut all = Latencies::default();
    each(join, |intended_ns, one| {
        if intended_ns >= from_ns {
            one.record(&mut all);
        }
    });
    all
}

/// What there is to record of one request or version; no time where something never ended.
#[derive(Clone, Copy)]
enum One {
    /// Until the answer.
    Request(Option<i64>),
    /// A committed version.
    Version {
        /// From the intended start to the first sight.
        end_to_end_ns: Option<i64>,
        /// From the answer to the first sight, where there was an answer.
        propagation_ns: Option<Option<i64>>,
    },
}

impl One {
    fn record(self, into: &mut Latencies) {
        match self {
            Self::Request(took_ns) => into.order.record(took_ns),
            Self::Version {
                end_to_end_ns,
                propagation_ns,
            } => {
                into.committed += 1;
                into.end_to_end.record(end_to_end_ns);
                if let Some(propagation_ns) = propagation_ns {
                    into.propagation.record(propagation_ns);
                }
            }
        }
    }
}

/// Gives what there is to record, with the intended start that it counts from.
fn each(join: &Join<'_>, mut visit: impl FnMut(i64, One)) {
    let version = |slot: usize, request: Request| {
        let seen_ns = join.seen(slot);
        let since = |ns: i64| seen_ns.map(|at| at.saturating_sub(ns));
        let told = request.outcome == Outcome::Committed;
        One::Version {
            end_to_end_ns: since(request.intended_ns),
            propagation_ns: told.then(|| since(request.ended_ns)),
        }
    };
    for (attempt, request) in join.history.requests.numbered() {
        let took_ns = request.ended_ns.saturating_sub(request.intended_ns);
        let one = match request.outcome {
            Outcome::Committed => Some(One::Request(Some(took_ns))),
            Outcome::Unknown | Outcome::NotSent => Some(One::Request(None)),
            Outcome::Rejected => None,
        };
        if let Some(one) = one {
            visit(request.intended_ns, one);
        }
        if let Some(slot) = join.slot_of(attempt as u32) {
            visit(request.intended_ns, version(slot, request));
        }
    }
    for slot in join.repeated() {
        if let Some(request) = join.request(slot) {
            visit(request.intended_ns, version(slot, request));
        }
    }
}

/// Latencies by phase. Where no two phases overlap, as nearly always, each change is recorded once,
/// and the whole is added up in the end.
struct Split {
    /// Of the whole run; until the end without what is in a phase, if no two overlap.
    whole: Latencies,
    parts: Vec<PhaseLatencies>,
    overlapping: bool,
}

impl Split {
    fn new(phases: Vec<Phase>) -> Self {
        let overlap = |a: &Phase, b: &Phase| a.from_ns < b.until_ns && b.from_ns < a.until_ns;
        let overlapping =
            (1..phases.len()).any(|n| phases[..n].iter().any(|before| overlap(before, &phases[n])));
        let parts = phases.into_iter().map(|phase| PhaseLatencies {
            phase,
            latencies: Latencies::default(),
        });
        Self {
            whole: Latencies::default(),
            parts: parts.collect(),
            overlapping,
        }
    }

    fn add(&mut self, intended_ns: i64, one: One) {
        let is_in = |part: &&mut PhaseLatencies| part.phase.contains(intended_ns);
        if self.overlapping {
            self.parts
                .iter_mut()
                .filter(is_in)
                .for_each(|part| one.record(&mut part.latencies));
            one.record(&mut self.whole);
        } else {
            match self.parts.iter_mut().find(is_in) {
                Some(part) => one.record(&mut part.latencies),
                None => one.record(&mut self.whole),
            }
        }
    }

    fn done(mut self) -> (Latencies, Vec<PhaseLatencies>) {
        if !self.overlapping {
            for part in &self.parts {
                self.whole.add(&part.latencies);
            }
        }
        (self.whole, self.parts)
    }
}
