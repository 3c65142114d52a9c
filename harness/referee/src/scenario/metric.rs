//! The names of what can be expected of.

use super::cost::COSTS;
use super::{LatencyKind, Metric, Percentile};

/// Something that is counted: its row in the registry. What counts it has the same name in
/// `checkers`.
#[derive(Debug)]
pub struct CountInfo {
    /// The row is about this metric.
    pub metric: Metric,
    /// Files and records give it this name.
    pub name: &'static str,
    /// This is its line of explanation, for `outbox-harness list`.
    pub what: &'static str,
    /// Whether a relay strategy is held to 0 of it, whether its file says so or not.
    pub implicit: bool,
}

/// Everything that is counted.
pub const COUNTS: [CountInfo; 15] = [
    CountInfo {
        metric: Metric::Lost,
        name: "lost",
        what: "committed, no valid event, and nothing left that could still deliver it",
        implicit: true,
    },
    CountInfo {
        metric: Metric::Undrained,
        name: "undrained",
        what: "committed, no event by the deadline, but the outbox or slot still holds it",
        implicit: true,
    },
    CountInfo {
        metric: Metric::Undecided,
        name: "undecided",
        what: "a publish that the end of the run itself cut off",
        implicit: false,
    },
    CountInfo {
        metric: Metric::Phantom,
        name: "phantom",
        what: "an event whose change is not committed",
        implicit: true,
    },
    CountInfo {
        metric: Metric::Foreign,
        name: "foreign",
        what: "an event of another run, or of nobody",
        implicit: true,
    },
    CountInfo {
        metric: Metric::Duplicated,
        name: "duplicated",
        what: "valid events beyond the first for the same change (at-least-once allows them)",
        implicit: false,
    },
    CountInfo {
        metric: Metric::Reordered,
        name: "reordered",
        what: "versions of an order that first appeared after a later one did",
        implicit: true,
    },
    CountInfo {
        metric: Metric::Overtaken,
        name: "overtaken",
        what: "events behind one, on their partition, of a change that was sent when theirs had been answered",
        implicit: false,
    },
    CountInfo {
        metric: Metric::Split,
        name: "split",
        what: "orders with events on several partitions",
        implicit: true,
    },
    CountInfo {
        metric: Metric::Corrupted,
        name: "corrupted",
        what: "events whose key or value is not what was written",
        implicit: true,
    },
    CountInfo {
        metric: Metric::Missing,
        name: "missing",
        what: "the client was told committed, and the database has something else",
        implicit: true,
    },
    CountInfo {
        metric: Metric::DoubleApplied,
        name: "double_applied",
        what: "one change at two versions",
        implicit: true,
    },
    CountInfo {
        metric: Metric::FalseRejection,
        name: "false_rejection",
        what: "the client was told no, and it is committed",
        implicit: true,
    },
    CountInfo {
        metric: Metric::Unacknowledged,
        name: "unacknowledged",
        what: "committed, and the client was told nothing",
        implicit: false,
    },
    CountInfo {
        metric: Metric::Late,
        name: "late",
        what: "first seen later than `late_after`",
        implicit: false,
    },
];

/// Everything that is counted of a consumer. One that has an `idempotency` is held to 0 of what its way of working
/// promises.
pub const CONSUMER_COUNTS: [CountInfo; 4] = [
    CountInfo {
        metric: Metric::Unapplied,
        name: "unapplied",
        what: "of a consumer: valid events without their effect",
        implicit: true,
    },
    CountInfo {
        metric: Metric::AppliedTwice,
        name: "applied_twice",
        what: "of a consumer: effects beyond the first for the same change",
        implicit: true,
    },
    CountInfo {
        metric: Metric::AppliedUnseen,
        name: "applied_unseen",
        what: "of a consumer: effects without a valid event, such as those of phantoms",
        implicit: true,
    },
    CountInfo {
        metric: Metric::AppliedOutOfOrder,
        name: "applied_out_of_order",
        what: "of a consumer whose effect is a `state`: effects after which an order is in an older state than it had been",
        implicit: true,
    },
];

/// Everything that is counted of a cache.
pub const CACHE_COUNTS: [CountInfo; 2] = [
    CountInfo {
        metric: Metric::Stale,
        name: "stale",
        what: "orders for which the cache, at the end, answers another version than the committed one",
        implicit: false,
    },
    CountInfo {
        metric: Metric::StaleReads,
        name: "stale_reads",
        what: "reads that were answered a version older than one that a client had been told is committed before they were sent",
        implicit: false,
    },
];

/// What a relay strategy is held to, whether its file says so or not: 0 of each.
pub fn implicit() -> Vec<Metric> {
    let rows = COUNTS.iter().filter(|row| row.implicit);
    rows.map(|row| row.metric).collect()
}

/// What the value of an expectation on a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// The value is a number of events, changes or orders.
    Count,
    /// The value is a time, kept in milliseconds.
    Milliseconds,
    /// The value is a time, kept in seconds.
    Seconds,
    /// The value is a time, kept in microseconds.
    Microseconds,
    /// The value is a size, kept in bytes.
    Bytes,
}

impl Metric {
    /// Returns every metric that a scenario file can name: counts, drain and recovery, costs, percentiles of
    /// latencies.
    pub fn all() -> Vec<Metric> {
        let counts = COUNTS.iter().chain(&CACHE_COUNTS);
        let mut all: Vec<Metric> = counts.map(|row| row.metric).collect();
        all.extend([Metric::LongestStaleness, Metric::Drain, Metric::Recovery]);
        all.extend(COSTS.iter().map(|row| Metric::Cost(row.kind)));
        for kind in [
            LatencyKind::Order,
            LatencyKind::Propagation,
            LatencyKind::EndToEnd,
        ] {
            for percentile in [
                Percentile::P50,
                Percentile::P90,
                Percentile::P99,
                Percentile::P999,
                Percentile::Max,
            ] {
                all.push(Metric::Latency(kind, percentile));
            }
        }
        all
    }

    /// Returns every metric of consumers.
    pub fn of_consumers() -> Vec<Metric> {
        CONSUMER_COUNTS.map(|row| row.metric).to_vec()
    }

    /// Returns the metric of consumers that has this name; `None` if there is none.
    pub fn parse_of_consumer(name: &str) -> Option<Metric> {
        let mut rows = CONSUMER_COUNTS.iter();
        rows.find(|row| row.name == name).map(|row| row.metric)
    }

    /// Returns the metric of this name; `None` if there is none.
    pub fn parse(name: &str) -> Option<Metric> {
        Self::all().into_iter().find(|m| m.name() == name)
    }

    /// Whether it counts what is out of order.
    pub fn is_of_order(self) -> bool {
        matches!(self, Self::Reordered | Self::Overtaken)
    }

    /// Whether it is of a cache, so that a strategy without one has none of it.
    pub fn is_of_cache(self) -> bool {
        matches!(
            self,
            Self::Stale | Self::StaleReads | Self::LongestStaleness
        )
    }

    /// What it is measured in.
    pub fn unit(self) -> Unit {
        match self {
            Self::Latency(..) | Self::LongestStaleness => Unit::Milliseconds,
            Self::Drain | Self::Recovery => Unit::Seconds,
            Self::Cost(kind) => kind.info().unit,
            _ => Unit::Count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_as_its_metric() {
        for metric in Metric::all() {
            assert_eq!(Metric::parse(&metric.name()), Some(metric));
        }
        assert_eq!(Metric::parse("propagation_p98"), None);
    }
}
