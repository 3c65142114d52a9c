//! A run that proves nothing passes nothing. Each rule is one small function that gives its
//! reason to doubt, and says which expectations cannot be told because of it.

mod clock;
mod fault;
mod fence;
mod generator;
mod observer;
mod proof;
mod visible;
mod work;

use super::Bite;
use super::context::Context;
use crate::measure::PhaseLatencies;
use crate::scenario::{Comparison, Expectation, LatencyKind, Metric};

/// Why the verdict cannot be pass.
#[derive(Debug, Clone)]
pub struct Doubt {
    /// In one sentence.
    pub reason: String,
    /// Whether it leaves open if this expectation is met, given how it looks.
    pub blurs: fn(&Expectation, met: bool) -> bool,
}

impl Doubt {
    fn new(reason: String, blurs: fn(&Expectation, bool) -> bool) -> Self {
        Self { reason, blurs }
    }
}

/// All that the rules look at.
pub struct Grounds<'a, 'b> {
    /// Joined history.
    pub context: &'b Context<'a>,
    /// What was expected.
    pub expectations: &'b [Expectation],
    /// Committed by phase.
    pub phases: &'b [PhaseLatencies],
    /// Whether each fault bit.
    pub bites: &'b [Bite],
    /// Files changed after the run.
    pub altered: &'b [String],
}

/// Every reason to doubt.
pub fn doubts(grounds: &Grounds<'_, '_>) -> Vec<Doubt> {
    const RULES: &[fn(&Grounds<'_, '_>) -> Vec<Doubt>] = &[
        proof::expectations,
        work::committed,
        work::phases,
        generator::lag,
        generator::unoffered,
        generator::stalled,
        observer::lag,
        observer::blind,
        observer::vanished,
        fault::injected,
        fault::bit,
        fault::recovered,
        fence::steps,
        fence::partitions,
        fence::read_to_the_end,
        fence::stable,
        proof::phantom,
        proof::reordered,
        clock::jumped,
        clock::altered,
    ];
    RULES.iter().flat_map(|rule| rule(grounds)).collect()
}

/// It touches no single expectation.
fn nothing(_: &Expectation, _: bool) -> bool {
    false
}

/// Whatever a live observer's clock readings decide.
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

/// What is decided by whether an event is on the topic after all.
fn absence(metric: Metric) -> bool {
    matches!(metric, Metric::Lost | Metric::Undrained | Metric::Undecided)
}
