//! When faults were in force, and which changes they overlap.

use super::join::NEVER;
use crate::history::History;
use crate::scenario::{Fault, Strategy, StrategyKind, Target, Victim};

/// From when to when, run time, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Begin.
    pub from_ns: i64,
    /// End; [`NEVER`] where there is none.
    pub until_ns: i64,
}

impl Span {
    /// Whether they have a moment in common.
    pub fn overlaps(self, other: Span) -> bool {
        self.from_ns <= other.until_ns && other.from_ns <= self.until_ns
    }

    /// The shortest span that covers both.
    pub fn hull(self, other: Span) -> Span {
        Span {
            from_ns: self.from_ns.min(other.from_ns),
            until_ns: self.until_ns.max(other.until_ns),
        }
    }
}

/// A fault that was in force.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Index into `scenario.faults`.
    pub fault: usize,
    /// From the planned injection (the effect precedes its confirmation by a little) to the
    /// confirmed heal.
    pub span: Span,
}

/// The strategy that a history is of.
pub fn strategy(history: &History) -> Option<&Strategy> {
    let meta = &history.meta;
    meta.scenario
        .strategies
        .iter()
        .find(|s| s.name == meta.strategy)
}

/// Whether a fault hits anything that the strategy uses.
pub fn concerns(fault: &Fault, kind: &StrategyKind) -> bool {
    match fault.target {
        Target::Process(Victim::Relay) => kind.has_relay(),
        Target::Process(_) => true,
        Target::Link(_) | Target::Kafka | Target::Postgres => {
            fault.target.links().into_iter().any(|link| kind.uses(link))
        }
    }
}

/// The scenario's faults that concern the history's strategy, with their index.
pub fn concerning(history: &History) -> Vec<(usize, &Fault)> {
    let Some(strategy) = strategy(history) else {
        return Vec::new();
    };
    history
        .meta
        .scenario
        .faults
        .iter()
        .enumerate()
        .filter(|(_, fault)| concerns(fault, &strategy.kind))
        .collect()
}

/// Those that were in force at any time, by begin.
pub fn windows(history: &History) -> Vec<Window> {
    let mut windows: Vec<Window> = concerning(history)
        .into_iter()
        .filter_map(|(index, _)| {
            let record = history.faults.iter().find(|r| r.fault as usize == index)?;
            let injected_ns = record.injected_ns?;
            Some(Window {
                fault: index,
                span: Span {
                    from_ns: injected_ns.min(record.planned_at_ns),
                    until_ns: record.healed_ns.unwrap_or(NEVER),
                },
            })
        })
        .collect();
    windows.sort_by_key(|w| w.span.from_ns);
    windows
}

/// `kill relay`, as people say it.
pub fn fault_name(fault: &Fault) -> String {
    format!("{} {}", fault.kind.name(), fault.target.name())
}
