//! History in, findings out. Pure: no clock, no I/O, no printing.

mod accounting;
pub(crate) mod context;
mod corrupted;
mod counts;
mod double_applied;
mod doubts;
mod duplicated;
mod expectation;
mod false_rejection;
mod fate;
#[cfg(test)]
pub(crate) mod fixture;
mod foreign;
pub mod join;
mod late;
mod lost;
mod missing;
mod on_topic;
mod outcomes;
mod overtaken;
mod phantom;
pub(crate) mod raw_reason;
mod reordered;
mod split;
mod tally;
mod told;
mod unacknowledged;
mod undecided;
mod undrained;
mod verdict;
pub mod window;

use crate::history::History;
use crate::measure;
use crate::scenario::{Expectation, Metric};
use context::Context;
use expectation::Seen;
use reports::record;
use tally::Tally;

/// One event (or change) that broke an invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offence {
    /// Order index, or [`crate::history::NONE`].
    pub order: u32,
    /// Version, or 0.
    pub version: u32,
    /// Attempt number, or [`crate::history::NONE`].
    pub attempt: u32,
    /// Partition and offset of the offending record, where it is one.
    pub record: Option<(i32, i64)>,
    /// Version of the same order that it is judged against, as in "came after that of version 3";
    /// 0 where there is none.
    pub against: u32,
    /// What is wrong, with the times that matter.
    pub what: String,
}

/// What one checker found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which invariant (a count metric).
    pub metric: Metric,
    /// How many.
    pub count: u64,
    /// The first few, in a stable order.
    pub examples: Vec<Offence>,
}

/// Worst wins: fail > unknown > pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Every expectation met, and the run proved it.
    Pass,
    /// Nothing was proved.
    Unknown,
    /// An expectation missed.
    Fail,
}

/// An expectation and what was seen.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What was expected.
    pub expectation: Expectation,
    /// What was seen; `None` (null) when it is infinite or was not measured.
    pub observed: Option<f64>,
    /// Whether it is met; `None` when this run cannot tell (makes it unknown, see `reason`).
    pub met: Option<bool>,
    /// Why it was missed or cannot be told; empty when met.
    pub reason: String,
}

/// Whether a fault bit, from the observations alone.
#[derive(Debug, Clone)]
pub struct Bite {
    /// Index into `scenario.faults`.
    pub fault: u32,
    /// Whether it bit.
    pub bit: bool,
    /// The evidence, or what was missing, in one sentence.
    pub evidence: String,
}

/// All that is judged of one strategy's run.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is not pass: first missed expectations, then reasons of unknown.
    pub reasons: Vec<String>,
    /// One finding a count metric, every one of them, zero or not.
    pub findings: Vec<Finding>,
    /// Offered, acknowledged, committed, observed and the findings, as the record has them.
    pub counts: record::Counts,
    /// Database yes/no x event yes/no.
    pub outcomes: record::Outcomes,
    /// Expectations in the scenario's order.
    pub expectations: Vec<Checked>,
    /// One a fault.
    pub bites: Vec<Bite>,
    /// The three latencies over the whole run.
    pub latency: record::LatencySet,
    /// The same by phase.
    pub phases: Vec<record::Phase>,
    /// Seconds from the end of the load to the last committed change's first sight.
    pub drain_s: Option<f64>,
    /// Seconds from the last heal until everything committed before it had been seen.
    pub recovery_s: Option<f64>,
}

impl Judgement {
    /// Whether there is an offence of any kind, among them those that are allowed.
    pub fn has_offences(&self) -> bool {
        self.findings.iter().any(|finding| finding.count > 0)
    }
}

/// Judges a history. `altered` names files changed after the run: then it can never pass.
pub fn judge(history: &History, altered: &[String]) -> Judgement {
    let bites = crate::evidence::bites(history);
    judge_joined(&Context::new(history), altered, bites)
}

/// A checker: what it counts, and how.
type Checker = (Metric, fn(&Context<'_>, &mut Tally<'_>));

/// Every invariant, one file each.
const CHECKERS: &[Checker] = &[
    (Metric::Lost, lost::check),
    (Metric::Undrained, undrained::check),
    (Metric::Undecided, undecided::check),
    (Metric::Phantom, phantom::check),
    (Metric::Foreign, foreign::check),
    (Metric::Duplicated, duplicated::check),
    (Metric::Reordered, reordered::check),
    (Metric::Split, split::check),
    (Metric::Corrupted, corrupted::check),
    (Metric::Missing, missing::check),
    (Metric::DoubleApplied, double_applied::check),
    (Metric::FalseRejection, false_rejection::check),
    (Metric::Unacknowledged, unacknowledged::check),
    (Metric::Late, late::check),
];

/// Hands every offence to `visit`, up to `limit` of each kind, kind after kind; gives how many there
/// are of each. Unlike a judgement it keeps none of them.
pub(crate) fn each_offence(
    context: &Context<'_>,
    limit: u64,
    visit: &mut dyn FnMut(Metric, Offence),
) -> Vec<(Metric, u64)> {
    CHECKERS
        .iter()
        .map(|(metric, check)| {
            let mut tally = Tally::visiting(*metric, limit, visit);
            check(context, &mut tally);
            (*metric, tally.count())
        })
        .collect()
}

/// Judges a history that is joined already, with the bites given.
pub(crate) fn judge_joined(
    context: &Context<'_>,
    altered: &[String],
    bites: Vec<Bite>,
) -> Judgement {
    let history = context.history();
    let tallies: Vec<Tally<'_>> = CHECKERS
        .iter()
        .map(|(metric, check)| {
            let mut tally = Tally::new(*metric, &context.windows);
            check(context, &mut tally);
            tally
        })
        .collect();
    let outcomes = outcomes::outcomes(&context.join);
    let (whole, parts) = measure::latencies(context);
    let counts = counts::counts(&context.join, &tallies, whole.propagation.negative());
    let errors = accounting::errors(&context.join, &counts, &outcomes);
    let latency = whole.set();
    let drain_s = measure::drain_s(&context.join);
    let recovery = measure::recovery(&context.join);
    let expected: &[Expectation] =
        window::strategy(history).map_or(&[], |strategy| &strategy.expectations);
    let doubts = doubts::doubts(&doubts::Grounds {
        context,
        expectations: expected,
        phases: &parts,
        bites: &bites,
        altered,
    });
    let seen = Seen {
        history,
        tallies: &tallies,
        latency: &latency,
        drain_s,
        recovery,
        committed: counts.committed,
        doubts: &doubts,
    };
    let expectations: Vec<Checked> = expected
        .iter()
        .map(|expectation| expectation::check(expectation, &seen))
        .collect();
    let (verdict, reasons) = verdict::verdict(errors, &expectations, &doubts);
    Judgement {
        verdict,
        reasons,
        phases: parts.iter().map(|part| part.record(history)).collect(),
        findings: tallies.into_iter().map(Tally::into_finding).collect(),
        counts,
        outcomes,
        expectations,
        bites,
        latency,
        drain_s,
        recovery_s: recovery.seconds(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
