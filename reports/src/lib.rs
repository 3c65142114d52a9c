//! The record of a run and its exporters: record in, bytes out. Nothing here knows of sockets,
//! clocks or databases, and no exporter computes a verdict.
//!
//! A format is a file with one [`Exporter`]. What several formats show alike is a value of its own
//! that they render: the comparison table, the one-line conclusion, the limits of what was proved.

pub mod bench;
pub mod charts;
pub mod compare;
pub mod record;
pub mod schema;

pub mod claims;
pub mod explanation;
pub mod github;
pub mod html;
pub mod index;
pub mod json;
pub mod junit;
pub mod summary;
pub mod terminal;
pub mod trend;

mod comparison;
mod conclusion;
mod figures;
mod limits;
mod text;

pub use figures::{cost, count, milliseconds, verdict};
use record::Record;
pub use text::wrap;
use thiserror::Error;

/// A record could not be rendered.
#[derive(Debug, Error)]
#[error("rendering {format}: {reason}")]
pub struct ExportError {
    /// This names what was being rendered, mostly by its file's name, e.g. `record.json`.
    pub format: &'static str,
    /// This says in words why it failed.
    pub reason: String,
}

/// An exporter renders a record in one format.
pub trait Exporter {
    /// Returns the file's name in the run folder.
    fn file_name(&self) -> &'static str;
    /// Returns the file's bytes; an error says why the record could not be rendered.
    fn export(&self, record: &Record) -> Result<Vec<u8>, ExportError>;
}

/// Returns an exporter for every format that belongs in a run's folder.
pub fn all() -> Vec<Box<dyn Exporter>> {
    vec![
        Box::new(json::Json),
        Box::new(html::Html),
        Box::new(junit::Junit),
        Box::new(summary::Summary),
    ]
}

/// Returns what the run came to, in one sentence, e.g. `naive lost 453 of 5,880 committed changes, as expected;
/// polling and cdc lost none.`
pub fn conclusion(record: &Record) -> String {
    conclusion::sentence(record)
}

/// How many offending events of a metric a strategy has, by the metric's name; `None` where that was not read, and where
/// it counts nothing.
pub fn harm_count(strategy: &record::Strategy, metric: &str) -> Option<u64> {
    comparison::harm_count(strategy, metric)
}

/// How many offending effects of a metric a consumer has, by the metric's name; `None` where that was not read, and where
/// it counts nothing.
pub fn consumer_count(consumer: &record::Consumer, metric: &str) -> Option<u64> {
    let mut counts = comparison::consumer_counts(consumer).into_iter();
    counts.find(|(name, ..)| *name == metric)?.1
}
