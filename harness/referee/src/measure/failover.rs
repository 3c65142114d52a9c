//! How long it took until somebody went on with the work of a relay that was hit.

use crate::bite::name;
use crate::history::{FaultRecord, History};
use crate::view::Join;

/// Seconds from the beginning of a fault's injection until the first event was seen of any change that
/// was sent when the fault was certainly in force; `None` if none of them ever was, or the fault never.
///
/// What had been sent before can have been on its way already: it says nothing of a successor. The time is
/// therefore never shorter than the fail-over, and longer by what an injection and a change take.
pub fn failover_s(join: &Join<'_>, fault: &FaultRecord) -> Option<f64> {
    let injected_ns = fault.injected_ns?;
    let began_ns = began_ns(join.history, fault, injected_ns);
    let mut first_ns: Option<i64> = None;
    for slot in 0..join.truth.len() {
        let Some(seen_ns) = join.seen(slot) else {
            continue;
        };
        let sent = join.request(slot).map(|request| request.sent_ns);
        if sent.is_some_and(|sent_ns| sent_ns >= injected_ns)
            && first_ns.is_none_or(|first_ns| seen_ns < first_ns)
        {
            first_ns = Some(seen_ns);
        }
    }
    Some(first_ns?.saturating_sub(began_ns).max(0) as f64 / 1e9)
}

/// Returns when the injection began, run time; where nobody noted that, when it was done.
fn began_ns(history: &History, fault: &FaultRecord, injected_ns: i64) -> i64 {
    let mut marks = history.observations.iter();
    let mark = marks.find(|o| o.fault == fault.fault && o.name == name::INJECTING);
    mark.map_or(injected_ns, |o| o.at_ns.min(injected_ns))
}
