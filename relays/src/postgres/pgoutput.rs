//! The messages of PostgreSQL's `pgoutput` plugin, protocol version 1, as far as an outbox needs
//! them: where a transaction begins and ends, what a table's columns are, and what was inserted.
//!
//! Pure, and bounded by its input: nothing is allocated on the word of a length field.

use crate::source::{Event, Held, SourceError};
use crate::trace::Stage;
use bytes::Bytes;
use std::collections::HashMap;
use std::ops::Range;
use thiserror::Error;

/// Tables whose columns are remembered; an outbox's publication has one.
const TABLES_MAX: usize = 1024;

/// A message that is not as the protocol says, or a table that is no outbox.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The message ends too early.
    #[error("message {tag:?} ends within its {field}")]
    Truncated {
        /// This is the message's first byte, which says of what kind it is.
        tag: char,
        /// What was being read.
        field: &'static str,
    },
    /// A value that the protocol does not have.
    #[error("message {tag:?} has an unknown {field}: {value}")]
    Unknown {
        /// This is the message's first byte, which says of what kind it is.
        tag: char,
        /// This names the part of the message that has the value.
        field: &'static str,
        /// This is the byte that stands there.
        value: u8,
    },
    /// A row came before the description of its table.
    #[error("a row of table {0}, which was not described before")]
    UnknownTable(u32),
    /// A published table is not an outbox.
    #[error(
        "table {table} has no column {column}; publish the outbox only, with columns id, \
         aggregateid, type, version, payload"
    )]
    NotAnOutbox {
        /// This is the table's name as the server describes it, without its schema.
        table: String,
        /// This is the first column of an outbox that the table does not have.
        column: &'static str,
    },
    /// A column that must have a value has none.
    #[error("an outbox row without {0}")]
    NoValue(&'static str),
    /// A logical decoding message that is ours by its prefix is no event.
    #[error("a logical decoding message with prefix {0} is no event: it takes four tabs")]
    NotAnEvent(String),
    /// More tables than any outbox has.
    #[error("more than {TABLES_MAX} tables in the publication; publish the outbox only")]
    TooManyTables,
}

/// This is one decoded message of the stream; names and values are borrowed from its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// A transaction begins, and its rows follow.
    Begin {
        /// This is the position (LSN) of its commit.
        final_lsn: u64,
    },
    /// The transaction ends with its commit.
    Commit {
        /// This is the position (LSN) after its commit: what to acknowledge.
        end_lsn: u64,
    },
    /// A table is described, before its first row and after each change of it.
    Relation {
        /// This is the table's oid, by which its rows name it.
        table: u32,
        /// This is the table's name without its schema, as bytes.
        name: &'a [u8],
        /// These are the names of the table's columns, in the order in which a row has its values.
        columns: Vec<&'a [u8]>,
    },
    /// A row was inserted.
    Insert {
        /// This is the oid of the table, which an earlier [`Message::Relation`] describes.
        table: u32,
        /// This is the inserted row, whose values are still in the message.
        row: Row<'a>,
    },
    /// A logical decoding message was emitted, which belongs to no table.
    Emitted {
        /// This says whether it belongs to the transaction, and is there only if that committed.
        transactional: bool,
        /// Whoever emitted it tells its messages from others' by this.
        prefix: &'a [u8],
        /// These bytes of the whole message are its content.
        content: Range<usize>,
    },
    /// It is anything else, by its tag: nothing that concerns an outbox.
    Other(u8),
}

/// These are the values of a row, in the order of the table's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    message: &'a [u8],
    at: usize,
    columns: u16,
}

struct Cursor<'a> {
    tag: u8,
    message: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.message.get(self.at..end));
        let taken = taken.ok_or(DecodeError::Truncated {
            tag: self.tag as char,
            field,
        })?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N, field)?);
        Ok(bytes)
    }

    fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(u8::from_be_bytes(self.array(field)?))
    }

    fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array(field)?))
    }

    fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array(field)?))
    }

    /// Returns the text up to a zero byte, and reads past that; an error says that there is none.
    fn text(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let rest = &self.message[self.at..];
        // Without an end: one byte more than there is.
        let length = rest.iter().position(|b| *b == 0).unwrap_or(rest.len());
        let text = self.take(length, field)?;
        self.take(1, field)?;
        Ok(text)
    }

    fn unknown(&self, field: &'static str, value: u8) -> DecodeError {
        DecodeError::Unknown {
            tag: self.tag as char,
            field,
            value,
        }
    }
}

