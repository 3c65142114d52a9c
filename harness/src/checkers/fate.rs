//! What became of a committed change without a valid event: the three checkers `lost`,
//! `undrained` and `undecided` share the committed changes without an event among them, each
//! change to exactly one.

use super::context::Context;
use crate::history::Life;

/// Where a committed change without a valid event belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing holds it any more.
    Lost,
    /// The source still holds it.
    Undrained,
    /// The teardown itself may have cut its publish off.
    Undecided,
}

/// Tells fates apart.
pub struct Fates<'a, 'b> {
    context: &'b Context<'a>,
    /// Publishes of requests sent from here on were cut off when the service had to be killed.
    cut_off_from_ns: Option<i64>,
}

impl<'a, 'b> Fates<'a, 'b> {
    /// For one history.
    pub fn new(context: &'b Context<'a>) -> Self {
        let history = context.history();
        let killed = context.is_dual_write() && history.meta.service_killed_at_teardown;
        let last_start = history
            .processes
            .iter()
            .filter(|p| p.process == "order-service" && p.life == Life::Started)
            .map(|p| p.at_ns)
            .max()
            .unwrap_or(i64::MIN);
        Self {
            context,
            cut_off_from_ns: killed.then_some(last_start),
        }
    }

    /// The committed changes without a valid event that met this fate.
    pub fn slots(&self, fate: Fate) -> impl Iterator<Item = usize> {
        self.context
            .join
            .unpublished()
            .filter(move |slot| self.of(*slot) == fate)
    }

    fn of(&self, slot: usize) -> Fate {
        if self.context.join.held(slot) {
            return Fate::Undrained;
        }
        let sent_ns = self.context.join.request(slot).map(|r| r.sent_ns);
        match (self.cut_off_from_ns, sent_ns) {
            (Some(from_ns), Some(sent_ns)) if sent_ns > from_ns => Fate::Undecided,
            _ => Fate::Lost,
        }
    }
}
