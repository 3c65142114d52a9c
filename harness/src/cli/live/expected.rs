//! What is expected of a lane, and where that stands while it runs: what is counted in passing is compared, the rest is
//! read at the end. It judges nothing.

use super::shown::Tone;
use crate::run::lane_counts::LaneCounts;
use crate::scenario::{Comparison, Expectation, Metric};
use reports::record;
use serde::Serialize;

/// An expectation stands like this: the first four while the run goes on, the others once it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It holds so far.
    SoFar,
    /// It does not hold yet, and may.
    NotYet,
    /// It does not hold.
    Broken,
    /// Nobody counts it in passing.
    AtTheEnd,
    /// The expectation was judged, and it was met.
    Met,
    /// The expectation was judged, and it was missed.
    Missed,
    /// It cannot be told.
    Unknown,
}

impl Standing {
    /// Returns the words that are shown for it, e.g. `not yet`.
    pub fn words(self) -> &'static str {
        match self {
            Self::SoFar => "so far",
            Self::NotYet => "not yet",
            Self::Broken => "broken",
            Self::AtTheEnd => "at the end",
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Unknown => "unknown",
        }
    }

    /// How good that is.
    pub fn tone(self) -> Tone {
        match self {
            Self::SoFar | Self::Met => Tone::Kept,
            Self::NotYet | Self::AtTheEnd => Tone::Plain,
            Self::Unknown => Tone::Warning,
            Self::Broken | Self::Missed => Tone::Loss,
        }
    }

    /// That of an expectation while this is counted.
    pub fn of(expectation: &Expectation, counts: &LaneCounts) -> Self {
        let counted = match expectation.metric {
            Metric::Lost => counts.lost,
            Metric::Phantom => counts.phantom,
            Metric::Duplicated => counts.duplicated,
            Metric::Undrained
            | Metric::Undecided
            | Metric::Foreign
            | Metric::Reordered
            | Metric::Overtaken
            | Metric::Split
            | Metric::Corrupted
            | Metric::Missing
            | Metric::DoubleApplied
            | Metric::FalseRejection
            | Metric::Unacknowledged
            | Metric::Late
            | Metric::Unapplied
            | Metric::AppliedTwice
            | Metric::AppliedUnseen
            | Metric::AppliedOutOfOrder
            | Metric::Stale
            | Metric::StaleReads
            | Metric::LongestStaleness
            | Metric::Drain
            | Metric::Recovery
            | Metric::Cost(_)
            | Metric::Latency(..) => return Self::AtTheEnd,
        };
        let Some(counted) = counted else {
            return Self::Unknown;
        };
        let (counted, value) = (counted as f64, expectation.value);
        match expectation.comparison {
            Comparison::AtLeast if counted < value => Self::NotYet,
            Comparison::Equal if counted < value => Self::NotYet,
            Comparison::Equal | Comparison::AtMost if counted > value => Self::Broken,
            Comparison::AtLeast | Comparison::Equal | Comparison::AtMost => Self::SoFar,
        }
    }

    /// That of one that was judged.
    fn judged(judged: &record::Expectation) -> Self {
        match judged.met {
            Some(true) => Self::Met,
            Some(false) => Self::Missed,
            None => Self::Unknown,
        }
    }
}

/// One expectation, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Promise {
    /// This is what is promised, e.g. `lost >= 1`.
    pub what: String,
    /// The expectation stands like this now.
    pub standing: Standing,
    /// These words say where it stands.
    pub words: &'static str,
    /// How good that is.
    pub tone: Tone,
}

impl Promise {
    fn new(metric: &str, expected: &str, standing: Standing) -> Self {
        let is_bare = expected.starts_with(|c: char| c.is_ascii_digit());
        let equal = if is_bare { "= " } else { "" };
        Self {
            what: format!("{} {equal}{expected}", metric.replace('_', " ")),
            standing,
            words: standing.words(),
            tone: standing.tone(),
        }
    }

    /// One while it runs.
    pub fn of(expectation: &Expectation, counts: &LaneCounts) -> Self {
        let standing = Standing::of(expectation, counts);
        Self::new(&expectation.metric.name(), &expectation.text, standing)
    }

    /// One that was judged.
    pub fn judged(judged: &record::Expectation) -> Self {
        Self::new(&judged.metric, &judged.expected, Standing::judged(judged))
    }
}

/// Returns all of a lane for one line: what stands out is named, and of what stands alike a few are.
pub fn in_short(promises: &[Promise]) -> Vec<(String, Tone)> {
    let standings = [
        Standing::Broken,
        Standing::Missed,
        Standing::NotYet,
        Standing::Unknown,
        Standing::SoFar,
        Standing::Met,
        Standing::AtTheEnd,
    ];
    let of = |standing: Standing| {
        let alike: Vec<&str> = promises
            .iter()
            .filter(|p| p.standing == standing)
            .map(|p| p.what.as_str())
            .collect();
        let words = standing.words();
        let is_many = matches!(standing, Standing::AtTheEnd | Standing::Met);
        let named = match alike.as_slice() {
            [] => return None,
            [one] => format!("{one}: {words}"),
            all if is_many => format!("{} {words}", all.len()),
            [one, other] => format!("{one}, {other}: {words}"),
            [one, more @ ..] => format!("{one}, {} more: {words}", more.len()),
        };
        Some((named, standing.tone()))
    };
    standings.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expectation(metric: Metric, comparison: Comparison, value: f64) -> Expectation {
        Expectation {
            metric,
            comparison,
            value,
            text: match comparison {
                Comparison::Equal => format!("{value}"),
                Comparison::AtLeast => format!(">= {value}"),
                Comparison::AtMost => format!("<= {value}"),
            },
            implicit: false,
        }
    }

    #[test]
    fn given_what_is_counted_in_passing_then_each_expectation_says_where_it_stands() {
        use Comparison::{AtLeast, AtMost, Equal};
        let counts = |lost| LaneCounts {
            lost: Some(lost),
            ..LaneCounts::ZERO
        };
        for (metric, comparison, value, lost, standing) in [
            (Metric::Lost, AtLeast, 1.0, 0, Standing::NotYet),
            (Metric::Lost, AtLeast, 1.0, 1, Standing::SoFar),
            (Metric::Lost, Equal, 0.0, 0, Standing::SoFar),
            (Metric::Lost, Equal, 0.0, 1, Standing::Broken),
            (Metric::Lost, AtMost, 1.0, 2, Standing::Broken),
            (Metric::Missing, Equal, 0.0, 0, Standing::AtTheEnd),
        ] {
            let expectation = expectation(metric, comparison, value);
            assert_eq!(Standing::of(&expectation, &counts(lost)), standing);
        }
        // Of what is not known nothing holds.
        let zero = expectation(Metric::Lost, Equal, 0.0);
        let unread = LaneCounts::default();
        assert_eq!(Standing::of(&zero, &unread), Standing::Unknown);
    }

    #[test]
    fn given_many_of_them_then_they_fit_a_line_with_what_stands_out_first() {
        let counts = LaneCounts {
            phantom: Some(1),
            ..LaneCounts::ZERO
        };
        let metrics = crate::scenario::implicit();
        let all = metrics.into_iter().map(|metric| {
            let zero = expectation(metric, Comparison::Equal, 0.0);
            Promise::of(&zero, &counts)
        });
        let short = in_short(&all.collect::<Vec<_>>());
        let words: Vec<&str> = short.iter().map(|(words, _)| words.as_str()).collect();
        assert_eq!(
            words,
            ["phantom = 0: broken", "lost = 0: so far", "8 at the end"]
        );
    }
}
