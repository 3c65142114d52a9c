//! One sentence an offence: what happened, from the evidence in order of strength: the trace, lives
//! and faults, outcomes. Where the evidence does not say why, neither does the sentence.

mod answers;
mod corrupted;
mod duplicated;
mod late;
mod lost;
mod overtaken;
mod phantom;
mod publishing;
mod reordered;
mod stale;

use super::Explainer;
use crate::checkers::Offence;
use crate::scenario::Metric;

impl Explainer<'_> {
    /// Tells what happened to an offending event; where nothing is known beyond the offence, this is its own text.
    pub(super) fn sentence(&self, metric: Metric, offence: &Offence) -> String {
        let told = match metric {
            Metric::Lost => self.lost(offence),
            Metric::Undrained => self.undrained(offence),
            Metric::Undecided => self.undecided(offence),
            Metric::Phantom => self.phantom(offence),
            Metric::Duplicated => self.duplicated(offence),
            Metric::Reordered => self.reordered(offence),
            Metric::Overtaken => self.overtaken(offence),
            Metric::Split => self.split(offence),
            Metric::Corrupted => self.corrupted(offence),
            Metric::Foreign => self.foreign(offence),
            Metric::Missing => self.missing(offence),
            Metric::DoubleApplied => self.double_applied(offence),
            Metric::FalseRejection => self.false_rejection(offence),
            Metric::Unacknowledged => self.unacknowledged(offence),
            Metric::Late => self.late(offence),
            Metric::Stale => self.stale(offence),
            Metric::StaleReads => self.stale_read(offence),
            Metric::Unapplied
            | Metric::AppliedTwice
            | Metric::AppliedUnseen
            | Metric::AppliedOutOfOrder
            | Metric::LongestStaleness
            | Metric::Drain
            | Metric::Recovery
            | Metric::Cost(_)
            | Metric::Latency(..) => None,
        };
        told.unwrap_or_else(|| offence.what.clone())
    }
}
