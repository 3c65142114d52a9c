//! The record of a comparison: what `compare.json` holds and its reports show. A figure that was not measured is
//! null, never 0. No exporter computes one, nor a finding: both are in the record.

pub mod html;
pub mod markdown;
pub mod terminal;
pub(crate) mod words;

use crate::ExportError;
use crate::record::Verdict;
use serde::{Deserialize, Serialize};

/// This is the version of the format of `compare.json`, which each file of it carries.
pub const SCHEMA_VERSION: u32 = 1;

/// Runs of one scenario against others of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compare {
    /// This is the version of the record's format, [`SCHEMA_VERSION`] when it was written.
    pub schema_version: u32,
    /// This is the version of the outbox-harness that compared.
    pub harness_version: String,
    /// This is the name of the scenario that all of the runs are of.
    pub scenario: String,
    /// This line says what the runs ran on: the stack, the versions of its servers, and the cores if known.
    pub ran_on: String,
    /// These are the sets of runs, or the strategies, that were compared; sets that confirm an alarm come last.
    pub sides: Vec<Side>,
    /// These lines say what differs between the two although a comparison wants it alike; there are none unless it
    /// was allowed.
    pub unlike: Vec<String>,
    /// Whether the two of each pair were run next to each other in time.
    pub in_turns: bool,
    /// Pairs of runs that there are; a row has fewer where one of the two has no figure.
    pub pairs: u32,
    /// How sure the page as a whole is: with one less this, at most, any of its findings is chance.
    pub confidence: f64,
    /// A smaller change than this is never told, as a share.
    pub least_told: f64,
    /// A metric may be so much worse, as a share; null where nobody said so.
    pub max_regression: Option<f64>,
    /// What is compared with what, and what came of it.
    pub subjects: Vec<Subject>,
    /// What it comes to: `fail` where something got worse that must not, `unknown` where nothing can be told.
    pub verdict: Verdict,
    /// Why it is not `pass`, and what a `pass` is worth; whole sentences.
    pub reasons: Vec<String>,
    /// What is worth knowing of the pairs, and counts for no finding.
    pub remarks: Vec<String>,
}

/// Where runs come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// This names the side: `base`, `new`, or the strategy.
    pub name: String,
    /// This is the folder or the file that the runs come from.
    pub from: String,
    /// How many runs there are.
    pub runs: u32,
    /// These are the moments at which its first run and its last one began, in RFC 3339; null where it has no run.
    pub began: Option<(String, String)>,
    /// The versions of outbox-harness that made its runs, and of its relays where they have one.
    pub versions: Vec<String>,
}

/// This compares one strategy with itself in another version, or with another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// This names what is compared: `cdc`, or `polling against cdc`.
    pub title: String,
    /// What stands over the figures it is compared with.
    pub base: String,
    /// What stands over its own figures.
    pub new: String,
    /// Counts of what can go wrong, side by side: no statistics.
    pub safety: Vec<SafetyRow>,
    /// These rows hold the compared metrics, each with its finding.
    pub rows: Vec<CompareRow>,
    /// What each side did while a fault was in force, beside the time before; shown, and no finding. Empty in records of
    /// before.
    #[serde(default)]
    pub failing: Vec<FailingRow>,
}

/// One figure of the time in which a fault was in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailingRow {
    /// This names that time, as records call the phase: `during down kafka`.
    pub during: String,
    /// This is the id of the metric: `events`, `end_to_end_p99`, `relay_cpu` or `service_cpu`.
    pub metric: String,
    /// This is the metric's name as reports show it, e.g. `end to end p99`.
    pub name: String,
    /// This is the unit of the figures: `ms`, `/s` or `µs`.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// What it is compared with.
    pub base: FailingArm,
    /// These are the figures of the new side.
    pub new: FailingArm,
}

/// This is one side of a [`FailingRow`], where each run is compared with itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FailingArm {
    /// While the fault was in force.
    pub during: ArmFigures,
    /// Before the first fault of the same runs; nothing where one began with the load.
    pub without: ArmFigures,
    /// This is the first divided by the second, less one: the median of the runs' ratios. Null without any ratio.
    pub change: Option<f64>,
}

