//! Phases of a run: before, during and after each fault, by intended start.

use super::ns;
use crate::checkers::window::{concerning, fault_name};
use crate::history::History;

/// A stretch of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// `before`, `during down kafka`, `between down kafka and kill relay`, `after`; `whole run`
    /// where no fault concerns the strategy.
    pub name: String,
    /// Begin, run time; the first phase has none.
    pub from_ns: i64,
    /// End, exclusive; the last phase has none.
    pub until_ns: i64,
}

impl Phase {
    /// Whether a change intended then belongs to it.
    pub fn contains(&self, intended_ns: i64) -> bool {
        (self.from_ns..self.until_ns).contains(&intended_ns)
    }
}

/// The phases that the scenario plans, with the bounds they really had. One of no planned length
/// does not exist. Faults that do not concern the strategy make none.
pub fn phases(history: &History) -> Vec<Phase> {
    let meta = &history.meta;
    let planned_end = meta
        .load_from_ns
        .saturating_add(ns(meta.scenario.workload.duration));
    let mut faults = concerning(history);
    faults.sort_by_key(|(_, fault)| fault.at);
    let mut phases: Vec<Phase> = Vec::new();
    // How far the faults so far reach, as planned and as it was.
    let mut planned_ns = meta.load_from_ns;
    let mut actual_ns = i64::MIN;
    let mut previous: Option<String> = None;
    for (index, fault) in faults {
        let record = history.faults.iter().find(|r| r.fault as usize == index);
        let planned_from = meta.load_from_ns.saturating_add(ns(fault.at));
        let planned_until = planned_from.saturating_add(ns(fault.lasts));
        let from_ns = record.and_then(|r| r.injected_ns).unwrap_or(planned_from);
        let until_ns = record
            .and_then(|r| r.healed_ns)
            .unwrap_or(planned_until)
            .max(from_ns);
        let name = fault_name(fault);
        if planned_from > planned_ns {
            let gap = match &previous {
                None => "before".to_owned(),
                Some(previous) => format!("between {previous} and {name}"),
            };
            push(&mut phases, gap, actual_ns, from_ns);
        }
        // Without a gap before it, the first phase takes in everything earlier.
        let begin = if phases.is_empty() { i64::MIN } else { from_ns };
        push(&mut phases, format!("during {name}"), begin, until_ns);
        planned_ns = planned_ns.max(planned_until);
        actual_ns = actual_ns.max(until_ns);
        previous = Some(name);
    }
    if phases.is_empty() {
        push(&mut phases, "whole run".to_owned(), i64::MIN, i64::MAX);
    } else if planned_end > planned_ns {
        push(&mut phases, "after".to_owned(), actual_ns, i64::MAX);
    } else if let Some(last) = phases.iter_mut().max_by_key(|p| p.until_ns) {
        last.until_ns = i64::MAX;
    }
    phases
}

/// Adds a phase; a name that is taken gets a number.
fn push(phases: &mut Vec<Phase>, name: String, from_ns: i64, until_ns: i64) {
    let same = |p: &&Phase| p.name == name || p.name.starts_with(&format!("{name} ("));
    let taken = phases.iter().filter(same).count();
    let name = match taken {
        0 => name,
        n => format!("{name} ({})", n + 1),
    };
    phases.push(Phase {
        name,
        from_ns,
        until_ns: until_ns.max(from_ns),
    });
}
