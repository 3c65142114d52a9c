//! The three latencies, over the whole run and by phase.

use super::phase::{Phase, phases};
use super::recorder::Recorder;
use crate::checkers::join::Join;
use crate::history::{History, Outcome};
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
            committed: self.latencies.committed,
            latency_ms: self.latencies.set(),
        }
    }
}

/// Over the whole run, and by phase.
pub fn latencies(join: &Join<'_>) -> (Latencies, Vec<PhaseLatencies>) {
    let mut whole = Latencies::default();
    let mut parts: Vec<PhaseLatencies> = phases(join.history)
        .into_iter()
        .map(|phase| PhaseLatencies {
            phase,
            latencies: Latencies::default(),
        })
        .collect();
    each(join, &mut |intended_ns, record| {
        record(&mut whole);
        for part in parts.iter_mut().filter(|p| p.phase.contains(intended_ns)) {
            record(&mut part.latencies);
        }
    });
    (whole, parts)
}

/// Of the changes intended from then on, run time: of a system that is warm.
pub fn latencies_from(join: &Join<'_>, from_ns: i64) -> Latencies {
    let mut all = Latencies::default();
    each(join, &mut |intended_ns, record| {
        if intended_ns >= from_ns {
            record(&mut all);
        }
    });
    all
}

/// Records one thing.
type Record<'a> = &'a dyn Fn(&mut Latencies);

/// Gives what there is to record, with the intended start that it counts from.
fn each(join: &Join<'_>, visit: &mut dyn FnMut(i64, Record<'_>)) {
    for request in &join.history.requests {
        match request.outcome {
            Outcome::Committed => {
                let took_ns = request.ended_ns.saturating_sub(request.intended_ns);
                visit(request.intended_ns, &|l| l.order.record_ns(took_ns));
            }
            Outcome::Unknown | Outcome::NotSent => {
                visit(request.intended_ns, &|l| l.order.never());
            }
            Outcome::Rejected => {}
        }
    }
    for slot in 0..join.truth.len() {
        let Some(request) = join.request(slot) else {
            continue;
        };
        let seen = join.seen(slot);
        let told = request.outcome == Outcome::Committed;
        visit(request.intended_ns, &|l| {
            l.committed += 1;
            match seen {
                Some(at) => l
                    .end_to_end
                    .record_ns(at.saturating_sub(request.intended_ns)),
                None => l.end_to_end.never(),
            }
            match seen {
                Some(at) if told => l.propagation.record_ns(at.saturating_sub(request.ended_ns)),
                None if told => l.propagation.never(),
                _ => {}
            }
        });
    }
}
