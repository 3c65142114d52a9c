//! The record of a benchmark: what `bench.json` holds and its reports show. A figure that was not
//! measured is null, never 0. No exporter computes one: medians and ratios are in the record.

pub mod html;
pub mod terminal;

use crate::ExportError;
use crate::record::{Stack, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// This is the version of the format of `bench.json`, which each file of it carries.
pub const SCHEMA_VERSION: u32 = 1;

/// This is the record of one benchmark: what was asked, how it was measured, and the figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bench {
    /// This is the version of the record's format, [`SCHEMA_VERSION`] when it was written.
    pub schema_version: u32,
    /// This is the version of the outbox-harness that measured.
    pub harness_version: String,
    /// This names the benchmark: `drain`, `latency`, `capacity` or `orders`.
    pub bench: String,
    /// This is the question that the benchmark answers, in one sentence.
    pub question: String,
    /// This is the command line that repeats the benchmark.
    pub command: String,
    /// This is when the benchmark was started, in RFC 3339.
    pub started_at: String,
    /// This is the wall time of the whole benchmark, in seconds.
    pub took_s: f64,
    /// So many rounds were asked for; in each of them every row is measured once, one after the other.
    pub repetitions: u32,
    /// Rounds in which every row was measured. Where the benchmark was cut short these are fewer than
    /// `repetitions`, and some rows may have a figure of one round more.
    pub complete: u32,
    /// It is `pass` where every figure is of work that was checked, `fail` where some work was done wrongly, and
    /// `unknown` where some figure could not be taken, or where the benchmark was cut short.
    pub verdict: Verdict,
    /// Why it is not `pass`.
    pub reasons: Vec<String>,
    /// How it was measured, a sentence each.
    pub method: Vec<String>,
    /// These are the settings of the benchmark by name, each value with its unit.
    pub settings: BTreeMap<String, String>,
    /// This says what the benchmark ran on: the servers, their versions and the environment.
    pub stack: Stack,
    /// These tables hold the figures, a row for each thing that was measured.
    pub tables: Vec<Table>,
    /// Each of these divides the figures of a row by those of another, measured in the same round.
    pub ratios: Vec<Ratio>,
}

/// A table holds rows with the same columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// This names the table, e.g. `1,000 changes/s`.
    pub name: String,
    /// The first is the one that is drawn.
    pub columns: Vec<Column>,
    /// The rows stand in the order in which a round measures them.
    pub rows: Vec<Row>,
}

/// A column of a table names what is measured, and its unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// This names the column, and is the key of its figures in each row.
    pub name: String,
    /// This is the unit of the figures: `/s`, `s`, `ms`, `µs` or `MiB`; it is empty for a count.
    pub unit: String,
}

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What is being compared.
    Subject,
    /// What nothing on this stack can exceed.
    Limit,
    /// Something else that does the same work.
    Peer,
}

/// One thing that was measured, in every round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// This names what was measured; ratios refer to the row by it.
    pub name: String,
    /// What it is here.
    pub role: Role,
    /// This tells the settings and the link of the row in one phrase, e.g. `interval 5 ms, NOTIFY`.
    pub note: String,
    /// These are the row's figures by the name of their column; null where nothing was measured.
    pub figures: BTreeMap<String, Option<Figure>>,
    /// What was found beside the figures, e.g. what saturated, a remark a round.
    pub remarks: Vec<String>,
}

/// Median and spread over the rounds that have a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// This is the median of the rounds, in the column's unit.
    pub median: f64,
    /// This is the smallest value of a round, in the column's unit.
    pub min: f64,
    /// This is the largest value of a round, in the column's unit.
    pub max: f64,
    /// These are the values by round, in the column's unit; null where it was not measured.
    pub rounds: Vec<Option<f64>>,
}

/// The median of the ratios by round, which is not the ratio of the medians: what slows a machine
/// down for a minute slows both sides of a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// This names the table that holds both rows.
    pub table: String,
    /// This names the column of the table that both figures are from.
    pub column: String,
    /// This names the row above the line, whose figures are divided by those of the other.
    pub of: String,
    /// This names the row below the line, by whose figures those of the other are divided.
    pub against: String,
    /// These are the ratios by round, with median and range; null where no round has both figures.
    pub figure: Option<Figure>,
}

