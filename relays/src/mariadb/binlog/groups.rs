//! Groups of events, put together: what a transaction inserted is known for good when its end is read.
//!
//! The rows of an XA transaction are in the log when it is prepared, before anybody has decided; the decision comes later, or
//! never. So they are held until then, and given out where XA COMMIT is in the log, or dropped at XA ROLLBACK. The order
//! of each key stays: a prepared transaction keeps the row of its order locked until it is decided, so what comes after it
//! in the order comes after its decision in the log.
//!
//! What is held is bounded in bytes. Beyond that nothing can be held and nothing may be left out, so the relay ends and says so.

use super::bytes::LogDecodeError;
use super::event::{GroupKind, Gtid, LogEvent};
use super::outbox_table::OutboxTable;
use crate::mariadb::MariaDbRow;
use std::collections::HashMap;

/// The rows of the transaction that is being read, and of all that are prepared, have so many bytes at most.
const HELD_BYTES_MAX: usize = 128 << 20;

/// Why no more can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupError {
    /// An event is not what it should be.
    Wrong(LogDecodeError),
    /// More is held than may be, in this many bytes.
    TooMuch(usize),
}

impl From<LogDecodeError> for GroupError {
    fn from(error: LogDecodeError) -> Self {
        Self::Wrong(error)
    }
}

/// A group was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeGroup {
    /// It is at this place.
    pub gtid: Gtid,
    /// With it these rows are committed.
    pub rows: Vec<MariaDbRow>,
}

/// The group that is being read.
struct OpenGroup {
    gtid: Gtid,
    kind: GroupKind,
    rows: Vec<MariaDbRow>,
    bytes: usize,
    /// For each savepoint, how many rows were there.
    savepoints: Vec<(String, usize)>,
}

/// See the module.
pub struct Groups {
    bytes_max: usize,
    /// Tables by their numbers, in the group that is being read; those that are not outboxes too.
    tables: HashMap<u64, Option<OutboxTable>>,
    open: Option<OpenGroup>,
    /// Rows that wait for a decision, with how many bytes they have.
    prepared: HashMap<Vec<u8>, (Vec<MariaDbRow>, usize)>,
    prepared_bytes: usize,
}

impl Default for Groups {
    fn default() -> Self {
        Self::bounded(HELD_BYTES_MAX)
    }
}

impl Groups {
    /// Holds no more than so many bytes.
    pub fn bounded(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            tables: HashMap::new(),
            open: None,
            prepared: HashMap::new(),
            prepared_bytes: 0,
        }
    }

    /// Whether rows wait for a decision.
    pub fn holds_prepared(&self) -> bool {
        !self.prepared.is_empty()
    }

    /// Takes note of an event; returns the group that it ended, if it did.
    pub fn take(&mut self, event: LogEvent<'_>) -> Result<Option<WholeGroup>, GroupError> {
        match event {
            LogEvent::OfNoAccount => Ok(None),
            LogEvent::Begin(gtid, kind) => {
                // One that was not ended before is what a crash left: it was not committed.
                self.tables.clear();
                self.open = Some(OpenGroup {
                    gtid,
                    kind,
                    rows: Vec::new(),
                    bytes: 0,
                    savepoints: Vec::new(),
                });
                Ok(None)
            }
            LogEvent::Table(number, table) => {
                self.tables.insert(number, table);
                Ok(None)
            }
            LogEvent::Inserted(table, data) => self.insert(table, data).map(|()| None),
            LogEvent::Committed => Ok(self.end(true)),
            LogEvent::Prepared => Ok(self.prepare()),
            LogEvent::Statement(text) => Ok(self.statement(text)?),
        }
    }

    fn insert(&mut self, table: u64, data: &[u8]) -> Result<(), GroupError> {
        let Some(table) = self.tables.get(&table) else {
            let reason = "rows are of a table that was not named before".to_owned();
            return Err(LogDecodeError(reason).into());
        };
        let Some(table) = table else {
            return Ok(());
        };
        let Some(open) = &mut self.open else {
            let reason = "rows of the outbox are in no transaction".to_owned();
            return Err(LogDecodeError(reason).into());
        };
        let rows = table.rows(data, open.gtid.number)?;
        open.bytes += rows.iter().map(MariaDbRow::bytes).sum::<usize>();
        open.rows.extend(rows);
        let held = open.bytes + self.prepared_bytes;
        match held > self.bytes_max {
            true => Err(GroupError::TooMuch(held)),
            false => Ok(()),
        }
    }

    /// Ends the group that is being read, which was committed or not.
    fn end(&mut self, is_committed: bool) -> Option<WholeGroup> {
        let open = self.open.take()?;
        let rows = if is_committed { open.rows } else { Vec::new() };
        Some(WholeGroup {
            gtid: open.gtid,
            rows,
        })
    }

    fn prepare(&mut self) -> Option<WholeGroup> {
        let open = self.open.take()?;
        if let GroupKind::Prepared(name) = open.kind
            && !open.rows.is_empty()
        {
            self.prepared_bytes += open.bytes;
            self.prepared.insert(name, (open.rows, open.bytes));
        }
        Some(WholeGroup {
            gtid: open.gtid,
            rows: Vec::new(),
        })
    }

    fn statement(&mut self, text: &str) -> Result<Option<WholeGroup>, LogDecodeError> {
        let Some(open) = &mut self.open else {
            return Ok(None);
        };
        match &open.kind {
            GroupKind::Statement => Ok(self.end(true)),
            GroupKind::Decision(name) => {
                let (rows, bytes) = self.prepared.remove(name).unwrap_or_default();
                self.prepared_bytes -= bytes;
                match text {
                    _ if text.starts_with("XA COMMIT ") => open.rows = rows,
                    _ if text.starts_with("XA ROLLBACK ") => {}
                    _ => {
                        return Err(LogDecodeError(format!(
                            "a decision on an XA transaction is none: {text:?}"
                        )));
                    }
                }
                Ok(self.end(true))
            }
            GroupKind::Transaction | GroupKind::Prepared(_) => match text {
                "COMMIT" => Ok(self.end(true)),
                "ROLLBACK" => Ok(self.end(false)),
                _ => open.savepoint(text).map(|()| None),
            },
        }
    }
}

impl OpenGroup {
    /// A statement within a transaction: it may set a savepoint, or go back to one.
    fn savepoint(&mut self, text: &str) -> Result<(), LogDecodeError> {
        if let Some(name) = text.strip_prefix("SAVEPOINT ") {
            self.savepoints.retain(|(set, _)| set != name);
            self.bytes += name.len() + size_of::<(String, usize)>();
            self.savepoints.push((name.to_owned(), self.rows.len()));
        } else if let Some(name) = text.strip_prefix("ROLLBACK TO ") {
            let name = name.strip_prefix("SAVEPOINT ").unwrap_or(name);
            let found = self.savepoints.iter().rposition(|(set, _)| set == name);
            let Some(found) = found else {
                let reason = format!("a transaction goes back to {name}, which it has not set");
                return Err(LogDecodeError(reason));
            };
            self.rows.truncate(self.savepoints[found].1);
            self.savepoints.truncate(found + 1);
        }
        Ok(())
    }
}
