//! History in, findings out. Pure: no clock, no I/O, no printing.

use crate::history::History;
use crate::scenario::{Expectation, Metric};
use reports::record;

/// One event (or change) that broke an invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offence {
    /// Order index, or [`crate::history::NONE`].
    pub order: u32,
    /// Version, or 0.
    pub version: u32,
    /// Attempt number, or [`crate::history::NONE`].
    pub attempt: u32,
    /// One sentence with the times that matter.
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
    /// Why it was missed or cannot be told, with the first few offences; empty when met.
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
    /// Seconds from last heal (or end of load) to the last committed change's first sight.
    pub drain_s: Option<f64>,
}

/// Judges a history. `altered` names files changed after the run: then it can never pass.
pub fn judge(history: &History, altered: &[String]) -> Judgement {
    let _ = (history, altered);
    unimplemented!("H5")
}
