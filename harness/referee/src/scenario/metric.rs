//! The names of what can be expected of.

use super::{LatencyKind, Metric, Percentile};

/// Everything that is counted.
const COUNTS: [Metric; 14] = [
    Metric::Lost,
    Metric::Undrained,
    Metric::Undecided,
    Metric::Phantom,
    Metric::Foreign,
    Metric::Duplicated,
    Metric::Reordered,
    Metric::Split,
    Metric::Corrupted,
    Metric::Missing,
    Metric::DoubleApplied,
    Metric::FalseRejection,
    Metric::Unacknowledged,
    Metric::Late,
];

/// What a relay strategy is held to, whether its file says so or not: 0 of each.
pub const IMPLICIT: [Metric; 10] = [
    Metric::Lost,
    Metric::Undrained,
    Metric::Phantom,
    Metric::Foreign,
    Metric::Reordered,
    Metric::Split,
    Metric::Corrupted,
    Metric::Missing,
    Metric::DoubleApplied,
    Metric::FalseRejection,
];

/// What the value of an expectation on a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of events, changes or orders.
    Count,
    /// A time, kept in milliseconds.
    Milliseconds,
    /// A time, kept in seconds.
    Seconds,
}

impl Metric {
    /// Every metric.
    pub fn all() -> Vec<Metric> {
        let mut all = COUNTS.to_vec();
        all.extend([Metric::Drain, Metric::Recovery]);
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

    /// The metric of this name.
    pub fn parse(name: &str) -> Option<Metric> {
        Self::all().into_iter().find(|m| m.name() == name)
    }

    /// What it is measured in.
    pub fn unit(self) -> Unit {
        match self {
            Self::Latency(..) => Unit::Milliseconds,
            Self::Drain | Self::Recovery => Unit::Seconds,
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
