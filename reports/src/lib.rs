//! The record of a run and its exporters: record in, bytes out. Nothing here knows of sockets,
//! clocks or databases, and no exporter computes a verdict.
//!
//! A format is a file with one [`Exporter`]. What several formats show alike is a value of its own
//! that they render: the comparison table, the one-line conclusion, the limits of what was proved.

pub mod bench;
pub mod record;

pub mod explanation;
pub mod html;
pub mod json;
pub mod junit;
pub mod summary;
pub mod terminal;

mod comparison;
mod conclusion;
mod figures;
mod limits;
mod text;

use record::Record;
use thiserror::Error;

/// A record could not be rendered.
#[derive(Debug, Error)]
#[error("rendering {format}: {reason}")]
pub struct ExportError {
    /// Which format.
    pub format: &'static str,
    /// Why it failed.
    pub reason: String,
}

/// One format.
pub trait Exporter {
    /// File name in the run folder.
    fn file_name(&self) -> &'static str;
    /// The record, rendered.
    fn export(&self, record: &Record) -> Result<Vec<u8>, ExportError>;
}

/// Every format that belongs in a run's folder.
pub fn all() -> Vec<Box<dyn Exporter>> {
    vec![
        Box::new(json::Json),
        Box::new(html::Html),
        Box::new(junit::Junit),
        Box::new(summary::Summary),
    ]
}

/// What the run came to, in one sentence, e.g. `naive lost 453 of 5,880 committed changes, as
/// expected; polling and cdc lost none.`
pub fn conclusion(record: &Record) -> String {
    conclusion::sentence(record)
}