/// Returns the bytes of `bench.json`; an error says why the record could not be written as JSON.
pub fn json(bench: &Bench) -> Result<Vec<u8>, ExportError> {
    let mut bytes = serde_json::to_vec_pretty(bench).map_err(|error| ExportError {
        format: "bench.json",
        reason: error.to_string(),
    })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// How many rounds there are, and that they are not all.
fn rounds(bench: &Bench) -> String {
    let all = crate::figures::counted(u64::from(bench.repetitions), "round");
    if bench.complete < bench.repetitions {
        format!("CUT SHORT after {} of {all}", bench.complete)
    } else {
        all
    }
}

/// How a value of a column is written: `48,200/s`, `4.12 s`, `0.61 ms`, `9.1 MiB`.
pub(crate) fn value(value: f64, unit: &str) -> String {
    match unit {
        "ms" => crate::figures::milliseconds(value),
        "s" => crate::figures::seconds(Some(value)),
        "/s" => crate::figures::rate(Some(value)),
        "B" => crate::figures::bytes(Some(value)),
        "" => crate::figures::decimal(value),
        unit => format!("{} {unit}", crate::figures::decimal(value)),
    }
}

/// The spread around a median, without its unit where that is said already.
fn spread(figure: &Figure, unit: &str) -> String {
    let end = |bound: f64| match unit {
        "ms" | "s" | "B" => value(bound, unit),
        _ => crate::figures::decimal(bound),
    };
    format!("{} to {}", end(figure.min), end(figure.max))
}

#[cfg(test)]
pub(crate) mod sample {
    use super::*;
    use crate::record::{Broker, Server};

    /// A small one with a limit, a figure that is missing, and markup in its texts.
    pub fn bench() -> Bench {
        let figure = |values: [f64; 2]| Figure {
            median: (values[0] + values[1]) / 2.0,
            min: values[0].min(values[1]),
            max: values[0].max(values[1]),
            rounds: values.map(Some).to_vec(),
        };
        let row = |name: &str, role, rate: [f64; 2], cpu: Option<[f64; 2]>| Row {
            name: name.to_owned(),
            role,
            note: "a <note>".to_owned(),
            figures: [
                ("drained".to_owned(), Some(figure(rate))),
                ("CPU an event".to_owned(), cpu.map(figure)),
            ]
            .into(),
            remarks: Vec::new(),
        };
        let column = |name: &str, unit: &str| Column {
            name: name.to_owned(),
            unit: unit.to_owned(),
        };
        let server = || Server {
            version: "1".to_owned(),
            url: "http://there".to_owned(),
        };
        Bench {
            schema_version: SCHEMA_VERSION,
            harness_version: "0".to_owned(),
            bench: "drain".to_owned(),
            question: "How fast?".to_owned(),
            command: "outbox-harness bench drain".to_owned(),
            started_at: "2026-11-24T00:00:00Z".to_owned(),
            took_s: 12.5,
            repetitions: 2,
            complete: 2,
            verdict: Verdict::Unknown,
            reasons: vec!["round 2: <cdc> was late".to_owned()],
            method: vec!["Rounds are interleaved.".to_owned()],
            settings: [("events".to_owned(), "200,000".to_owned())].into(),
            stack: Stack {
                provider: "local".to_owned(),
                postgres: server(),
                kafka: Broker {
                    version: "1".to_owned(),
                    bootstrap: "there:1".to_owned(),
                },
                others: Vec::new(),
                toxiproxy: server(),
                machine: Default::default(),
                environment: BTreeMap::new(),
            },
            tables: vec![Table {
                name: "drain".to_owned(),
                columns: vec![column("drained", "/s"), column("CPU an event", "µs")],
                rows: vec![
                    row("cdc", Role::Subject, [48_000.0, 50_000.0], Some([3.0, 3.2])),
                    row("pg_recvlogical", Role::Limit, [50_000.0, 51_000.0], None),
                ],
            }],
            ratios: vec![Ratio {
                table: "drain".to_owned(),
                column: "drained".to_owned(),
                of: "cdc".to_owned(),
                against: "pg_recvlogical".to_owned(),
                figure: Some(figure([0.96, 0.98])),
            }],
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_bench_comes_back_out_of_its_json() {
        let bench = sample::bench();
        let back: Bench = serde_json::from_slice(&json(&bench).unwrap()).unwrap();
        assert_eq!(back, bench);
    }

    #[test]
    fn values_have_the_unit_of_their_column() {
        assert_eq!(value(48_200.0, "/s"), "48,200/s");
        assert_eq!(value(4.12, "s"), "4.12 s");
        assert_eq!(value(9.1, "MiB"), "9.1 MiB");
        assert_eq!(value(2048.0, "B"), "2 KiB");
        assert_eq!(value(3.0, ""), "3");
    }
}
