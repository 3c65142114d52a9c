//! What is counted of a lane, in which one strategy runs, by a moment.

use reports::record;
use serde::Serialize;
use std::time::Duration;

/// What is counted of a lane by a moment; a count is `None` where it is not known. In a run that goes on it is counted
/// around all proxies, and `committed` and `missing` are looked up in the database: they are exact for the moment of
/// the look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LaneCounts {
    /// This counts the changes in the database.
    pub committed: Option<u64>,
    /// This counts the different valid events on the topic.
    pub events: Option<u64>,
    /// This counts the committed changes without an event so far.
    pub missing: Option<u64>,
    /// Those of them whose event can no longer come; 0 where an outbox still holds them.
    pub lost: Option<u64>,
    /// There are at least so many events on the topic without a change in the database.
    pub phantom: Option<u64>,
    /// This counts the valid events beyond the first of each.
    pub duplicated: Option<u64>,
    /// From answer to first sight, the 99th percentile of what was seen in the last seconds; `None` where nothing was.
    pub propagation_p99: Option<Duration>,
}

impl LaneCounts {
    /// Nothing has happened yet.
    pub const ZERO: Self = Self {
        committed: Some(0),
        events: Some(0),
        missing: Some(0),
        lost: Some(0),
        phantom: Some(0),
        duplicated: Some(0),
        propagation_p99: None,
    };

    /// What a strategy came to once it is judged. What was seen of late is no part of that.
    pub fn judged(strategy: &record::Strategy) -> Self {
        let outcomes = &strategy.outcomes;
        let events = outcomes.db_event.zip(outcomes.event_only);
        Self {
            committed: strategy.counts.committed,
            events: events.map(|(with, without)| with + without),
            missing: outcomes.db_only,
            lost: strategy.counts.lost,
            phantom: strategy.counts.phantom,
            duplicated: strategy.counts.duplicated,
            propagation_p99: None,
        }
    }
}
