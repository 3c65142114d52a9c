//! A run that proves nothing passes nothing. Each rule is one small function that gives its
//! reason why it is inconclusive, and says which expectations cannot be told because of it.

mod clock;
mod death;
mod fault;
mod fence;
mod generator;
mod interruption;
mod observer;
mod proof;
mod reads;
mod visible;
mod work;

use super::Bite;
use super::context::Context;
use super::reading::Steps;
use crate::measure::PhaseLatencies;
use crate::scenario::{Comparison, Expectation, LatencyKind, Metric};

/// Why the verdict cannot be pass.
#[derive(Debug, Clone)]
pub struct Inconclusive {
    /// This says in one sentence why the run is inconclusive.
    pub reason: String,
    /// Whether it leaves open if this expectation is met, given how it looks.
    pub blurs: fn(&Expectation, met: bool) -> bool,
    /// Whether it is said before everything else, also of a run that fails.
    pub leads: bool,
}

impl Inconclusive {
    fn new(reason: String, blurs: fn(&Expectation, bool) -> bool) -> Self {
        Self {
            reason,
            blurs,
            leads: false,
        }
    }
}

/// The grounds hold all that the rules look at.
pub struct Grounds<'a, 'b> {
    /// This is the joined history, with what of it was read.
    pub context: &'b Context<'a>,
    /// These are the expectations of the strategy, without those that the scenario does not test.
    pub expectations: &'b [Expectation],
    /// These are the latencies of each phase, with the number of versions committed in it.
    pub phases: &'b [PhaseLatencies],
    /// These tell of each fault whether it bit.
    pub bites: &'b [Bite],
    /// These are the names of the files that were changed after the run.
    pub altered: &'b [String],
}

/// A rule tells what makes the run inconclusive, if anything.
type Rule = fn(&Grounds<'_, '_>) -> Vec<Inconclusive>;

/// Every reason why the run is inconclusive. A rule whose steps of the fence did not hold has nothing to
/// say: that they did not is the reason, and what it would say of what was not read would be wrong.
pub fn inconclusive(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    const RULES: &[(Steps, Rule)] = &[
        (Steps::NONE, death::by_itself),
        (Steps::NONE, proof::expectations),
        (Steps::DATABASE, work::committed),
        (Steps::DATABASE, work::phases),
        (Steps::OUTCOMES, generator::lag),
        (Steps::OUTCOMES, generator::unoffered),
        (Steps::OUTCOMES, generator::stalled),
        (Steps::OUTCOMES, generator::held_back),
        (Steps::NONE, reads::stalled),
        (Steps::NONE, reads::lag),
        (Steps::NONE, reads::held_back),
        (Steps::NONE, reads::from_the_cache),
        (Steps::NONE, reads::after_the_last_heal),
        (Steps::NONE, reads::refused_a_relay),
        (Steps::NONE, reads::phases_read),
        (Steps::NONE, reads::failed),
        (Steps::DATABASE.and(Steps::SOURCE), reads::awaited),
        (Steps::BOTH_SIDES, observer::lag),
        (Steps::BOTH_SIDES, observer::blind),
        (Steps::TOPIC, observer::vanished),
        (Steps::NONE, fault::injected),
        (Steps::NONE, fault::bit),
        (Steps::BOTH_SIDES, fault::recovered),
        (Steps::NONE, fence::read),
        (Steps::OUTCOMES, proof::phantom),
        (Steps::BOTH_SIDES, proof::reordered),
        (Steps::BOTH_SIDES, proof::overtaken),
        (Steps::NONE, interruption::by_the_user),
        (Steps::NONE, clock::jumped),
        (Steps::NONE, clock::altered),
    ];
    let reading = &grounds.context.reading;
    let applicable = RULES
        .iter()
        .filter(|(needs, _)| reading.lacks(*needs).is_none());
    applicable.flat_map(|(_, rule)| rule(grounds)).collect()
}

/// It touches no single expectation.
fn nothing(_: &Expectation, _: bool) -> bool {
    false
}

/// Tells whether a live observer's clock readings decide an expectation.
fn observed_live(expectation: &Expectation, _: bool) -> bool {
    matches!(
        expectation.metric,
        Metric::Late
            | Metric::Drain
            | Metric::Recovery
            | Metric::Latency(LatencyKind::Propagation | LatencyKind::EndToEnd, _)
    )
}

/// Lessons that the run did not give a chance to.
fn missed_lessons(expectation: &Expectation, met: bool) -> bool {
    expectation.comparison == Comparison::AtLeast && !met
}