/// This tells how often one thing went wrong, by run; null where a run did not read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SafetyRow {
    /// This names the metric that counts it, as in scenario files, e.g. `lost`.
    pub metric: String,
    /// These are the base's counts, one a run; null where the run did not read it.
    pub base: Vec<Option<u64>>,
    /// These are the new side's counts, one a run; null where the run did not read it.
    pub new: Vec<Option<u64>>,
    /// Whether the new side did what it must not: one is enough.
    pub harm: bool,
    /// Whether some run of the new side did not read it.
    pub unread: bool,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// A smaller figure is better.
    Lower,
    /// A larger figure is better.
    Higher,
}

/// What can be said of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// The new side is better.
    Better,
    /// The new side is worse.
    Worse,
    /// The pairs do not show a difference; they could have shown one of [`CompareRow::smallest`].
    NotDistinguishable,
    /// There are too few pairs that have this figure to say anything.
    TooFewPairs,
    /// In every run of either side it falls on what never came: there is no ratio of that, and nothing to ask.
    NeverCame,
    /// It would be better, and counts for nothing: the work was not done right.
    Withheld,
}

/// This compares one metric of a subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompareRow {
    /// As `--metrics` takes it: `end_to_end_p99`.
    pub metric: String,
    /// This is the metric's name as reports show it, e.g. `end to end p99`.
    pub name: String,
    /// This is the unit of the figures: `ms`, `s`, `/s`, `B`, `µs` or `MiB`.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// What it is compared with.
    pub base: ArmFigures,
    /// These are the figures of the new side.
    pub new: ArmFigures,
    /// So many pairs have both.
    pub pairs: u32,
    /// This is the new side divided by the base, less one: the centre of the paired ratios. It is null without pairs.
    pub change: Option<f64>,
    /// What that may be; null where so few pairs have no interval.
    pub interval: Option<(f64, f64)>,
    /// How sure the interval is, by itself: the more rows there are, the surer each has to be.
    pub interval_confidence: f64,
    /// So much equal runs differed, as a share; null where no equal runs could be paired.
    pub noise_floor: Option<f64>,
    /// The smallest change for the worse that these pairs could have shown, as a share; null where they could not have
    /// shown any.
    pub smallest: Option<f64>,
    /// The smallest change for the worse that would have raised an alarm of these pairs, as a share; null where nobody asked,
    /// where none would have, and in records of before.
    #[serde(default)]
    pub alarm_from: Option<f64>,
    /// What can be said.
    pub finding: Finding,
    /// Whether the interval lies wholly beyond `max_regression`; null where nobody asked.
    pub beyond_limit: Option<bool>,
    /// Of one that does: whether a second set of pairs shows it by itself, or rules it out; null where there is none, and
    /// where it does neither.
    pub confirmed: Option<bool>,
}

/// These are the figures of one side, one a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmFigures {
    /// This is the median of the runs; null where nothing was measured, or where most of the runs have it at
    /// infinity.
    pub median: Option<f64>,
    /// This is the smallest figure of a run; null where nothing was measured, or where all are at infinity.
    pub min: Option<f64>,
    /// This is the largest figure of a run; null where nothing was measured, or where it is at infinity.
    pub max: Option<f64>,
    /// These are the figures by run; null where it was not measured or is at infinity.
    pub runs: Vec<Option<f64>>,
    /// In so many runs it falls on events that never arrived.
    pub never: u32,
}

impl ArmFigures {
    /// Whether it falls on what never came in every run that has it, of which there is one.
    pub fn only_never(&self) -> bool {
        self.never > 0 && self.runs.iter().all(Option::is_none)
    }
}

