//! The outbox's rows in the binlog, which says of its columns what they are, and not what they are for: that is their place.

use super::bytes::{EventBytes, LogDecodeError};
use crate::mariadb::MariaDbRow;
use crate::trace::Stage;

// Types of columns.
const TINY: u8 = 1;
const SHORT: u8 = 2;
const LONG: u8 = 3;
const FLOAT: u8 = 4;
const DOUBLE: u8 = 5;
const TIMESTAMP: u8 = 7;
const LONGLONG: u8 = 8;
const INT24: u8 = 9;
const DATE: u8 = 10;
const YEAR: u8 = 13;
const VARCHAR: u8 = 15;
const TIMESTAMP2: u8 = 17;
const DATETIME2: u8 = 18;
const TIME2: u8 = 19;
const BLOB: u8 = 252;
const STRING: u8 = 254;
// What a STRING really is.
const ENUM: u8 = 247;
const SET: u8 = 248;

// The columns by their places, as `schema.rs` makes them.
const SEQ: usize = 0;
const ID: usize = 1;
const AGGREGATE_ID: usize = 3;
const TYPE: usize = 4;
const VERSION: usize = 5;
const PAYLOAD: usize = 6;
/// So many columns are read; others may follow.
const COLUMNS: usize = 7;

/// How long a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColumnWidth {
    /// It has so many bytes.
    Fixed(usize),
    /// Its length is before it, in so many bytes.
    Counted(usize),
}

/// What is known of the outbox's columns, from the event that precedes its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxTable {
    columns: Vec<ColumnWidth>,
}

impl OutboxTable {
    /// Reads what is behind the table's name.
    pub(super) fn read(mut bytes: EventBytes<'_>) -> Result<Self, LogDecodeError> {
        let count = bytes.packed_count()?;
        let types = bytes.take(count)?;
        let length = bytes.packed_count()?;
        let mut about = EventBytes::new(bytes.take(length)?, "table map event");
        let columns: Result<Vec<ColumnWidth>, LogDecodeError> = types
            .iter()
            .enumerate()
            .map(|(place, kind)| width(place, *kind, &mut about))
            .collect();
        let table = Self { columns: columns? };
        table.check()?;
        Ok(table)
    }

    fn check(&self) -> Result<(), LogDecodeError> {
        let fits = |place: usize| match (place, self.columns.get(place)) {
            (SEQ, width) => width == Some(&ColumnWidth::Fixed(8)),
            (VERSION, width) => width == Some(&ColumnWidth::Fixed(4)),
            (_, width) => matches!(width, Some(ColumnWidth::Counted(_))),
        };
        match (0..COLUMNS).find(|place| !fits(*place)) {
            None => Ok(()),
            Some(place) => Err(LogDecodeError(format!(
                "column {} of the outbox is not as it was made: it begins with seq bigint, id, aggregatetype, \
                 aggregateid and type as texts, version int, payload as a text",
                place + 1
            ))),
        }
    }

    /// Decodes the rows of an event that inserted some. `number` is that of the group, for a trace.
    pub fn rows(&self, data: &[u8], number: u64) -> Result<Vec<MariaDbRow>, LogDecodeError> {
        let mut bytes = EventBytes::new(data, "rows event");
        let count = bytes.packed_count()?;
        if count != self.columns.len() {
            return Err(bytes.wrong(&format!(
                "{count} columns and the table {}",
                self.columns.len()
            )));
        }
        let present = bytes.take(count.div_ceil(8))?;
        if (0..count).any(|column| !has_bit(present, column)) {
            return Err(LogDecodeError(
                "a row of the outbox was logged without all of its columns: set binlog_row_image = FULL on the server"
                    .to_owned(),
            ));
        }
        let mut rows = Vec::new();
        while !bytes.is_empty() {
            rows.push(self.row(&mut bytes, number)?);
        }
        Ok(rows)
    }

    fn row(&self, bytes: &mut EventBytes<'_>, number: u64) -> Result<MariaDbRow, LogDecodeError> {
        let nulls = bytes.take(self.columns.len().div_ceil(8))?;
        let mut values: [&[u8]; COLUMNS] = [&[]; COLUMNS];
        for (place, width) in self.columns.iter().enumerate() {
            if has_bit(nulls, place) {
                if place < COLUMNS {
                    return Err(bytes.wrong(&format!("NULL in column {} of the outbox", place + 1)));
                }
                continue;
            }
            let length = match *width {
                ColumnWidth::Fixed(length) => length,
                ColumnWidth::Counted(count) => bytes.count(count)?,
            };
            let value = bytes.take(length)?;
            if let Some(kept) = values.get_mut(place) {
                *kept = value;
            }
        }
        let text = |place: usize| {
            let text = std::str::from_utf8(values[place]);
            text.map(str::to_owned)
                .map_err(|e| LogDecodeError(format!("column {} of the outbox: {e}", place + 1)))
        };
        let (seq, version) = (signed(values[SEQ]), signed(values[VERSION]));
        Ok(MariaDbRow {
            seq,
            id: text(ID)?,
            key: text(AGGREGATE_ID)?,
            event_type: text(TYPE)?,
            version: version.to_string(),
            payload: text(PAYLOAD)?,
            taken_as: (Stage::Decoded, number),
        })
    }
}

/// The number in four or eight bytes.
fn signed(bytes: &[u8]) -> i64 {
    if let Ok(bytes) = bytes.try_into() {
        return i64::from_le_bytes(bytes);
    }
    bytes
        .try_into()
        .map_or(0, |bytes| i32::from_le_bytes(bytes).into())
}

fn has_bit(bits: &[u8], place: usize) -> bool {
    let byte = bits.get(place / 8).copied().unwrap_or(0);
    byte >> (place % 8) & 1 == 1
}

fn width(
    place: usize,
    kind: u8,
    about: &mut EventBytes<'_>,
) -> Result<ColumnWidth, LogDecodeError> {
    let counted = |longest: usize| ColumnWidth::Counted(if longest < 256 { 1 } else { 2 });
    // Fractions of a second take a byte for two digits.
    let mut with_fraction = |whole: usize| {
        let digits = about.count(1)?;
        Ok(ColumnWidth::Fixed(whole + digits.div_ceil(2)))
    };
    Ok(match kind {
        TINY | YEAR => ColumnWidth::Fixed(1),
        SHORT => ColumnWidth::Fixed(2),
        INT24 | DATE => ColumnWidth::Fixed(3),
        LONG | TIMESTAMP => ColumnWidth::Fixed(4),
        LONGLONG => ColumnWidth::Fixed(8),
        TIMESTAMP2 => return with_fraction(4),
        DATETIME2 => return with_fraction(5),
        TIME2 => return with_fraction(3),
        FLOAT | DOUBLE => ColumnWidth::Fixed(about.count(1)?),
        VARCHAR => counted(about.count(2)?),
        BLOB => match about.count(1)? {
            bytes @ 1..=4 => ColumnWidth::Counted(bytes),
            bytes => return Err(about.wrong(&format!("a text whose length has {bytes} bytes"))),
        },
        STRING => {
            let (first, second) = (about.number(1)? as u8, about.count(1)?);
            match first {
                ENUM | SET => ColumnWidth::Fixed(second),
                // Two bits of the length are in the byte of the type, and the other way round.
                _ => counted((usize::from(first & 0x30) ^ 0x30) << 4 | second),
            }
        }
        kind => {
            return Err(LogDecodeError(format!(
                "column {} of the outbox is of type {kind}, which is not read here: numbers, texts and times are",
                place + 1
            )));
        }
    })
}
