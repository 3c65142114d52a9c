//! The record of a run and its exporters: record in, bytes out. Nothing here knows of sockets,
//! clocks or databases, and no exporter computes a verdict.

pub mod record;

pub mod html;
pub mod json;
pub mod junit;
pub mod summary;
pub mod terminal;

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
