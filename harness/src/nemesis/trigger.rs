//! Waits for what a fault has instead of a time, by asking every few milliseconds: whoever counts does
//! not know that anybody waits.

use super::Counts;
use crate::scenario::Trigger;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// So often it is asked how far a trigger has come.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(5);

/// When the faults that have an id were injected, for those that wait for them.
#[derive(Debug, Default)]
pub(super) struct Injections(BTreeMap<String, OnceLock<i64>>);

impl Injections {
    /// None of these was injected yet.
    pub fn of<'f>(ids: impl Iterator<Item = &'f str>) -> Self {
        Self(ids.map(|id| (id.to_owned(), OnceLock::new())).collect())
    }

    /// A fault was injected. One is injected once.
    pub fn note(&self, id: &str, injected_ns: i64) {
        if let Some(at) = self.0.get(id) {
            let _ = at.set(injected_ns);
        }
    }

    fn at_ns(&self, id: &str) -> Option<i64> {
        self.0.get(id)?.get().copied()
    }
}

/// A trigger, and how far it has come.
pub(super) struct Waiting {
    trigger: Trigger,
    counts: Arc<dyn Counts>,
    injections: Arc<Injections>,
    /// The furthest of all answers; none while it cannot begin.
    far: Option<u64>,
}

impl Waiting {
    pub fn new(trigger: Trigger, counts: Arc<dyn Counts>, injections: Arc<Injections>) -> Self {
        Self {
            trigger,
            counts,
            injections,
            far: None,
        }
    }

    /// Whether it fires now.
    pub fn fires(&mut self, now_ns: i64) -> bool {
        self.far = self.far.max(self.come(now_ns));
        self.far >= Some(self.trigger.goal())
    }

    /// How far it came at most.
    pub fn far(&self) -> Option<u64> {
        self.far
    }

    fn come(&self, now_ns: i64) -> Option<u64> {
        match &self.trigger {
            Trigger::Events(_) => Some(self.counts.events()),
            Trigger::Committed(_) => Some(self.counts.committed()),
            Trigger::Backlog(_) => {
                // Asked for first: what comes in between then makes the backlog smaller, never larger.
                let committed = self.counts.committed();
                Some(committed.saturating_sub(self.counts.events()))
            }
            Trigger::After { fault, .. } => {
                let since_ns = now_ns.saturating_sub(self.injections.at_ns(fault)?);
                Some(u64::try_from(since_ns).unwrap_or(0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Counts that stand still until somebody moves them.
    #[derive(Default)]
    struct Staged {
        committed: AtomicU64,
        events: AtomicU64,
    }

    impl Counts for Staged {
        fn committed(&self) -> u64 {
            self.committed.load(Ordering::Relaxed)
        }
        fn events(&self) -> u64 {
            self.events.load(Ordering::Relaxed)
        }
    }

    fn waiting(trigger: Trigger) -> (Waiting, Arc<Staged>, Arc<Injections>) {
        let counts = Arc::new(Staged::default());
        let injections = Arc::new(Injections::of(["cut"].into_iter()));
        let waiting = Waiting::new(trigger, counts.clone(), injections.clone());
        (waiting, counts, injections)
    }

    #[test]
    fn given_counts_when_they_reach_what_is_waited_for_then_it_fires_and_not_before() {
        let (mut waiting, counts, _) = waiting(Trigger::Events(300));
        counts.committed.store(1_000, Ordering::Relaxed);
        assert!(!waiting.fires(0));
        counts.events.store(299, Ordering::Relaxed);
        assert!(!waiting.fires(0));
        counts.events.store(304, Ordering::Relaxed);
        assert!(waiting.fires(0));
        assert_eq!(waiting.far(), Some(304));
    }

    #[test]
    fn given_commits_when_enough_were_acknowledged_then_it_fires_without_any_event() {
        let (mut waiting, counts, _) = waiting(Trigger::Committed(2));
        assert!(!waiting.fires(0));
        counts.committed.store(2, Ordering::Relaxed);
        assert!(waiting.fires(0));
    }

    #[test]
    fn given_a_backlog_that_rises_and_falls_when_it_was_never_enough_then_its_peak_is_known() {
        let (mut waiting, counts, _) = waiting(Trigger::Backlog(50));
        for (committed, events) in [(10, 10), (60, 20), (60, 60), (60, 61)] {
            counts.committed.store(committed, Ordering::Relaxed);
            counts.events.store(events, Ordering::Relaxed);
            assert!(!waiting.fires(0));
        }
        assert_eq!(waiting.far(), Some(40));
        counts.committed.store(111, Ordering::Relaxed);
        assert!(waiting.fires(0));
    }

    #[test]
    fn given_another_fault_when_it_was_injected_so_long_ago_then_it_fires() {
        let after = Trigger::After {
            fault: "cut".to_owned(),
            after: Duration::from_nanos(500),
        };
        let (mut waiting, _, injections) = waiting(after);
        assert!(!waiting.fires(10_000));
        assert_eq!(waiting.far(), None);
        injections.note("cut", 10_000);
        injections.note("nobody", 1);
        assert!(!waiting.fires(10_499));
        assert_eq!(waiting.far(), Some(499));
        assert!(waiting.fires(10_500));
    }
}
