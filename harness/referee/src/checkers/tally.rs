//! Counts offences as a checker finds them: how many, how many of them a fault explains, how many
//! came before the first fault, and the first few in words; or all of them, handed on one by one.

use super::reading::{Known, Reading};
use super::{Finding, Offence};
use crate::scenario::Metric;
use crate::view::{Span, Window};

/// So many offences are kept in words.
pub const EXAMPLES: u64 = 5;

/// Takes offences as they are found.
type Visitor<'a> = &'a mut dyn FnMut(Metric, Offence);

/// A tally gathers what a checker finds.
pub struct Tally<'a> {
    windows: &'a [Window],
    finding: Finding,
    within: u64,
    early: u64,
    /// So many offences are put in words.
    limit: u64,
    /// Who takes them; without one they are kept.
    visitor: Option<Visitor<'a>>,
}

impl<'a> Tally<'a> {
    /// Starts a tally without offences, which keeps the first few; `windows` says when faults were in force.
    pub fn new(metric: Metric, windows: &'a [Window]) -> Self {
        Self {
            windows,
            finding: Finding {
                metric,
                count: 0,
                examples: Vec::new(),
                unread: None,
            },
            within: 0,
            early: 0,
            limit: EXAMPLES,
            visitor: None,
        }
    }

    /// Starts a tally without offences, which hands on up to `limit` of them and keeps none.
    pub fn visiting(metric: Metric, limit: u64, visitor: Visitor<'a>) -> Self {
        Self {
            limit,
            visitor: Some(visitor),
            ..Self::new(metric, &[])
        }
    }

    /// Adds one offence. `span` is the time in which it can have come about; the words are made only for the first
    /// few.
    pub fn add(&mut self, span: Span, describe: impl FnOnce() -> Offence) {
        self.finding.count += 1;
        if self.windows.iter().any(|w| w.span.overlaps(span)) {
            self.within += 1;
        } else if let Some(first) = self.windows.first()
            && span.until_ns < first.span.from_ns
        {
            self.early += 1;
        }
        if self.finding.count <= self.limit {
            let offence = describe();
            match &mut self.visitor {
                Some(visit) => visit(self.finding.metric, offence),
                None => self.finding.examples.push(offence),
            }
        }
    }

    /// Returns the count metric whose offences are counted here.
    pub fn metric(&self) -> Metric {
        self.finding.metric
    }

    /// Returns the number of all offences found so far, whether or not they were kept.
    pub fn count(&self) -> u64 {
        self.finding.count
    }

    /// Returns how many count for an expectation of at least so many: those that overlap a fault.
    pub fn within_faults(&self) -> u64 {
        self.within
    }

    /// How many were over before the first fault began.
    pub fn before_faults(&self) -> u64 {
        self.early
    }

    /// For the judgement, which also says what of it was not read.
    pub fn into_finding(self, reading: &Reading) -> Finding {
        let known = reading.of_metric(self.metric());
        self.into_finding_known(known)
    }

    /// The same where somebody else says how much is known.
    pub fn into_finding_known(self, known: Known<'_>) -> Finding {
        Finding {
            unread: known.reason().map(str::to_owned),
            ..self.finding
        }
    }
}
