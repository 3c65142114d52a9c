//! A history as whoever judges, measures or explains it sees it: joined once, with the times in which
//! each thing can have met its fate. Pure; it judges nothing.

mod bits;
mod freshness;
mod join;
mod on_topic;
mod passed;
mod real_time;
mod span;
mod window;

pub use bits::Bits;
pub use freshness::Freshness;
pub(crate) use join::Latest;
pub use join::{Class, Join};
pub use on_topic::AppendBounds;
pub use span::{NEVER, Span};
pub use window::{Window, concerning, explaining, fault_name, strategy, windows, windows_for};

use crate::history::{History, ReadRow, Request};
use crate::scenario::{Publisher, Topology};
use passed::Passed;
use real_time::RealTime;
use std::cell::OnceCell;

/// This is a joined history with its faults.
pub struct View<'a> {
    /// This is the history, joined: committed versions with their records and first sights.
    pub join: Join<'a>,
    /// Faults that were in force, by begin.
    pub windows: Vec<Window>,
    topology: Option<Topology>,
    passed: Option<Passed>,
    real_time: OnceCell<RealTime>,
    freshness: OnceCell<Freshness>,
}

impl<'a> View<'a> {
    /// Joins the history; linear.
    pub fn new(history: &'a History) -> Self {
        let join = Join::new(history);
        let windows = windows(history);
        let topology = history.meta.topology();
        let passed = topology
            .filter(|topology| !topology.publishes_in_request() && !windows.is_empty())
            .map(|_| Passed::new(&join));
        Self {
            join,
            windows,
            topology,
            passed,
            real_time: OnceCell::new(),
            freshness: OnceCell::new(),
        }
    }

    /// Returns the history that the view is of.
    pub fn history(&self) -> &'a History {
        self.join.history
    }

    /// When a client first learned that a slot is committed; `None` where none ever did.
    pub fn answered_ns(&self, slot: usize) -> Option<i64> {
        self.real_time().answered_ns(&self.join, slot)
    }

    /// When the change that made a slot was first sent; `None` for one that nobody sent.
    pub fn first_sent_ns(&self, slot: usize) -> Option<i64> {
        self.real_time().first_sent_ns(&self.join, slot)
    }

    /// Returns what each read had to see at least.
    pub fn freshness(&self) -> &Freshness {
        self.freshness.get_or_init(|| Freshness::new(self))
    }

    fn real_time(&self) -> &RealTime {
        self.real_time.get_or_init(|| RealTime::new(&self.join))
    }

    /// Whether something was over before the first fault that concerns the strategy began.
    pub fn is_before_faults(&self, span: Span) -> bool {
        let first = self.windows.first();
        first.is_some_and(|window| span.until_ns < window.span.from_ns)
    }

    /// Whether anything that was committed was over before the first of these.
    pub fn anything_before(&self, windows: &[Window]) -> bool {
        let Some(first) = windows.first() else {
            return false;
        };
        let mut slots = 0..self.join.truth.len();
        slots.any(|slot| self.delivery_span(slot).until_ns < first.span.from_ns)
    }

    /// Returns who publishes; a relay where nothing is known of the strategy.
    pub fn publisher(&self) -> Publisher {
        self.topology
            .map_or(Publisher::Relay, |topology| topology.publisher)
    }

    /// Returns what the strategy is made of; `None` where nothing is known of it.
    pub fn topology(&self) -> Option<Topology> {
        self.topology
    }

    /// Returns the span from a request's intended start to its end.
    pub fn request_span(&self, request: Request) -> Span {
        Span {
            from_ns: request.intended_ns,
            until_ns: request.ended_ns.max(request.intended_ns),
        }
    }

    /// The time in which a slot's event can have met its fate: from the intended start to the
    /// first sight (or append). What never came ends with the request where the request publishes
    /// by itself, and where it waits in an outbox, when its publisher had passed it.
    pub fn delivery_span(&self, slot: usize) -> Span {
        let Some(request) = self.join.request(slot) else {
            return self.whole();
        };
        let span = self.request_span(request);
        let arrived = self.join.seen(slot).or_else(|| {
            let row = self.join.first_row(slot)?;
            Some(self.join.on_topic_ns(row))
        });
        let until_ns = match (arrived, &self.passed) {
            (Some(at), _) => at,
            (None, Some(passed)) => passed.at(request.ended_ns),
            (None, None) => span.until_ns,
        };
        Span {
            until_ns: span.until_ns.max(until_ns),
            ..span
        }
    }

    /// The time in which a read that was answered too old a version can have come to that: from the intended start of
    /// the oldest change that it should have seen, in `slot`, to its answer.
    pub fn stale_span(&self, slot: usize, read: &ReadRow) -> Span {
        let answered = Span {
            from_ns: read.ended_ns,
            until_ns: read.ended_ns,
        };
        match self.join.request(slot) {
            Some(request) => answered.hull(self.request_span(request)),
            None => answered,
        }
    }

    /// Returns the span from the intended start of a record's attempt (or its own append) to its append.
    pub fn record_span(&self, row: usize) -> Span {
        let at_ns = self.join.on_topic_ns(row);
        let attempt = self.join.log.at(row).attempt;
        let at = Span {
            from_ns: at_ns,
            until_ns: at_ns,
        };
        match self.history().requests.get(attempt as usize) {
            Some(request) => at.hull(self.request_span(request)),
            None => at,
        }
    }

    /// Returns the span from the begin of the load on, without an end.
    pub fn whole(&self) -> Span {
        Span {
            from_ns: self.history().meta.load_from_ns,
            until_ns: NEVER,
        }
    }
}
