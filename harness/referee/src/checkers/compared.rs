//! What was seen, and how a figure of it compares with what was expected.

use super::context::Context;
use super::inconclusive::Inconclusive;
use super::tally::Tally;
use crate::measure::Recovery;
use crate::scenario::{Comparison, Expectation, Metric, Percentile};
use crate::view::Window;
use reports::record::{Latency, LatencySet};

/// All that can be expected of.
pub struct Seen<'a, 't> {
    /// The joined history, for what it says beside the counts.
    pub context: &'a Context<'a>,
    /// This is the consumer that is judged, by its process; `None`: the strategy itself is.
    pub consumer: Option<&'a str>,
    /// When faults were in force that can explain what is judged.
    pub windows: &'a [Window],
    /// There is one tally for each count metric.
    pub tallies: &'a [Tally<'t>],
    /// These are the latencies over the whole run.
    pub latency: &'a LatencySet,
    /// This is how long the drain took, seconds; `None`: something never arrived.
    pub drain_s: Option<f64>,
    /// This is the recovery, counted from the last heal.
    pub recovery: Recovery,
    /// This counts the versions of orders that the database held after the fence.
    pub committed: u64,
    /// Why the run is inconclusive.
    pub inconclusive: &'a [Inconclusive],
}

impl<'a, 't> Seen<'a, 't> {
    /// What was counted of a metric.
    pub fn tally(&self, metric: Metric) -> Option<&'a Tally<'t>> {
        self.tallies.iter().find(|t| t.metric() == metric)
    }

    /// What may be counted of it besides: of losses, what is undecided.
    pub fn undecided(&self, metric: Metric) -> Option<&'a Tally<'t>> {
        (metric == Metric::Lost)
            .then(|| self.tally(Metric::Undecided))
            .flatten()
    }
}

/// What came of the comparison, before what is inconclusive.
pub struct Compared {
    /// What was seen; `None` is infinite, or not measured.
    pub observed: Option<f64>,
    /// Whether it is as expected; `None`: this run cannot tell.
    pub met: Option<bool>,
    /// Why it is not, or cannot be told.
    pub reason: String,
    /// Nothing but an inconclusive run leaves it open.
    pub only_inconclusive: bool,
}

impl Compared {
    /// Returns a comparison that is met, with what was seen; `None` is infinite, or not measured.
    pub fn met(observed: Option<f64>) -> Self {
        Self {
            observed,
            met: Some(true),
            reason: String::new(),
            only_inconclusive: false,
        }
    }

    /// It is missed, for this reason.
    pub fn missed(reason: String) -> Self {
        Self {
            observed: None,
            met: Some(false),
            reason,
            only_inconclusive: false,
        }
    }

    /// This run cannot tell, for this reason.
    pub fn open(reason: String) -> Self {
        Self {
            observed: None,
            met: None,
            reason,
            only_inconclusive: false,
        }
    }

    /// With what was seen; `None` is infinite.
    pub fn saw(self, observed: Option<f64>) -> Self {
        Self { observed, ..self }
    }

    /// What it needs was not read, which is a reason of its own.
    pub fn untold(unread: &str) -> Self {
        Self {
            only_inconclusive: true,
            ..Self::open(format!("this run cannot tell: {unread}"))
        }
    }
}

/// Returns a percentile of a latency; `None` if it is infinite or nothing was measured.
pub fn at(latency: &Latency, percentile: Percentile) -> Option<f64> {
    match percentile {
        Percentile::P50 => latency.p50,
        Percentile::P90 => latency.p90,
        Percentile::P99 => latency.p99,
        Percentile::P999 => latency.p999,
        Percentile::Max => latency.max,
    }
}

/// There is nothing to compare with.
pub fn nothing_measured(why: &str) -> Compared {
    Compared::open(format!("this run cannot tell: {why}"))
}

/// Whether a figure is as expected.
pub fn compare(expectation: &Expectation, observed: f64) -> bool {
    match expectation.comparison {
        Comparison::Equal => observed == expectation.value,
        Comparison::AtLeast => observed >= expectation.value,
        Comparison::AtMost => observed <= expectation.value,
    }
}
