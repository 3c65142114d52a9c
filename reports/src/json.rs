//! Exporter: `record.json`, and the way back.

use crate::record::{Record, SCHEMA_VERSION};
use crate::{ExportError, Exporter};
use serde::{Deserialize, Serialize};
use serde_json::Serializer;
use serde_json::ser::{Formatter, PrettyFormatter};
use std::io::{self, Write};
use thiserror::Error;

/// An error shows so many characters of an offending line.
const SHOWN_CHARS: usize = 120;

/// This exporter writes `record.json`.
#[derive(Debug, Clone, Copy)]
pub struct Json;

impl Exporter for Json {
    fn file_name(&self) -> &'static str {
        "record.json"
    }

    fn export(&self, record: &Record) -> Result<Vec<u8>, ExportError> {
        let mut bytes = Vec::new();
        let mut serializer = Serializer::with_formatter(&mut bytes, Pretty::default());
        record
            .serialize(&mut serializer)
            .map_err(|error| ExportError {
                format: "record.json",
                reason: error.to_string(),
            })?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// Pretty, but a point of a curve takes one line and not four.
#[derive(Default)]
struct Pretty {
    lines: PrettyFormatter<'static>,
    /// Whether each open value is an array.
    open: Vec<bool>,
    /// So many of those in `open` are written on one line.
    in_line: usize,
}

impl Formatter for Pretty {
    fn begin_array<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        let in_array = self.open.last() == Some(&true);
        self.open.push(true);
        if in_array || self.in_line > 0 {
            self.in_line += 1;
            return out.write_all(b"[");
        }
        self.lines.begin_array(out)
    }

    fn end_array<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.open.pop();
        if self.in_line > 0 {
            self.in_line -= 1;
            return out.write_all(b"]");
        }
        self.lines.end_array(out)
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if self.in_line > 0 {
            return out.write_all(if first { b"" } else { b", " });
        }
        self.lines.begin_array_value(out, first)
    }

    fn end_array_value<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        if self.in_line > 0 {
            return Ok(());
        }
        self.lines.end_array_value(out)
    }

    fn begin_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.open.push(false);
        self.lines.begin_object(out)
    }

    fn end_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.open.pop();
        self.lines.end_object(out)
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.lines.begin_object_key(out, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.lines.begin_object_value(out)
    }

    fn end_object_value<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.lines.end_object_value(out)
    }
}

/// Bytes that are not a record this version can read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseError {
    /// Not JSON, or a field is missing or of the wrong kind.
    #[error("not a record: line {line}, column {column}: {reason}\n  {text}")]
    Invalid {
        /// This is the number of the line that the error is in; the first is 1.
        line: usize,
        /// This is the column of that line in which the error was noticed; the first is 1.
        column: usize,
        /// What is wrong there.
        reason: String,
        /// This is that line without white space around it, cut after `SHOWN_CHARS` characters.
        text: String,
    },
    /// It is JSON of something else.
    #[error("not a record: there is no schema_version in it")]
    NoVersion,
    /// The record has a schema version that this outbox-harness does not read.
    #[error(
        "a record of schema version {found}, and this outbox-harness reads version \
         {SCHEMA_VERSION}: use the version of outbox-harness that wrote it, or run `outbox-harness \
         check` on its folder to make the record again"
    )]
    OtherVersion {
        /// This is the schema version that the record says it has.
        found: u64,
    },
}

/// The version alone, so that another version's record is named as such before its fields differ.
#[derive(Deserialize)]
struct Versioned {
    schema_version: Option<u64>,
}

/// Reads the bytes of a `record.json` back; an error says why they are no record of this version.
pub fn parse(bytes: &[u8]) -> Result<Record, ParseError> {
    let versioned: Versioned =
        serde_json::from_slice(bytes).map_err(|error| invalid(bytes, &error))?;
    match versioned.schema_version {
        None => Err(ParseError::NoVersion),
        Some(version) if version != u64::from(SCHEMA_VERSION) => {
            Err(ParseError::OtherVersion { found: version })
        }
        Some(_) => serde_json::from_slice(bytes).map_err(|error| invalid(bytes, &error)),
    }
}

fn invalid(bytes: &[u8], error: &serde_json::Error) -> ParseError {
    let line = error.line();
    let at = bytes.split(|byte| *byte == b'\n').nth(line.max(1) - 1);
    let text = String::from_utf8_lossy(at.unwrap_or_default());
    // serde_json repeats the position at the end of its message.
    let position = format!(" at line {line} column {}", error.column());
    ParseError::Invalid {
        line,
        column: error.column(),
        reason: error.to_string().replace(&position, ""),
        text: text.trim().chars().take(SHOWN_CHARS).collect(),
    }
}
