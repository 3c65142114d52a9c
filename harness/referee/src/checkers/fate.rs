//! What became of a committed change without a valid event: the three checkers `lost`,
//! `undrained` and `undecided` share the committed changes without an event among them, each
//! change to exactly one.
//!
//! What is undecided is narrow: the fence had to kill a dual write's service, and the publish may
//! have been under way at that moment. It was not where the client had its answer, whatever it said;
//! nor where the publish had begun so long before that the service had given it up. A client that
//! was told nothing knows neither, but the order's later versions do: each was written after this
//! one was committed, so once one of them was answered, this one's publish had begun.

use super::context::Context;
use crate::history::{FenceStep, Life, NONE, Outcome, Request};
use crate::measure::ns;
use crate::scenario::OneChance;
use crate::view::{Join, NEVER};
use std::time::Duration;

/// A fate is what has become of a committed change without a valid event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing holds it any more.
    Lost,
    /// The source still holds it.
    Undrained,
    /// The teardown itself may have cut its publish off.
    Undecided,
}

/// This tells which [`Fate`] each committed change without a valid event has met.
pub struct Fates<'a, 'b> {
    context: &'b Context<'a>,
    /// The fence killed a dual write's service.
    cut: Option<Cut>,
}

/// librdkafka looks once a second for what has timed out.
const GRACE: Duration = Duration::from_secs(1);

/// The end of a service that the fence had to kill.
struct Cut {
    /// When the life that was cut off began.
    from_ns: i64,
    /// A publish that had begun by then was given up before the end; [`i64::MIN`] where no time is
    /// known after which one is.
    given_up_ns: i64,
    /// This is, by slot, when it was certainly committed; [`NEVER`] where nothing says so.
    committed_by_ns: Vec<i64>,
}

impl Cut {
    fn of(context: &Context<'_>) -> Option<Self> {
        let history = context.history();
        let OneChance { within, policy } = context.view.topology()?.one_chance?;
        if !history.meta.service_killed_at_teardown {
            return None;
        }
        let service = || {
            let lives = history.processes.iter();
            lives.filter(|p| p.process == "order-service")
        };
        let from_ns = service()
            .filter(|p| p.life == Life::Started)
            .map(|p| p.at_ns)
            .max();
        let stopped = history
            .fences
            .iter()
            .filter(|step| step.is(FenceStep::StopService));
        let ended_ns = stopped.map(|step| step.ended_ns).max();
        let given_up_ns = within.zip(ended_ns).map(|(within, ended_ns)| {
            let takes_ns = ns(policy.within(within + GRACE));
            ended_ns.saturating_sub(takes_ns)
        });
        Some(Self {
            from_ns: from_ns.unwrap_or(i64::MIN),
            given_up_ns: given_up_ns.unwrap_or(i64::MIN),
            committed_by_ns: committed_by_ns(&context.view.join),
        })
    }

    fn may_have_cut_off(&self, slot: usize, request: Request) -> bool {
        request.sent_ns > self.from_ns
            && !is_answered(request)
            && self.committed_by_ns[slot] > self.given_up_ns
    }
}

/// Whether its client had an answer, whatever it said.
fn is_answered(request: Request) -> bool {
    match request.outcome {
        Outcome::Committed | Outcome::Rejected | Outcome::NotSent => true,
        Outcome::Unknown => request.status != 0,
    }
}

/// By slot, when it was certainly committed: when a client had been told so, or a later version of
/// the order had its answer.
fn committed_by_ns(join: &Join<'_>) -> Vec<i64> {
    let mut by_ns = vec![NEVER; join.truth.len()];
    let mut note = |slot: Option<usize>, request: Request| {
        if let Some(slot) = slot {
            by_ns[slot] = by_ns[slot].min(request.ended_ns);
        }
    };
    for (attempt, request) in join.history.requests.numbered() {
        if request.outcome == Outcome::Committed {
            note(join.slot(request.order, request.told_version), request);
        }
        // Of several versions that one attempt made, the answer can have come before all but the first.
        if is_answered(request) {
            note(join.slot_of(attempt as u32), request);
        }
    }
    for later in (1..by_ns.len()).rev() {
        let order = join.truth.at(later).order;
        if order != NONE && join.truth.at(later - 1).order == order {
            by_ns[later - 1] = by_ns[later - 1].min(by_ns[later]);
        }
    }
    by_ns
}

impl<'a, 'b> Fates<'a, 'b> {
    /// Prepares to tell the fates of one history; this looks once at how its order service ended.
    pub fn new(context: &'b Context<'a>) -> Self {
        let cut = Cut::of(context);
        Self { context, cut }
    }

    /// Returns the slots of the committed changes without a valid event that met this fate.
    pub fn slots(&self, fate: Fate) -> impl Iterator<Item = usize> {
        self.context
            .view
            .join
            .unpublished()
            .filter(move |slot| self.of(*slot) == fate)
    }

    fn of(&self, slot: usize) -> Fate {
        if self.context.view.join.held(slot) {
            return Fate::Undrained;
        }
        let request = self.context.view.join.request(slot);
        match (&self.cut, request) {
            (Some(cut), Some(request)) if cut.may_have_cut_off(slot, request) => Fate::Undecided,
            _ => Fate::Lost,
        }
    }
}