impl<'a> Message<'a> {
    /// Reads one message; an error says in which part it ends too early, or has a value that is not known.
    pub fn parse(message: &'a [u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor {
            tag: 0,
            message,
            at: 0,
        };
        cursor.tag = cursor.u8("tag")?;
        match cursor.tag {
            b'B' => Ok(Self::Begin {
                final_lsn: cursor.u64("final LSN")?,
            }),
            b'C' => {
                cursor.u8("flags")?;
                cursor.u64("commit LSN")?;
                Ok(Self::Commit {
                    end_lsn: cursor.u64("end LSN")?,
                })
            }
            b'R' => {
                let table = cursor.u32("table")?;
                cursor.text("schema name")?;
                let name = cursor.text("table name")?;
                cursor.u8("replica identity")?;
                let count = cursor.u16("number of columns")?;
                let mut columns = Vec::new();
                for _ in 0..count {
                    cursor.u8("column flags")?;
                    columns.push(cursor.text("column name")?);
                    cursor.take(8, "column type")?;
                }
                Ok(Self::Relation {
                    table,
                    name,
                    columns,
                })
            }
            b'I' => {
                let table = cursor.u32("table")?;
                match cursor.u8("tuple marker")? {
                    b'N' => {}
                    other => return Err(cursor.unknown("tuple marker", other)),
                }
                let columns = cursor.u16("number of columns")?;
                let row = Row {
                    message,
                    at: cursor.at,
                    columns,
                };
                Ok(Self::Insert { table, row })
            }
            b'M' => {
                let flags = cursor.u8("flags")?;
                cursor.u64("LSN")?;
                let prefix = cursor.text("prefix")?;
                let length = cursor.u32("content length")? as usize;
                let start = cursor.at;
                cursor.take(length, "content")?;
                Ok(Self::Emitted {
                    transactional: flags & 1 == 1,
                    prefix,
                    content: start..cursor.at,
                })
            }
            other => Ok(Self::Other(other)),
        }
    }
}

impl<'a> Row<'a> {
    /// Calls `visit` for each column with its number and where in the message its value is
    /// (`None`: NULL, or unchanged and not sent).
    fn visit(&self, mut visit: impl FnMut(u16, Option<Range<usize>>)) -> Result<(), DecodeError> {
        let mut cursor = Cursor {
            tag: b'I',
            message: self.message,
            at: self.at,
        };
        for column in 0..self.columns {
            match cursor.u8("column kind")? {
                b'n' | b'u' => visit(column, None),
                b't' | b'b' => {
                    let length = cursor.u32("value length")? as usize;
                    let start = cursor.at;
                    cursor.take(length, "value")?;
                    visit(column, Some(start..cursor.at));
                }
                other => return Err(cursor.unknown("column kind", other)),
            }
        }
        Ok(())
    }

    /// Returns a value for each column, in order; `None` is NULL, or a value that was not sent.
    pub fn values(&self) -> Result<Vec<Option<&'a [u8]>>, DecodeError> {
        let mut values = Vec::new();
        self.visit(|_, place| values.push(place.map(|p| &self.message[p])))?;
        Ok(values)
    }
}

/// What an outbox's columns are called, in the order of [`OutboxRow`]'s fields.
const COLUMNS: [&str; 5] = ["aggregateid", "id", "type", "version", "payload"];
const PAYLOAD: usize = 4;

/// This is a row of an outbox, still in the message it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    message: Bytes,
    fields: [(u32, u32); COLUMNS.len()],
    commit_lsn: u64,
}

impl OutboxRow {
    fn field(&self, field: usize) -> Result<&str, SourceError> {
        let (start, end) = self.fields[field];
        std::str::from_utf8(&self.message[start as usize..end as usize]).map_err(|e| {
            let doing = format!("read {} of an outbox row", COLUMNS[field]);
            SourceError::new(doing, format!("{e}; the database must use UTF-8"))
        })
    }

    /// Returns the LSN of its transaction's commit.
    pub fn commit_lsn(&self) -> u64 {
        self.commit_lsn
    }