/// Returns the bytes of `compare.json`; an error says why the record could not be written as JSON.
pub fn json(compare: &Compare) -> Result<Vec<u8>, ExportError> {
    let mut bytes = serde_json::to_vec_pretty(compare).map_err(|error| ExportError {
        format: "compare.json",
        reason: error.to_string(),
    })?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod sample {
    use super::*;

    fn arm(median: f64, unit_of_spread: f64) -> ArmFigures {
        ArmFigures {
            median: Some(median),
            min: Some(median - unit_of_spread),
            max: Some(median + unit_of_spread),
            runs: vec![Some(median); 12],
            never: 0,
        }
    }

    fn row(name: &str, change: f64, half: f64, finding: Finding) -> CompareRow {
        CompareRow {
            metric: name.replace(' ', "_"),
            name: name.to_owned(),
            unit: "ms".to_owned(),
            better: Better::Lower,
            base: arm(2.0, 0.1),
            new: arm(2.0 * (1.0 + change), 0.1),
            pairs: 12,
            change: Some(change),
            interval: Some((change - half, change + half)),
            interval_confidence: 0.996,
            noise_floor: Some(0.03),
            smallest: Some(half + 0.03),
            alarm_from: Some(half + 0.1),
            finding,
            beyond_limit: Some(finding == Finding::Worse),
            confirmed: (finding == Finding::Worse).then_some(true),
        }
    }

    fn failing(name: &str, unit: &str, during: f64, change: f64) -> FailingRow {
        let side = FailingArm {
            during: arm(during, 0.0),
            without: arm(2.0, 0.1),
            change: Some(change),
        };
        FailingRow {
            during: "during down <kafka>".to_owned(),
            metric: name.replace(' ', "_"),
            name: name.to_owned(),
            unit: unit.to_owned(),
            better: Better::Lower,
            base: side.clone(),
            new: FailingArm {
                change: None,
                without: ArmFigures::default(),
                ..side
            },
        }
    }

    /// Returns a small comparison with a finding of every kind, and markup in its texts.
    pub fn compare() -> Compare {
        let never = CompareRow {
            base: arm(2.0, 0.1),
            new: ArmFigures {
                runs: vec![None; 12],
                never: 12,
                ..ArmFigures::default()
            },
            change: Some(1e80),
            interval: Some((1e80, 1e80)),
            ..row("end to end p99", 0.0, 0.0, Finding::Worse)
        };
        let few = CompareRow {
            pairs: 0,
            change: None,
            interval: None,
            smallest: None,
            alarm_from: None,
            noise_floor: None,
            base: ArmFigures::default(),
            new: ArmFigures::default(),
            ..row("recovery", 0.0, 0.0, Finding::TooFewPairs)
        };
        let count = |metric: &str, new: u64, harm: bool| SafetyRow {
            metric: metric.to_owned(),
            base: vec![Some(0); 12],
            new: [vec![Some(new)], vec![Some(0); 11]].concat(),
            harm,
            unread: false,
        };
        Compare {
            schema_version: SCHEMA_VERSION,
            harness_version: "0".to_owned(),
            scenario: "a <scenario>".to_owned(),
            ran_on: "local stack: PostgreSQL 1, 2 cores".to_owned(),
            sides: ["base", "new"]
                .map(|name| Side {
                    name: name.to_owned(),
                    from: format!("runs/{name}"),
                    runs: 12,
                    began: Some(("2026-11-29T10:00:00Z".into(), "2026-11-29T10:20:00Z".into())),
                    versions: vec!["outbox-harness 0".to_owned()],
                })
                .into(),
            unlike: vec!["cores: base 2, new 4".to_owned()],
            in_turns: true,
            pairs: 12,
            confidence: 0.95,
            least_told: 0.01,
            max_regression: Some(0.1),
            subjects: vec![Subject {
                title: "a <strategy>".to_owned(),
                base: "base".to_owned(),
                new: "new".to_owned(),
                safety: vec![count("lost", 1, true), count("duplicated", 3, false)],
                rows: vec![
                    row("propagation p50", 0.2, 0.05, Finding::Worse),
                    row("order p50", -0.2, 0.05, Finding::Withheld),
                    row("order p99", -0.3, 0.05, Finding::Better),
                    row("end to end p50", 0.02, 0.3, Finding::NotDistinguishable),
                    never,
                    few,
                ],
                failing: vec![
                    failing("events", "/s", 0.0, -1.0),
                    failing("end to end p99", "ms", 4_000.0, 1_999.0),
                ],
            }],
            verdict: Verdict::Fail,
            reasons: vec!["<new> lost 1.".to_owned()],
            remarks: vec!["a <remark>".to_owned()],
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_comes_back_out_of_its_json() {
        let compare = sample::compare();
        let back: Compare = serde_json::from_slice(&json(&compare).unwrap()).unwrap();
        assert_eq!(back, compare);
    }
}
