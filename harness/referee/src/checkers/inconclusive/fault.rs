//! A fault that did nothing teaches nothing, and recovery without anything to recover is none.

use super::{Grounds, Inconclusive, missed_lessons, nothing};
use crate::bite::cut_short;
use crate::history::Outcome;
use crate::measure::last_heal_ns;
use crate::scenario::Fault;
use crate::view::{concerning, fault_name};

/// A fault of the scenario that concerns the strategy was never in force, or never healed.
pub fn injected(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let history = grounds.context.history();
    concerning(history)
        .into_iter()
        .filter_map(|(index, fault)| {
            let name = fault_name(fault);
            let record = history.faults.iter().find(|r| r.fault as usize == index);
            let reason = match record.map(|r| (r.injected_ns, r.healed_ns)) {
                Some((Some(_), Some(_))) => return None,
                Some((Some(_), None)) => format!("fault `{name}` was never healed"),
                Some((None, _)) | None => format!("fault `{name}` was never in force"),
            };
            Some(Inconclusive::new(reason, missed_lessons))
        })
        .collect()
}

/// A fault that concerns the strategy did not bite, or nothing says whether it did.
pub fn bit(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    concerning(grounds.context.history())
        .into_iter()
        .filter_map(|(index, fault)| {
            let name = fault_name(fault);
            let bite = grounds.bites.iter().find(|b| b.fault as usize == index);
            let reason = match bite {
                Some(bite) if bite.bit => return None,
                Some(bite) => format!("fault `{name}` did not bite: {}", bite.evidence),
                None => format!("fault `{name}`: nothing shows whether it bit"),
            };
            Some(Inconclusive::new(reason, missed_lessons))
        })
        .collect()
}

/// After the last heal, no order was intended, acknowledged, committed and seen.
pub fn recovered(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let join = &grounds.context.view.join;
    let Some(healed_ns) = last_heal_ns(join.history) else {
        return Vec::new();
    };
    let recovered = (0..join.truth.len()).any(|slot| {
        join.seen(slot).is_some()
            && join.request(slot).is_some_and(|request| {
                request.intended_ns > healed_ns && request.outcome == Outcome::Committed
            })
    });
    if recovered {
        return Vec::new();
    }
    let mut reason = "no order was committed, acknowledged and seen after the last heal: nothing \
                      shows that the system recovered"
        .to_owned();
    let concerned = concerning(join.history);
    let is_cut =
        |(n, fault): &&(usize, &Fault)| cut_short(join.history, *n as u32, fault).is_some();
    if let Some((_, fault)) = concerned.iter().find(is_cut) {
        reason += &format!(
            " (fault `{}` began so late that the end of the load cut it short)",
            fault_name(fault)
        );
    }
    vec![Inconclusive::new(reason, nothing)]
}
