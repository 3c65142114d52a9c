//! Counters of the service, and the task that turns them into signals, at most ten a second.

use crate::signal::{Signal, emit};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// So much time passes between two reports, which makes ten a second at most.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// What the service counts.
#[derive(Debug, Default)]
pub(super) struct Monitor {
    begun: AtomicU64,
    answered: AtomicU64,
    delivered: AtomicU64,
    undelivered: AtomicU64,
    /// This is the first failure since the last report; it is touched by failures and the report only.
    failure: Mutex<Option<String>>,
    not_invalidated: AtomicU64,
    /// The same of the cache.
    cache_failure: Mutex<Option<String>>,
}

impl Monitor {
    /// A request came in.
    pub fn request_begun(&self) {
        self.begun.fetch_add(1, Relaxed);
    }
    /// A request has its answer.
    pub fn request_answered(&self) {
        self.answered.fetch_add(1, Relaxed);
    }
    /// The broker confirmed an event.
    pub fn delivered(&self) {
        self.delivered.fetch_add(1, Relaxed);
    }
    /// An event's delivery failed.
    pub fn undelivered(&self, reason: &str) {
        self.undelivered.fetch_add(1, Relaxed);
        note_first(&self.failure, reason);
    }
    /// An entry of the cache was not taken away, or not written, for a change that is committed.
    pub fn not_invalidated(&self, reason: &str) {
        self.not_invalidated.fetch_add(1, Relaxed);
        note_first(&self.cache_failure, reason);
    }
}

fn note_first(failure: &Mutex<Option<String>>, reason: &str) {
    let mut first = failure.lock().unwrap_or_else(PoisonError::into_inner);
    first.get_or_insert_with(|| reason.to_owned());
}

fn take_first(failure: &Mutex<Option<String>>) -> String {
    let mut first = failure.lock().unwrap_or_else(PoisonError::into_inner);
    first.take().unwrap_or_default()
}

/// What was reported so far.
#[derive(Debug, Default)]
pub(super) struct ServiceReporter {
    monitor: Arc<Monitor>,
    progress: (u64, u64, u64),
    undelivered: u64,
    not_invalidated: u64,
    failing: bool,
}

impl ServiceReporter {
    /// Reports what `monitor` counts.
    pub fn new(monitor: Arc<Monitor>) -> Self {
        Self {
            monitor,
            ..Self::default()
        }
    }

    /// Reports what has changed, ten times a second, until the future is dropped.
    pub async fn run(&mut self) {
        let mut ticks = interval(REPORT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.report();
        }
    }

    /// Emits what changed since the last report.
    pub fn report(&mut self) {
        for signal in self.changes() {
            emit(signal);
        }
    }

    fn changes(&mut self) -> Vec<Signal> {
        let monitor = &self.monitor;
        let mut signals = Vec::new();
        let undelivered = monitor.undelivered.load(Relaxed);
        let progress = (
            monitor.begun.load(Relaxed),
            monitor.delivered.load(Relaxed),
            monitor.answered.load(Relaxed),
        );
        let failed = undelivered - self.undelivered;
        if failed > 0 {
            signals.push(Signal::PublishFailed {
                count: failed,
                reason: take_first(&monitor.failure),
            });
            self.failing = true;
        } else if self.failing && progress.1 > self.progress.1 {
            signals.push(Signal::PublishUp);
            self.failing = false;
        }
        self.undelivered = undelivered;
        let not_invalidated = monitor.not_invalidated.load(Relaxed);
        let count = not_invalidated - std::mem::replace(&mut self.not_invalidated, not_invalidated);
        if count > 0 {
            let reason = take_first(&monitor.cache_failure);
            signals.push(Signal::InvalidationFailed { count, reason });
        }
        if progress != self.progress {
            let (taken, delivered, confirmed) = progress;
            signals.push(Signal::Progress {
                taken,
                delivered,
                confirmed,
            });
            self.progress = progress;
        }
        signals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_reported_once_with_their_first_reason_and_recovery_after_them() {
        let monitor = Arc::new(Monitor::default());
        let mut reporter = ServiceReporter::new(monitor.clone());
        assert_eq!(reporter.changes(), []);

        monitor.undelivered("first");
        monitor.undelivered("second");
        let failed = Signal::PublishFailed {
            count: 2,
            reason: "first".into(),
        };
        assert_eq!(reporter.changes(), [failed]);
        assert_eq!(reporter.changes(), []);

        monitor.delivered();
        let progress = Signal::Progress {
            taken: 0,
            delivered: 1,
            confirmed: 0,
        };
        assert_eq!(reporter.changes(), [Signal::PublishUp, progress]);
        assert_eq!(reporter.changes(), []);
    }

    #[test]
    fn given_entries_that_were_not_invalidated_when_it_is_reported_then_once_with_the_first_reason()
    {
        let monitor = Arc::new(Monitor::default());
        let mut reporter = ServiceReporter::new(monitor.clone());
        monitor.not_invalidated("first");
        monitor.not_invalidated("second");
        let failed = Signal::InvalidationFailed {
            count: 2,
            reason: "first".into(),
        };
        assert_eq!(reporter.changes(), [failed]);
        assert_eq!(reporter.changes(), []);
    }
}
