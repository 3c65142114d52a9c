//! Reads and invalidations that a fault of the cache met. A change is answered as committed whatever becomes of its
//! entry, so changes tell nothing of a cache.

use super::{BASELINE_NS, Demand};
use crate::history::{ReadOutcome, ReadRow, ReadSource, Stage};

impl Demand<'_> {
    /// Counts reads sent in this time for which the cache could not be asked, or that were not answered at all. None
    /// where that befell one in the second before as well: then it is not what made them fail.
    pub fn reads_without_cache(&self, from_ns: i64, until_ns: i64) -> usize {
        let failed = |read: &ReadRow| {
            read.outcome == ReadOutcome::Failed || read.source == ReadSource::Fallback
        };
        let sent_in = |from_ns: i64, until_ns: i64| {
            let reads = self.history.reads.iter().filter(failed);
            reads
                .filter(|read| (from_ns..until_ns).contains(&read.sent_ns))
                .count()
        };
        match sent_in(from_ns.saturating_sub(BASELINE_NS), from_ns) {
            0 => sent_in(from_ns, until_ns.saturating_add(1)),
            _ => 0,
        }
    }

    /// Counts entries that the order service could not take out of the cache in this time. None where there were such in
    /// the second before as well.
    pub fn not_invalidated(&self, from_ns: i64, until_ns: i64) -> usize {
        let failed_in = |from_ns: i64, until_ns: i64| {
            let steps = self.history.trace.iter();
            steps
                .filter(|step| step.stage == Stage::InvalidationFailed)
                .filter(|step| (from_ns..until_ns).contains(&step.at_ns))
                .count()
        };
        match failed_in(from_ns.saturating_sub(BASELINE_NS), from_ns) {
            0 => failed_in(from_ns, until_ns.saturating_add(1)),
            _ => 0,
        }
    }

    /// Counts reads sent from this moment on that the cache answered, be it that it has no such entry.
    pub fn served_since(&self, from_ns: i64) -> usize {
        let reads = self.history.reads.iter();
        reads
            .filter(|read| matches!(read.source, ReadSource::Cache | ReadSource::Database))
            .filter(|read| read.sent_ns >= from_ns)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::Demand;
    use crate::bite::staged::*;
    use crate::history::ReadSource::{Cache, Database, Fallback, Unknown};
    use crate::scenario::{FaultKind, Target};

    fn load() -> Staged {
        Staged::new(Target::REDIS, FaultKind::Down, polling())
    }

    #[test]
    fn given_reads_that_the_cache_did_not_answer_then_those_of_the_time_count_and_none_after_one_before_it()
     {
        let staged = load()
            .read(2.9, Fallback)
            .read(4.0, Fallback)
            .read(5.0, Cache)
            .read(5.0, Database)
            .read(6.0, Unknown)
            .read(8.0, Fallback)
            .read(8.001, Fallback);
        let without = |s: &Staged| Demand::of(&s.0).reads_without_cache(ns(4.0), ns(8.0));
        assert_eq!(without(&staged), 3);
        assert_eq!(without(&staged.read(3.5, Fallback)), 0);
    }

    #[test]
    fn given_invalidations_that_failed_then_those_of_the_time_count_and_none_after_one_before_it() {
        let staged = load()
            .not_invalidated(2.9)
            .not_invalidated(4.0)
            .not_invalidated(8.0)
            .not_invalidated(8.001);
        let failed = |s: &Staged| Demand::of(&s.0).not_invalidated(ns(4.0), ns(8.0));
        assert_eq!(failed(&staged), 2);
        assert_eq!(failed(&staged.not_invalidated(3.0)), 0);
    }

    #[test]
    fn served_since_is_answered_with_the_cache_and_sent_since() {
        let staged = load()
            .read(8.0, Cache)
            .read(8.1, Database)
            .read(7.999, Cache)
            .read(9.0, Fallback)
            .read(9.0, Unknown);
        assert_eq!(Demand::of(&staged.0).served_since(ns(8.0)), 2);
    }
}
