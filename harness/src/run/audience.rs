//! Whoever watches a run, and what they are told of each lane, in which one strategy runs.

use super::look_pace::LookPace;
use super::{Event, Reporter, stage};
use reports::record;
use std::sync::Arc;
use std::time::Duration;

/// What is counted of a lane by a moment; a count is `None` where it is not known. In a run that goes on it is counted
/// around all proxies, and `committed` and `missing` are looked up in the database: they are exact for the moment of
/// the look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
}

/// An audience watches the lanes; of what happens in none of them it is told as any reporter is. It is called from
/// several threads, and must not block for long.
pub trait Audience: Reporter {
    /// Something happened in the lane of this number.
    fn in_lane(&self, lane: usize, event: Event);
    /// What is counted in it now.
    fn counts(&self, lane: usize, counts: LaneCounts);
}

impl LaneCounts {
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

/// Somebody watches one strategy's run.
#[derive(Clone)]
pub struct Watching {
    /// The strategy has the lane of this number, from 0, in the order of the strategies.
    pub lane: usize,
    /// This is told what happens in the lane, and what is counted there.
    pub audience: Arc<dyn Audience>,
    /// So often it is looked up what is committed.
    pub pace: LookPace,
}

/// This reporter hands the events of a lane to the audience.
pub(super) struct LaneReporter {
    pub watching: Watching,
    /// Who is told of them as well.
    pub also: Option<Arc<dyn Reporter>>,
}

impl Reporter for LaneReporter {
    fn event(&self, event: Event) {
        if let Some(also) = &self.also {
            also.event(event.clone());
        }
        let Watching { lane, audience, .. } = &self.watching;
        audience.in_lane(*lane, event);
    }
}

/// This reporter tells two others, one after the other.
pub(super) struct BothReporters(pub Arc<dyn Reporter>, pub Arc<dyn Reporter>);

impl Reporter for BothReporters {
    fn event(&self, event: Event) {
        self.0.event(event.clone());
        self.1.event(event);
    }
}

/// Who watches a run.
#[derive(Clone, Copy)]
pub(crate) enum RunAudience<'a> {
    /// It is measured, and nobody does.
    ByNobody,
    /// It is for show: its strategies run at the same time.
    OnStage(&'a stage::Stage),
    /// It is measured, its strategies one after the other, and somebody sees it.
    InTurn {
        /// This is told what happens in each lane, and what is counted there.
        audience: &'a Arc<dyn Audience>,
        /// This is told the events of all lanes, as of any run.
        lanes: &'a Arc<dyn Reporter>,
    },
}

impl RunAudience<'_> {
    /// Returns who watches the lane of this number in a run whose strategies take turns, and who is told of it.
    pub fn seat(self, lane: usize) -> Option<(Watching, Arc<dyn Reporter>)> {
        let Self::InTurn { audience, lanes } = self else {
            return None;
        };
        let watching = Watching {
            lane,
            audience: Arc::clone(audience),
            pace: LookPace::Seldom,
        };
        let reporter = LaneReporter {
            watching: watching.clone(),
            also: Some(Arc::clone(lanes)),
        };
        Some((watching, Arc::new(reporter)))
    }
}
