//! What was missing, where a fault did not bite, and what to change so that it does.

/// This says why a fault did not bite, and what to do about it.
#[derive(Debug)]
pub(super) struct Lack {
    /// This says in a few words what was missing.
    pub what: String,
    /// This says what to change in the scenario, or where to look.
    pub change: &'static str,
}

/// Returns a [`Lack`] of these two parts: what was missing, and what to change.
pub(super) fn lack(what: impl Into<String>, change: &'static str) -> Lack {
    Lack {
        what: what.into(),
        change,
    }
}

pub(super) const LOAD: &str = "raise `rate`, or let it begin where the load needs it";
pub(super) const REACHABLE: &str =
    "let it wait for less, raise `rate`, or give the workload a longer `duration`";
pub(super) const LONGER: &str = "give it a longer `for`";
pub(super) const STRONGER: &str = "make it stronger or longer, or raise the load";
pub(super) const ROOM: &str = "leave it time: a shorter `for`, or a longer `duration` behind it";
pub(super) const ALONE: &str = "see whether another fault, or the system by itself, was in its way";
pub(super) const ITS_TURN: &str = "let it hit the relay that does the work then: `relay` at the start, after a fault on that one another";
pub(super) const IN_DOUBT: &str =
    "let it hold while the order service is killed, with orders that are decided and not finished";
pub(super) const LOCAL: &str =
    "take a stack on this host (--stack local), where both sides of the proxy can be seen";
pub(super) const LOGS: &str = "see `logs/` in the run's folder";
pub(super) const FITTING: &str = "take a kind that fits its target";
