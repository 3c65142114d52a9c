//! What the relay tells the harness, and how often.

use crate::publisher::PublishError;
use crate::signal::{Signal, emit};
use std::time::{Duration, Instant};

/// So much time passes between two reports of a kind, which makes ten a second at most.
const INTERVAL: Duration = Duration::from_millis(100);

/// Turns what happens into signals: each change of state once, figures at a bounded rate.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    /// So many events were taken from the source.
    pub(super) taken: u64,
    /// So many events were delivered, as the broker confirmed.
    pub(super) delivered: u64,
    /// So many events were confirmed to the source.
    pub(super) confirmed: u64,
    ready: bool,
    database_lost: bool,
    publish_failed: bool,
    failures_unreported: u64,
    failures_reported_at: Option<Instant>,
    progress_reported: (u64, u64, u64),
    progress_reported_at: Option<Instant>,
}

fn failure(count: u64, reason: String, is_of_cache: bool) -> Signal {
    match is_of_cache {
        true => Signal::InvalidationFailed { count, reason },
        false => Signal::PublishFailed { count, reason },
    }
}

fn due(last: Option<Instant>, now: Instant) -> bool {
    last.is_none_or(|last| now.duration_since(last) >= INTERVAL)
}

impl Reporter {
    /// Both sides are connected.
    pub(super) fn connected(&mut self) {
        if std::mem::take(&mut self.database_lost) {
            emit(Signal::DatabaseUp);
        }
        if !std::mem::replace(&mut self.ready, true) {
            emit(Signal::Ready);
        }
    }

    /// The source failed, or could not be connected.
    pub(super) fn database_lost(&mut self, reason: &dyn std::fmt::Display) {
        if std::mem::replace(&mut self.database_lost, true) {
            tracing::debug!("still without the database: {reason}");
            return;
        }
        tracing::warn!("database lost: {reason}");
        emit(Signal::DatabaseLost {
            reason: reason.to_string(),
        });
    }

    /// `count` deliveries failed, at the broker or at the cache: which one it was is told too.
    pub(super) fn delivery_failed(&mut self, count: u64, error: &PublishError) {
        self.failed(count, error, error.is_of_cache);
    }

    /// `count` deliveries failed; 0 if the broker was lost, and none of them is given up yet.
    pub(super) fn publish_failed(&mut self, count: u64, reason: &dyn std::fmt::Display) {
        self.failed(count, reason, false);
    }

    fn failed(&mut self, count: u64, reason: &dyn std::fmt::Display, is_of_cache: bool) {
        let first = !std::mem::replace(&mut self.publish_failed, true);
        self.failures_unreported += count;
        let now = Instant::now();
        if !first && !due(self.failures_reported_at, now) {
            return;
        }
        self.failures_reported_at = Some(now);
        tracing::warn!(count = self.failures_unreported, "{reason}");
        let count = std::mem::take(&mut self.failures_unreported);
        emit(failure(count, reason.to_string(), is_of_cache));
    }

    /// Notes that a delivery succeeded, and reports it if it is the first one after failures.
    pub(super) fn publish_up(&mut self) {
        if std::mem::take(&mut self.publish_failed) {
            tracing::info!("deliveries succeed again");
            emit(Signal::PublishUp);
        }
    }

    /// Reports the figures if they changed and it is time to.
    pub(super) fn progress(&mut self) {
        let figures = (self.taken, self.delivered, self.confirmed);
        if figures == self.progress_reported {
            return;
        }
        let now = Instant::now();
        if due(self.progress_reported_at, now) {
            self.progress_reported_at = Some(now);
            self.emit_progress(figures);
        }
    }

    /// Reports the figures if they changed, at the end.
    pub(super) fn final_progress(&mut self) {
        let figures = (self.taken, self.delivered, self.confirmed);
        if figures != self.progress_reported {
            self.emit_progress(figures);
        }
    }

    fn emit_progress(&mut self, figures: (u64, u64, u64)) {
        self.progress_reported = figures;
        emit(Signal::Progress {
            taken: figures.0,
            delivered: figures.1,
            confirmed: figures.2,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_failure_then_the_signal_says_which_side_it_was() {
        let reason = String::new;
        let count = 2;
        let (of_cache, of_broker) = (failure(2, reason(), true), failure(2, reason(), false));
        let reason = reason();
        assert_eq!(of_broker, Signal::PublishFailed { count, reason });
        let reason = String::new();
        assert_eq!(of_cache, Signal::InvalidationFailed { count, reason });
    }
}
