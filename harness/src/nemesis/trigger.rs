//! Waits for what a fault has instead of a time, by asking every few milliseconds: whoever counts does
//! not know that anybody waits.

mod log;
mod sql;

use super::Counts;
use crate::database::DirectLogin;
use crate::process::Child;
use crate::scenario::{Trigger, Victim};
use log::Follower;
use sql::QueryPoller;
pub use sql::{BadQuery, try_queries};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// So often it is asked how far a trigger has come.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(5);

/// When the faults that have an id were injected, for those that wait for them.
#[derive(Debug, Default)]
pub(super) struct InjectionTimes(BTreeMap<String, OnceLock<i64>>);

impl InjectionTimes {
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

/// A trigger's answers come from these.
pub(super) struct Sources<'a> {
    pub counts: Arc<dyn Counts>,
    pub injections: Arc<InjectionTimes>,
    /// Whose logs can be followed.
    pub processes: &'a BTreeMap<Victim, Child>,
    /// Who may read the database, where anybody waits for something there.
    pub reader: Option<&'a DirectLogin>,
}

/// A trigger, and how far it has come.
pub(super) struct Waiting {
    trigger: Trigger,
    counts: Arc<dyn Counts>,
    injections: Arc<InjectionTimes>,
    witness: Witness,
    /// This is the furthest of all answers; it is none while the trigger cannot begin.
    far: Option<u64>,
}

/// Who is asked where counts and injections say nothing.
enum Witness {
    /// Nobody needs to be.
    None,
    /// The log of a process is followed for a line that matches.
    Log(Follower),
    /// The database is asked a query until its answer is true.
    Sql(QueryPoller),
    /// It cannot be asked, and why.
    Absent(String),
}

impl Witness {
    fn of(trigger: &Trigger, sources: &Sources<'_>) -> Self {
        match trigger {
            Trigger::Events(_)
            | Trigger::Committed(_)
            | Trigger::Backlog(_)
            | Trigger::After { .. }
            | Trigger::Key { .. } => Self::None,
            Trigger::Log { of, matches } => match sources.processes.get(of) {
                Some(child) => Follower::of(child, matches).map_or_else(Self::Absent, Self::Log),
                None => Self::Absent(format!("there is no {}", of.name())),
            },
            Trigger::Sql { query, .. } => match sources.reader {
                Some(reader) => Self::Sql(QueryPoller::of(reader, query)),
                None => Self::Absent("nobody may read the database".to_owned()),
            },
        }
    }

    /// Whether what is waited for was seen.
    fn has_seen_it(&mut self) -> bool {
        match self {
            Self::Log(log) => log.has_matched(),
            Self::Sql(sql) => sql.was_true(),
            Self::None | Self::Absent(_) => false,
        }
    }
}

impl Waiting {
    /// Begins to wait for `trigger`: its log is followed, or its query asked, from now on.
    pub fn new(trigger: Trigger, sources: Sources<'_>) -> Self {
        Self {
            witness: Witness::of(&trigger, &sources),
            trigger,
            counts: sources.counts,
            injections: sources.injections,
            far: None,
        }
    }

    /// Asks how far the trigger has come, and returns whether it fires now.
    pub fn fires(&mut self, now_ns: i64) -> bool {
        self.far = self.far.max(self.come(now_ns));
        self.far >= Some(self.trigger.goal())
    }

    /// Returns how far it came at most; none where it could not begin.
    pub fn far(&self) -> Option<u64> {
        self.far
    }

    /// What it fired on, where that says more than a count; or what kept it from firing.
    pub fn note(&self) -> Option<String> {
        match &self.witness {
            Witness::None => None,
            Witness::Log(log) => log.note(),
            Witness::Sql(sql) => sql.trouble(),
            Witness::Absent(why) => Some(why.clone()),
        }
    }

    fn come(&mut self, now_ns: i64) -> Option<u64> {
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
            Trigger::Key { key, .. } => Some(self.counts.presses(*key)),
            Trigger::Log { .. } | Trigger::Sql { .. } => {
                Some(u64::from(self.witness.has_seen_it()))
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

    fn waiting(trigger: Trigger) -> (Waiting, Arc<Staged>, Arc<InjectionTimes>) {
        let counts = Arc::new(Staged::default());
        let injections = Arc::new(InjectionTimes::of(["cut"].into_iter()));
        let sources = Sources {
            counts: counts.clone(),
            injections: injections.clone(),
            processes: &BTreeMap::new(),
            reader: None,
        };
        let waiting = Waiting::new(trigger, sources);
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

    #[test]
    fn given_nobody_who_could_be_asked_then_it_does_not_fire_and_says_so() {
        let said = Trigger::Log {
            of: Victim::RELAY,
            matches: "up".to_owned(),
        };
        let asked = Trigger::Sql {
            query: "select true".to_owned(),
            at: 0,
        };
        for (trigger, why) in [
            (said, "there is no relay"),
            (asked, "nobody may read the database"),
        ] {
            let (mut waiting, ..) = waiting(trigger);
            assert!(!waiting.fires(0));
            assert_eq!(waiting.far(), Some(0));
            assert_eq!(waiting.note().as_deref(), Some(why));
        }
    }
}
