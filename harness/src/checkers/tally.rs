//! Counts offences as a checker finds them: how many, how many of them a fault explains, how many
//! came before the first fault, and the first few in words.

use super::window::{Span, Window};
use super::{Finding, Offence};
use crate::scenario::Metric;

/// Offences kept in words.
pub const EXAMPLES: usize = 5;

/// What a checker found.
#[derive(Debug)]
pub struct Tally<'a> {
    windows: &'a [Window],
    finding: Finding,
    within: u64,
    early: u64,
}

impl<'a> Tally<'a> {
    /// Nothing found yet.
    pub fn new(metric: Metric, windows: &'a [Window]) -> Self {
        Self {
            windows,
            finding: Finding {
                metric,
                count: 0,
                examples: Vec::new(),
            },
            within: 0,
            early: 0,
        }
    }

    /// One more. `span` is the time in which it can have come about; the words are made only for
    /// the first few.
    pub fn add(&mut self, span: Span, describe: impl FnOnce() -> Offence) {
        self.finding.count += 1;
        if self.windows.iter().any(|w| w.span.overlaps(span)) {
            self.within += 1;
        } else if let Some(first) = self.windows.first()
            && span.until_ns < first.span.from_ns
        {
            self.early += 1;
        }
        if self.finding.examples.len() < EXAMPLES {
            self.finding.examples.push(describe());
        }
    }

    /// Which invariant.
    pub fn metric(&self) -> Metric {
        self.finding.metric
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.finding.count
    }

    /// How many count for an expectation of at least so many: those that overlap a fault, or all
    /// where no fault was in force.
    pub fn within_faults(&self) -> u64 {
        if self.windows.is_empty() {
            self.finding.count
        } else {
            self.within
        }
    }

    /// How many were over before the first fault began.
    pub fn before_faults(&self) -> u64 {
        self.early
    }

    /// The first few.
    pub fn examples(&self) -> &[Offence] {
        &self.finding.examples
    }

    /// For the judgement.
    pub fn into_finding(self) -> Finding {
        self.finding
    }
}
