//! What a fault waited for: whether that came, and whether it came in time.

use super::lack::{Lack, REACHABLE, lack};
use crate::bite::name;
use crate::history::{FaultRecord, History, Observation};
use crate::scenario::units::show_duration;
use crate::scenario::{Fault, Trigger};
use std::time::Duration;

/// A fault that a key ended so long before the end of the load was ended by nothing else.
const BY_HAND: Duration = Duration::from_millis(50);

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
    let (what, short) = (trigger.describe(), trigger.fell_short(far));
    let what = match note(history, index) {
        Some(why) => format!("its trigger, {what}, never fired because {why}"),
        None => format!("its trigger, {what}, was not reached: {short}"),
    };
    Some(lack(what, REACHABLE))
}

/// What is noted of a fault's trigger.
fn note(history: &History, index: u32) -> Option<&str> {
    let mut notes = history.meta.trigger_notes.iter();
    let note = notes.find(|note| note.fault == index)?;
    Some(&note.text)
}

/// What the trigger of a fault fired on, where it says more than that it fired.
pub(crate) fn fired_on<'h>(history: &'h History, record: &FaultRecord) -> Option<&'h str> {
    fired_ns(history, record)?;
    note(history, record.fault)
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
    let by_itself = lasted < fault.lasts && !history.meta.interrupted;
    (by_itself && !is_ended_by_hand(history, fault, until_ns)).then_some(lasted)
}

/// Whether a fault that a key began was ended by a key as well.
fn is_ended_by_hand(history: &History, fault: &Fault, until_ns: i64) -> bool {
    let meta = &history.meta;
    let load = meta.scenario.workload.duration.saturating_sub(BY_HAND);
    let load_ns = i64::try_from(load.as_nanos()).unwrap_or(i64::MAX);
    let is_key = fault.trigger().is_some_and(Trigger::is_key);
    is_key && until_ns < meta.load_from_ns.saturating_add(load_ns)
}

/// What is to be said of a fault beside what it did, for the sake of its trigger: what that fired on, and
/// that the end of the load cut the fault short.
pub(super) fn circumstances(history: &History, index: u32, fault: &Fault) -> Option<String> {
    let record = history.faults.iter().find(|r| r.fault == index)?;
    let on = fired_on(history, record).map(|on| format!("its trigger fired on `{on}`"));
    let said: Vec<String> = on
        .into_iter()
        .chain(how_it_ended(history, index, fault))
        .collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// Tells in words how the end of the load cut the fault short; `None` if it did not.
fn how_it_ended(history: &History, index: u32, fault: &Fault) -> Option<String> {
    let lasted = cut_short(history, index, fault)?;
    Some(format!(
        "it was healed at the end of the load, {} after its injection, though it was to last {}",
        show_duration(Duration::from_millis(lasted.as_millis() as u64)),
        show_duration(fault.lasts)
    ))
}

/// Returns when what the fault waited for came: run time, nanoseconds; `None` while that never did.
pub(crate) fn fired_ns(history: &History, record: &FaultRecord) -> Option<i64> {
    let mut own = history.observations.iter();
    own.any(|o| o.fault == record.fault && o.name == name::TRIGGER_FIRED)
        .then_some(record.planned_at_ns)
}

#[cfg(test)]
mod tests {
    use crate::bite::name;
    use crate::bite::staged::*;
    use crate::history::{Outcome, TriggerNote};
    use crate::scenario::{FaultKind, Link, Start, Target, Trigger, Victim};
    use std::time::Duration;

    const LINK: &str = "relay->kafka";

    /// A cut that waits for this; injected at 4 s, healed at 8 s, and felt.
    fn cut(trigger: Trigger) -> Staged {
        let target = Target::Link(Link::RELAY_KAFKA);
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

    fn says(matches: &str) -> Trigger {
        Trigger::Log {
            of: Victim::RELAY,
            matches: matches.to_owned(),
        }
    }

    fn noted(mut staged: Staged, text: &str) -> Staged {
        staged.0.meta.trigger_notes.push(TriggerNote {
            fault: 0,
            text: text.to_owned(),
        });
        staged
    }

    #[test]
    fn given_a_line_that_a_fault_waited_for_then_its_evidence_has_the_line() {
        let fired = cut(says("up")).at(3.98, LINK, name::TRIGGER_FIRED, 1.0);
        noted(fired, "12:00 up and running").bit("; its trigger fired on `12:00 up and running`");
    }

    #[test]
    fn given_a_log_or_a_query_that_was_waited_for_in_vain_then_it_is_said_why() {
        let query = || Trigger::Sql {
            query: "select seq > 9 from outbox".to_owned(),
            at: 0,
        };
        in_vain(says("up"), 0.0).did_not_bite(
            "its trigger, relay logs `up`, was not reached: the relay logged no such line by the end \
             of the load",
        );
        in_vain(query(), 0.0).did_not_bite(
            "its trigger, `select seq > 9 from outbox`, was not reached: it was never true by the end \
             of the load",
        );
        noted(in_vain(query(), 0.0), "relation \"outbox\" does not exist").did_not_bite(
            "its trigger, `select seq > 9 from outbox`, never fired because relation \"outbox\" does \
             not exist",
        );
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

    #[test]
    fn given_a_fault_that_keys_began_and_ended_then_the_end_of_the_load_did_not_cut_it_short() {
        let key = Trigger::Key { key: 'b', press: 1 };
        let mut cut = cut(key).at(3.98, LINK, name::TRIGGER_FIRED, 1.0);
        cut.0.meta.scenario.faults[0].lasts = Duration::from_secs(10);
        assert_eq!(
            super::cut_short(&cut.0, 0, &cut.0.meta.scenario.faults[0]),
            None
        );
        cut.bit("the system had no connection");
        // One that the end of the load did end.
        cut.0.meta.scenario.workload.duration = Duration::from_secs(8);
        let short = super::cut_short(&cut.0, 0, &cut.0.meta.scenario.faults[0]);
        assert!(short.is_some());
    }
}
