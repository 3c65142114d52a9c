//! What a fault waited for: whether that came, and whether it came in time.

use super::lack::{Lack, REACHABLE, lack};
use crate::bite::name;
use crate::history::{FaultRecord, History, Observation};
use crate::scenario::Fault;
use crate::scenario::units::show_duration;
use std::time::Duration;

/// How far the trigger of a fault came that was waited for in vain.
pub(super) fn missed(history: &History, index: u32) -> Option<&Observation> {
    let mut own = history.observations.iter();
    own.find(|o| o.fault == index && o.name == name::TRIGGER_MISSED)
}

/// Why a fault was never in force, where that is because what it waited for never came.
pub(super) fn never_fired(history: &History, index: u32, fault: &Fault) -> Option<Lack> {
    let trigger = fault.trigger()?;
    let value = missed(history, index)?.value;
    let far = (value >= 0.0).then_some(value as u64);
    let what = format!(
        "its trigger, {}, was not reached: {}",
        trigger.describe(),
        trigger.fell_short(far)
    );
    Some(lack(what, REACHABLE))
}

/// How long a fault was in force that the end of the load cut short, since it began too late. One with a
/// time never does: its file would have been refused.
pub(crate) fn cut_short(history: &History, index: u32, fault: &Fault) -> Option<Duration> {
    fault.trigger()?;
    let record = history.faults.iter().find(|r| r.fault == index)?;
    let (injected_ns, healed_ns) = (record.injected_ns?, record.healed_ns?);
    let mut own = history.observations.iter();
    let healing = own.find(|o| o.fault == index && o.name == name::HEALING);
    let until_ns = healing.map_or(healed_ns, |o| o.at_ns.min(healed_ns));
    let lasted_ns = u64::try_from(until_ns.saturating_sub(injected_ns)).unwrap_or(0);
    let lasted = Duration::from_nanos(lasted_ns);
    (lasted < fault.lasts && !history.meta.interrupted).then_some(lasted)
}

/// The same in words.
pub(super) fn how_it_ended(history: &History, index: u32, fault: &Fault) -> Option<String> {
    let lasted = cut_short(history, index, fault)?;
    Some(format!(
        "it was healed at the end of the load, {} after its injection, though it was to last {}",
        show_duration(Duration::from_millis(lasted.as_millis() as u64)),
        show_duration(fault.lasts)
    ))
}

/// When what it waited for came; `None` while that never did.
pub(crate) fn fired_ns(history: &History, record: &FaultRecord) -> Option<i64> {
    let mut own = history.observations.iter();
    own.any(|o| o.fault == record.fault && o.name == name::TRIGGER_FIRED)
        .then_some(record.planned_at_ns)
}

#[cfg(test)]
mod tests {
    use crate::bite::name;
    use crate::bite::staged::*;
    use crate::history::Outcome;
    use crate::scenario::{FaultKind, Link, Start, Target, Trigger};
    use std::time::Duration;

    const LINK: &str = "relay->kafka";

    /// A cut that waits for this; injected at 4 s, healed at 8 s, and felt.
    fn cut(trigger: Trigger) -> Staged {
        let target = Target::Link(Link::RelayKafka);
        let mut staged = Staged::new(target, FaultKind::Down, polling())
            .every(3.0..4.0, LINK, name::SOCKETS, |_| 0.0)
            .every(4.0..8.0, LINK, name::SOCKETS, |_| 0.0)
            .every(4.0..8.0, LINK, name::PROBE_REFUSED, |_| 1.0);
        for _ in 0..26 {
            staged = staged.request(5.0, 5.1, Outcome::Committed, Some(9.0));
        }
        staged.0.meta.scenario.faults[0].start = Start::When(trigger);
        staged
    }

    fn after(fault: &str) -> Trigger {
        Trigger::After {
            fault: fault.to_owned(),
            after: Duration::from_millis(500),
        }
    }

    /// The same, waited for in vain until 12 s.
    fn in_vain(trigger: Trigger, far: f64) -> Staged {
        let mut staged = cut(trigger).at(12.0, LINK, name::TRIGGER_MISSED, far);
        let record = &mut staged.0.faults[0];
        record.planned_at_ns = 12_000_000_000;
        (record.injected_ns, record.healed_ns) = (None, None);
        staged
    }

    #[test]
    fn given_a_trigger_that_fired_then_the_fault_is_judged_like_any_other() {
        let fired = cut(Trigger::Events(300)).at(3.98, LINK, name::TRIGGER_FIRED, 304.0);
        fired.bit("grew from 0 to 26");
        assert!(
            !super::super::bites(&fired.0)[0]
                .evidence
                .contains("end of the load")
        );
    }

    #[test]
    fn given_a_trigger_that_never_fired_then_the_fault_did_not_bite_and_says_how_far_it_came() {
        for (trigger, far, said) in [
            (
                Trigger::Events(1000),
                312.0,
                "its trigger, 1000 events, was not reached: 312 by the end of the load (waited for until 12.0 s: let it wait for less",
            ),
            (
                Trigger::Committed(1000),
                0.0,
                "its trigger, 1000 committed changes, was not reached: 0 by the end of the load",
            ),
            (
                Trigger::Backlog(50),
                7.0,
                "its trigger, a backlog of 50, was not reached: 7 at most by the end of the load",
            ),
            (
                after("cut"),
                4.2e8,
                "its trigger, 500ms after cut, was not reached: 420ms by the end of the load",
            ),
            (
                after("cut"),
                -1.0,
                "its trigger, 500ms after cut, was not reached: cut was never injected",
            ),
        ] {
            in_vain(trigger, far).did_not_bite(said);
        }
    }

    #[test]
    fn given_a_trigger_that_fired_when_the_injection_failed_then_that_is_the_reason() {
        let mut failed = cut(Trigger::Events(3)).at(3.98, LINK, name::TRIGGER_FIRED, 3.0);
        (failed.0.faults[0].injected_ns, failed.0.faults[0].healed_ns) = (None, None);
        failed.did_not_bite("it was never in force");
    }

    #[test]
    fn given_a_fault_that_was_cut_short_then_it_says_so_whether_it_bit_or_not() {
        let end = "it was healed at the end of the load, 4s after its injection, though it was to last 6s";
        let mut short = cut(Trigger::Events(3));
        short.0.meta.scenario.faults[0].lasts = Duration::from_secs(6);
        short.bit(end);
        let short = short.without(name::PROBE_REFUSED);
        short.did_not_bite(end);
        // Neither one with a time, nor one that an interruption ended, was cut short by the load
        let mut timed = short;
        timed.0.meta.scenario.faults[0].start = Start::At(Duration::from_secs(4));
        assert!(!super::super::bites(&timed.0)[0].evidence.contains(end));
        timed.0.meta.scenario.faults[0].start = Start::When(Trigger::Events(3));
        timed.0.meta.interrupted = true;
        assert!(!super::super::bites(&timed.0)[0].evidence.contains(end));
    }
}
