//! The charts of a report as files: each as a picture (SVG), and the figures behind it as a table (CSV), a row a point.

use crate::ExportError;
use crate::html::charts;
use crate::record::{Latency, LatencySet, Record, Series, Strategy};

/// This is a file of a chart: its picture, or the table of its figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartFile {
    /// This is the file's name, e.g. `backlog.svg` or `backlog.csv`.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// This has the columns of a table, and makes its rows of one strategy; a figure that was not measured is empty,
/// never 0.
struct ChartTable {
    /// As its chart is called.
    name: &'static str,
    columns: &'static [&'static str],
    rows: fn(&Strategy) -> Vec<Vec<Option<f64>>>,
}

const TABLES: [ChartTable; 6] = [
    ChartTable {
        name: "acknowledged",
        columns: &["at_s", "acknowledged_per_s"],
        rows: |s| over_time(&s.series, &[&known(&s.series.acknowledged_per_s)]),
    },
    ChartTable {
        name: "published",
        columns: &["at_s", "published_per_s"],
        rows: |s| over_time(&s.series, &[&known(&s.series.published_per_s)]),
    },
    ChartTable {
        name: "backlog",
        columns: &["at_s", "backlog"],
        rows: |s| over_time(&s.series, &[&known(&s.series.backlog)]),
    },
    ChartTable {
        name: "propagation",
        columns: &["at_s", "propagation_p50_ms", "propagation_p99_ms"],
        rows: |s| {
            let series = &s.series;
            over_time(
                series,
                &[&series.propagation_p50_ms, &series.propagation_p99_ms],
            )
        },
    },
    ChartTable {
        name: "end-to-end",
        columns: &["percentile", "end_to_end_ms"],
        rows: |s| by_percentile(&s.latency_ms, |set| &set.end_to_end),
    },
    ChartTable {
        name: "order",
        columns: &["percentile", "order_ms"],
        rows: |s| by_percentile(&s.latency_ms, |set| &set.order),
    },
];

/// Every chart that a record has anything for, as SVG and as CSV.
pub fn files(record: &Record) -> Result<Vec<ChartFile>, ExportError> {
    let wrong = |reason: String| ExportError {
        format: "the charts",
        reason,
    };
    let mut files = Vec::new();
    for (name, svg) in charts::pictures(record).map_err(wrong)? {
        files.push(ChartFile {
            name: format!("{name}.svg"),
            bytes: svg.into_bytes(),
        });
        if let Some(table) = TABLES.iter().find(|table| table.name == name) {
            files.push(ChartFile {
                name: format!("{name}.csv"),
                bytes: csv(record, table).map_err(|e| wrong(e.to_string()))?,
            });
        }
    }
    Ok(files)
}

fn csv(record: &Record, table: &ChartTable) -> Result<Vec<u8>, csv::Error> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_field("strategy")?;
    out.write_record(table.columns)?;
    for strategy in &record.strategies {
        for row in (table.rows)(strategy) {
            out.write_field(&strategy.name)?;
            let cells = row.iter().map(|value| {
                let value = value.filter(|value| value.is_finite());
                value.map_or_else(String::new, |value| value.to_string())
            });
            out.write_record(cells)?;
        }
    }
    out.into_inner().map_err(|e| e.into_error().into())
}

fn known(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().map(|value| Some(*value)).collect()
}

/// A row a bin, by its middle, as the chart has it.
fn over_time(series: &Series, columns: &[&[Option<f64>]]) -> Vec<Vec<Option<f64>>> {
    let bins = columns.iter().map(|values| values.len()).max().unwrap_or(0);
    let row = |bin: usize| {
        let middle = (bin as f64 + 0.5) * series.bin_s;
        let values = columns
            .iter()
            .map(|values| values.get(bin).copied().flatten());
        std::iter::once(Some(middle)).chain(values).collect()
    };
    (0..bins).map(row).collect()
}

fn by_percentile(set: &LatencySet, pick: fn(&LatencySet) -> &Latency) -> Vec<Vec<Option<f64>>> {
    let points = pick(set).curve.iter();
    points
        .map(|(percentile, ms)| vec![Some(*percentile), Some(*ms)])
        .collect()
}
