//! What a read had to see at least: a version of its order that a client had been told is committed, before the read
//! was sent. Both times are the load generator's, by one clock: an answer is noted after its last byte, a send before
//! its first one. What nobody had been told of yet a read may see or not.

use super::{Join, NEVER, View};
use crate::history::{ReadOutcome, ReadRow};

/// This tells, of each version of an order, from when on a read has to see it or a later one.
pub struct Freshness {
    /// This is, by slot, when a client was first told that this version of its order, or a later one, is committed;
    /// [`NEVER`] where none was. Within an order it never falls.
    told_by_ns: Vec<i64>,
}

impl Freshness {
    /// Looks once at when the clients were told of each version.
    pub fn new(view: &View<'_>) -> Self {
        let truth = &view.join.truth;
        let told = (0..truth.len()).map(|slot| view.answered_ns(slot).unwrap_or(NEVER));
        let mut told_by_ns: Vec<i64> = told.collect();
        for later in (1..told_by_ns.len()).rev() {
            if truth.at(later).order == truth.at(later - 1).order {
                told_by_ns[later - 1] = told_by_ns[later - 1].min(told_by_ns[later]);
            }
        }
        Self { told_by_ns }
    }

    /// Returns the slot of the oldest version that a read should have seen and did not, with when it, or a later one,
    /// had been acknowledged; `None` of a read that saw enough, and of one without an answer. "There is no such order"
    /// is an answer too.
    pub fn missed(&self, join: &Join<'_>, read: &ReadRow) -> Option<(usize, i64)> {
        let seen = match read.outcome {
            ReadOutcome::Answered => read.version,
            ReadOutcome::NotFound => 0,
            ReadOutcome::NotSent | ReadOutcome::Failed => return None,
        };
        let slots = join.slots_of(read.order);
        let end = slots.end;
        let next = join.truth.partition_point(slots, |row| row.version <= seen);
        let told_ns = *self.told_by_ns.get(next).filter(|_| next < end)?;
        (told_ns < read.sent_ns).then_some((next, told_ns))
    }

    /// Returns the slot of the highest version of an order that had been acknowledged before then; `None` if none had.
    pub fn newest_before(&self, join: &Join<'_>, order: u32, at_ns: i64) -> Option<usize> {
        let slots = join.slots_of(order);
        let told = &self.told_by_ns[slots.clone()];
        let before = told.partition_point(|told_ns| *told_ns < at_ns);
        before.checked_sub(1).map(|last| slots.start + last)
    }
}
