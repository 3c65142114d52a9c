//! What was asked of the system, and how far it got: the demand that a fault met.

use crate::history::{Body, History, NONE, Outcome};
use std::collections::HashMap;
use std::sync::OnceLock;

/// Requests and sightings, ready to be asked.
pub(super) struct Demand<'h> {
    history: &'h History,
    /// First sight of the valid event of each attempt; `i64::MAX`: never. Worked out when asked for.
    first_seen: OnceLock<Vec<i64>>,
}

impl<'h> Demand<'h> {
    pub fn of(history: &'h History) -> Self {
        Self {
            history,
            first_seen: OnceLock::new(),
        }
    }

    /// Requests that were on their way when the order service died between these two moments, and
    /// were told nothing.
    pub fn cut_off(&self, from_ns: i64, until_ns: i64) -> usize {
        self.history
            .requests
            .iter()
            .filter(|r| r.sent_ns <= until_ns && r.ended_ns >= from_ns)
            .filter(|r| r.outcome == Outcome::Unknown)
            .count()
    }

    /// Requests sent and not yet answered at this moment.
    pub fn in_flight(&self, at_ns: i64) -> usize {
        self.history
            .requests
            .iter()
            .filter(|r| r.outcome != Outcome::NotSent)
            .filter(|r| r.sent_ns <= at_ns && r.ended_ns > at_ns)
            .count()
    }

    /// Requests on their way in this time that got no answer in it, or none at all.
    pub fn hung(&self, from_ns: i64, until_ns: i64) -> usize {
        self.history
            .requests
            .iter()
            .filter(|r| r.outcome != Outcome::NotSent)
            .filter(|r| r.sent_ns <= until_ns && r.ended_ns >= from_ns)
            .filter(|r| r.ended_ns > until_ns || r.outcome == Outcome::Unknown)
            .count()
    }

    /// Requests acknowledged that were sent from this moment on.
    pub fn acknowledged_since(&self, from_ns: i64) -> usize {
        self.history
            .requests
            .iter()
            .filter(|r| r.outcome == Outcome::Committed && r.sent_ns >= from_ns)
            .count()
    }

    /// Changes acknowledged by this moment whose event had not been seen by then.
    pub fn unseen(&self, at_ns: i64) -> usize {
        let first_seen = self.first_seen();
        self.history
            .requests
            .iter()
            .zip(first_seen)
            .filter(|(r, _)| r.outcome == Outcome::Committed && r.ended_ns <= at_ns)
            .filter(|(_, seen)| **seen > at_ns)
            .count()
    }

    /// Changes whose event was first seen from this moment on.
    pub fn seen_since(&self, from_ns: i64) -> usize {
        self.first_seen()
            .iter()
            .filter(|seen| **seen >= from_ns && **seen < i64::MAX)
            .count()
    }

    fn first_seen(&self) -> &[i64] {
        self.first_seen.get_or_init(|| {
            let history = self.history;
            let mut seen_at = HashMap::with_capacity(history.sightings.len());
            for s in &history.sightings {
                seen_at
                    .entry((s.partition, s.offset))
                    .and_modify(|at: &mut i64| *at = s.seen_ns.min(*at))
                    .or_insert(s.seen_ns);
            }
            let mut first = vec![i64::MAX; history.requests.len()];
            for row in &history.log {
                if row.body != Body::Intact || row.attempt == NONE {
                    continue;
                }
                let seen = seen_at.get(&(row.partition, row.offset));
                if let (Some(slot), Some(at)) = (first.get_mut(row.attempt as usize), seen) {
                    *slot = (*slot).min(*at);
                }
            }
            first
        })
    }
}
