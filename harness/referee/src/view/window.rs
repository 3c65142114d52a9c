//! When the faults that concern a strategy were in force.

use super::span::{NEVER, Span};
use crate::history::History;
use crate::scenario::{Fault, Strategy};

/// A fault that was in force.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// The fault has this index in `scenario.faults`.
    pub fault: usize,
    /// The span reaches from the planned injection, or the moment for which the fault waited (the effect precedes its
    /// confirmation by a little), to the confirmed heal.
    pub span: Span,
}

/// The strategy that a history is of.
pub fn strategy(history: &History) -> Option<&Strategy> {
    history.meta.strategy_of_it()
}

/// Returns the scenario's faults that concern the history's strategy, with their index.
pub fn concerning(history: &History) -> Vec<(usize, &Fault)> {
    let Some(topology) = history.meta.topology() else {
        return Vec::new();
    };
    history
        .meta
        .scenario
        .faults
        .iter()
        .enumerate()
        .filter(|(_, fault)| fault.concerns(topology))
        .collect()
}

/// Returns those of them that can explain what the strategy itself did, which a fault on a consumer cannot; and
/// what a consumer did, where its process is named: those and the ones on itself.
pub fn explaining<'h>(history: &'h History, consumer: Option<&str>) -> Vec<(usize, &'h Fault)> {
    let mut faults = concerning(history);
    faults.retain(|(_, fault)| match fault.consumer() {
        Some(name) => Some(name.process()) == consumer,
        None => consumer.is_some() || !fault.is_of_consumers(),
    });
    faults
}

/// Those that can explain what the strategy did and were in force at any time, by begin.
pub fn windows(history: &History) -> Vec<Window> {
    windows_for(history, None)
}

/// The same of what a consumer did, where its process is named.
pub fn windows_for(history: &History, consumer: Option<&str>) -> Vec<Window> {
    let mut windows: Vec<Window> = explaining(history, consumer)
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

/// Returns a fault's name as people say it, such as `kill relay`.
pub fn fault_name(fault: &Fault) -> String {
    format!("{} {}", fault.kind.name(), fault.target.name())
}