    /// Returns the event's payload; an error says that it is not UTF-8.
    pub fn payload(&self) -> Result<&str, SourceError> {
        self.field(PAYLOAD)
    }
}

impl Held for OutboxRow {
    fn event(&self) -> Result<Event<'_>, SourceError> {
        Ok(Event {
            key: self.field(0)?,
            id: self.field(1)?,
            event_type: self.field(2)?,
            version: self.field(3)?,
            payload: self.field(PAYLOAD)?,
        })
    }

    fn taken_as(&self) -> Option<(Stage, u64)> {
        Some((Stage::Decoded, self.commit_lsn))
    }
}

/// Finds the rows of outboxes in one connection's messages, or the events that are messages themselves.
#[derive(Debug, Default)]
pub struct OutboxDecoder {
    /// Logical decoding messages of this prefix are events.
    prefix: Option<String>,
    /// For each table, by its oid, this has the number of each of [`COLUMNS`].
    tables: HashMap<u32, [u16; COLUMNS.len()]>,
    /// LSN of the commit of the transaction that is being read.
    commit_lsn: u64,
}

impl OutboxDecoder {
    /// Makes one that finds the events which are logical decoding messages with this prefix.
    pub fn of_messages(prefix: String) -> Self {
        Self {
            prefix: Some(prefix),
            ..Self::default()
        }
    }

    /// The event in a logical decoding message, if that is what it is; of a message that is not transactional
    /// nobody knows whether what it announces was committed.
    pub fn message(
        &self,
        transactional: bool,
        prefix: &[u8],
        content: Bytes,
    ) -> Result<Option<OutboxRow>, DecodeError> {
        let ours = self.prefix.as_deref().filter(|p| p.as_bytes() == prefix);
        let Some(prefix) = ours.filter(|_| transactional) else {
            return Ok(None);
        };
        let fields = apart(&content).ok_or_else(|| DecodeError::NotAnEvent(prefix.to_owned()))?;
        Ok(Some(OutboxRow {
            message: content,
            fields,
            commit_lsn: self.commit_lsn,
        }))
    }

    /// Notes that a transaction begins. This is for streams that give the message in another form; else
    /// [`OutboxDecoder::decode`] sees it itself.
    pub fn begin(&mut self, commit_lsn: u64) {
        self.commit_lsn = commit_lsn;
    }

    /// The outbox row in this message, if that is what it is.
    pub fn decode(&mut self, message: Bytes) -> Result<Option<OutboxRow>, DecodeError> {
        match Message::parse(&message)? {
            Message::Insert { table, row } => {
                let columns = self
                    .tables
                    .get(&table)
                    .ok_or(DecodeError::UnknownTable(table))?;
                let fields = locate(row, columns)?;
                Ok(Some(OutboxRow {
                    message,
                    fields,
                    commit_lsn: self.commit_lsn,
                }))
            }
            Message::Relation {
                table,
                name,
                columns,
            } => {
                self.describe(table, name, &columns)?;
                Ok(None)
            }
            Message::Begin { final_lsn } => {
                self.begin(final_lsn);
                Ok(None)
            }
            Message::Emitted {
                transactional,
                prefix,
                content,
            } => self.message(transactional, prefix, message.slice(content)),
            Message::Commit { .. } | Message::Other(_) => Ok(None),
        }
    }

    fn describe(&mut self, table: u32, name: &[u8], columns: &[&[u8]]) -> Result<(), DecodeError> {
        if self.tables.len() >= TABLES_MAX && !self.tables.contains_key(&table) {
            return Err(DecodeError::TooManyTables);
        }
        let mut numbers = [0; COLUMNS.len()];
        for (number, wanted) in numbers.iter_mut().zip(COLUMNS) {
            let found = columns.iter().position(|c| *c == wanted.as_bytes());
            *number = found.ok_or_else(|| DecodeError::NotAnOutbox {
                table: String::from_utf8_lossy(name).into_owned(),
                column: wanted,
            })? as u16;
        }
        self.tables.insert(table, numbers);
        Ok(())
    }
}

fn locate(
    row: Row<'_>,
    columns: &[u16; COLUMNS.len()],
) -> Result<[(u32, u32); COLUMNS.len()], DecodeError> {
    // No value ends at 0: the tag is there.
    let mut fields = [(0, 0); COLUMNS.len()];
    row.visit(|column, place| {
        let Some(place) = place else { return };
        for (field, wanted) in fields.iter_mut().zip(columns) {
            if *wanted == column {
                // A protocol message is shorter than 2 GiB.
                *field = (place.start as u32, place.end as u32);
            }
        }
    })?;
    match fields.iter().position(|field| field.1 == 0) {
        None => Ok(fields),
        Some(missing) => Err(DecodeError::NoValue(COLUMNS[missing])),
    }
}

/// Where the fields of an event are: separated by tabs, which only the last one may have in it.
fn apart(content: &[u8]) -> Option<[(u32, u32); COLUMNS.len()]> {
    let mut fields = [(0, 0); COLUMNS.len()];
    let mut start = 0;
    for field in &mut fields[..PAYLOAD] {
        let length = content[start..].iter().position(|byte| *byte == b'\t')?;
        *field = (start as u32, (start + length) as u32);
        start += length + 1;
    }
    fields[PAYLOAD] = (start as u32, content.len() as u32);
    Some(fields)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn relation(table: u32, name: &str, columns: &[&str]) -> Vec<u8> {
        let mut message = vec![b'R'];
        message.extend(table.to_be_bytes());
        message.extend(b"public\0");
        message.extend(name.as_bytes());
        message.extend(b"\0d");
        message.extend((columns.len() as u16).to_be_bytes());
        for column in columns {
            message.push(0);
            message.extend(column.as_bytes());
            message.push(0);
            message.extend([0; 8]);
        }
        message
    }

    fn insert(table: u32, values: &[Option<Vec<u8>>]) -> Vec<u8> {
        let mut message = vec![b'I'];
        message.extend(table.to_be_bytes());
        message.push(b'N');
        message.extend((values.len() as u16).to_be_bytes());
        for value in values {
            match value {
                None => message.push(b'n'),
                Some(value) => {
                    message.push(b't');
                    message.extend((value.len() as u32).to_be_bytes());
                    message.extend(value);
                }
            }
        }
        message
    }

    const OUTBOX: [&str; 8] = [
        "seq",
        "id",
        "aggregatetype",
        "aggregateid",
        "type",
        "version",
        "payload",
        "created_at",
    ];

    fn outbox_row(values: [&str; 8]) -> Vec<u8> {
        let values: Vec<_> = values.iter().map(|v| Some(v.as_bytes().to_vec())).collect();
        insert(7, &values)
    }

    #[test]
    fn a_row_of_a_described_outbox_is_an_event() {
        let mut decoder = OutboxDecoder::default();
        let described = decoder.decode(relation(7, "outbox", &OUTBOX).into());
        assert_eq!(described, Ok(None));
        let row = outbox_row(["1", "the-id", "order", "the-key", "Paid", "3", "{}", "now"]);
        let row = decoder.decode(row.into()).unwrap().unwrap();
        let event = Event {
            key: "the-key",
            id: "the-id",
            event_type: "Paid",
            version: "3",
            payload: "{}",
        };
        assert_eq!(row.event(), Ok(event));
    }

    #[test]
    fn begin_and_commit_carry_their_positions() {
        let mut begin = vec![b'B'];
        begin.extend(77u64.to_be_bytes());
        begin.extend([0; 12]);
        assert_eq!(Message::parse(&begin), Ok(Message::Begin { final_lsn: 77 }));
        let mut commit = vec![b'C', 0];
        commit.extend(77u64.to_be_bytes());
        commit.extend(99u64.to_be_bytes());
        commit.extend([0; 8]);
        assert_eq!(Message::parse(&commit), Ok(Message::Commit { end_lsn: 99 }));
    }

    fn emitted(flags: u8, prefix: &str, content: &[u8]) -> Vec<u8> {
        let mut message = vec![b'M', flags];
        message.extend(77u64.to_be_bytes());
        message.extend(prefix.as_bytes());
        message.push(0);
        message.extend((content.len() as u32).to_be_bytes());
        message.extend(content);
        message
    }

    #[test]
    fn a_message_of_the_prefix_is_an_event_and_whatever_else_is_emitted_is_none() {
        let content = b"the-key\tthe-id\tPaid\t3\t{\"tab\": \"\t\"}";
        let mut decoder = OutboxDecoder::of_messages("ours".to_owned());
        decoder.begin(99);
        let row = decoder.decode(emitted(1, "ours", content).into());
        let row = row.unwrap().unwrap();
        let event = Event {
            key: "the-key",
            id: "the-id",
            event_type: "Paid",
            version: "3",
            payload: "{\"tab\": \"\t\"}",
        };
        assert_eq!((row.event(), row.commit_lsn()), (Ok(event), 99));
        // Somebody else's, one that no transaction holds, and one for whom a table is the outbox
        for other in [emitted(1, "theirs", b"?"), emitted(0, "ours", content)] {
            assert_eq!(decoder.decode(other.into()), Ok(None));
        }
        let of_rows = OutboxDecoder::default().decode(emitted(1, "ours", content).into());
        assert_eq!(of_rows, Ok(None));
        let error = decoder.decode(emitted(1, "ours", b"a\tb\tc\td").into());
        assert_eq!(error, Err(DecodeError::NotAnEvent("ours".to_owned())));
    }

    #[test]
    fn what_is_no_outbox_is_refused_by_name() {
        let mut decoder = OutboxDecoder::default();
        let error = decoder
            .decode(relation(7, "orders", &["id", "state"]).into())
            .unwrap_err();
        assert!(error.to_string().contains("orders"), "{error}");
        assert!(error.to_string().contains("aggregateid"), "{error}");
        let unknown = decoder.decode(insert(8, &[]).into());
        assert_eq!(unknown, Err(DecodeError::UnknownTable(8)));
    }

    #[test]
    fn an_outbox_row_without_a_key_is_refused() {
        let mut decoder = OutboxDecoder::default();
        decoder
            .decode(relation(7, "outbox", &OUTBOX).into())
            .unwrap();
        let mut values: Vec<_> = OUTBOX.iter().map(|_| Some(b"x".to_vec())).collect();
        values[3] = None;
        let error = decoder.decode(insert(7, &values).into());
        assert_eq!(error, Err(DecodeError::NoValue("aggregateid")));
    }

    proptest! {
        #[test]
        fn rows_come_back_as_they_were_encoded(
            table: u32,
            values in prop::collection::vec(
                prop::option::of(prop::collection::vec(any::<u8>(), 0..50)), 0..20),
        ) {
            let message = insert(table, &values);
            let Ok(Message::Insert { table: parsed, row }) = Message::parse(&message) else {
                return Err(TestCaseError::fail("not an insert"));
            };
            prop_assert_eq!(parsed, table);
            let back: Vec<_> =
                row.values().unwrap().iter().map(|v| v.map(<[u8]>::to_vec)).collect();
            prop_assert_eq!(back, values);
        }

        #[test]
        fn tables_come_back_as_they_were_encoded(
            table: u32,
            name in "[a-z_]{1,20}",
            columns in prop::collection::vec("[a-z_]{1,20}", 0..20),
        ) {
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            let message = relation(table, &name, &columns);
            let expected = Message::Relation {
                table,
                name: name.as_bytes(),
                columns: columns.iter().map(|c| c.as_bytes()).collect(),
            };
            prop_assert_eq!(Message::parse(&message), Ok(expected));
        }

        #[test]
        fn garbage_is_an_error_or_a_message_but_never_a_panic(
            tag in prop::sample::select(b"BCRIUDTYOM\0".to_vec()),
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut message = vec![tag];
            message.extend(rest);
            if let Ok(Message::Insert { row, .. }) = Message::parse(&message) {
                let _ = row.values();
            }
            let message = Bytes::from(message);
            let _ = OutboxDecoder::default().decode(message.clone());
            let _ = OutboxDecoder::of_messages(String::new()).decode(message);
        }

        #[test]
        fn a_message_cut_anywhere_is_an_error(cut in 1usize..100) {
            let mut decoder = OutboxDecoder::default();
            decoder.decode(relation(7, "outbox", &OUTBOX).into()).unwrap();
            let whole = outbox_row(["1", "the-id", "order", "the-key", "Paid", "3", "{}", "now"]);
            let cut = cut.min(whole.len() - 1);
            prop_assert!(decoder.decode(whole[..cut].to_vec().into()).is_err());
        }
    }
}
