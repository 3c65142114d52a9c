//! Events of MariaDB's binlog, as far as they say anything of an outbox: its rows, and where transactions end.
//!
//! What is not known to be of no account is an error. Whoever passes it over loses events without a word.

use super::bytes::{EventBytes, LogDecodeError};
use super::outbox_table::OutboxTable;

// Types of events.
const QUERY: u8 = 2;
const XID: u8 = 16;
const TABLE_MAP: u8 = 19;
const WRITE_ROWS: u8 = 23;
const UPDATE_ROWS: u8 = 24;
const DELETE_ROWS: u8 = 25;
const INCIDENT: u8 = 26;
const XA_PREPARE: u8 = 38;
const GTID: u8 = 162;
/// None of these has rows or ends a transaction: stop, rotation, what statements with an AUTO_INCREMENT or a variable
/// need, data for LOAD, the format, heartbeats, annotations, checkpoints, lists of GTIDs, the beginning of encryption.
const OF_NO_ACCOUNT: [u8; 15] = [3, 4, 5, 9, 11, 13, 14, 15, 17, 18, 27, 160, 161, 163, 164];
/// Queries and rows that are compressed.
const COMPRESSED: std::ops::RangeInclusive<u8> = 165..=171;
/// A reader that does not know such an event may pass it over.
const IGNORABLE: u16 = 0x80;

// Flags of a GTID.
const STANDALONE: u64 = 1;
const GROUP_COMMIT_ID: u64 = 2;
const PREPARED_XA: u64 = 64;
const COMPLETED_XA: u64 = 128;
/// Before its variables a statement has thread, time, the length of the name of its database, error, and theirs.
const STATEMENT_HEADER: usize = 4 + 4 + 1 + 2 + 2;

/// This is the place of a group of events (mostly a transaction) in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gtid {
    /// This is the replication domain.
    pub domain: u32,
    /// This is the server that wrote it.
    pub server: u32,
    /// This is its number, which rises within the domain.
    pub number: u64,
}

/// What a group of events is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupKind {
    /// A transaction, at whose end is said whether it was committed.
    Transaction,
    /// One statement, whose end is its own.
    Statement,
    /// Rows of an XA transaction that was prepared: nobody has decided yet.
    Prepared(Vec<u8>),
    /// The decision on an XA transaction that had been prepared.
    Decision(Vec<u8>),
}

/// This is an event of the binlog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent<'a> {
    /// A group of events begins.
    Begin(Gtid, GroupKind),
    /// From now on rows of the table of this number are those of the outbox; `None`: they are another table's.
    Table(u64, Option<OutboxTable>),
    /// Rows were inserted into the table of this number; what they are is in the bytes.
    Inserted(u64, &'a [u8]),
    /// A statement was run, or what is written as one.
    Statement(&'a str),
    /// The transaction was committed.
    Committed,
    /// The XA transaction was prepared.
    Prepared,
    /// It says nothing of the outbox.
    OfNoAccount,
}

impl<'a> LogEvent<'a> {
    /// Decodes what is behind the header of an event. `database` is that of the outbox.
    pub fn decode(
        header: EventHeader,
        data: &'a [u8],
        database: &str,
    ) -> Result<Self, LogDecodeError> {
        let bytes = |event| EventBytes::new(data, event);
        match header.kind {
            GTID => begin(bytes("GTID event"), header.server),
            TABLE_MAP => table(bytes("table map event"), database),
            WRITE_ROWS => {
                let mut bytes = bytes("rows event");
                let table = bytes.number(6)?;
                bytes.take(2)?;
                Ok(Self::Inserted(table, bytes.rest()))
            }
            QUERY => statement(bytes("query event")),
            XID => Ok(Self::Committed),
            XA_PREPARE => match bytes("XA prepare event").number(1)? {
                0 => Ok(Self::Prepared),
                _ => Ok(Self::Committed),
            },
            UPDATE_ROWS | DELETE_ROWS => Ok(Self::OfNoAccount),
            kind if OF_NO_ACCOUNT.contains(&kind) => Ok(Self::OfNoAccount),
            INCIDENT => Err(LogDecodeError(
                "the server says that its log has a gap (an incident event): what was committed there is in no log; \
                 publish what the outbox table still has, and give the relay a new position"
                    .to_owned(),
            )),
            kind if COMPRESSED.contains(&kind) => Err(LogDecodeError(format!(
                "an event is compressed (type {kind}): set log_bin_compress = OFF on the server"
            ))),
            _ if header.flags & IGNORABLE != 0 => Ok(Self::OfNoAccount),
            kind => Err(LogDecodeError(format!(
                "an event is of type {kind}, which MariaDB 10.6 to 11 does not write"
            ))),
        }
    }
}

/// What of an event's header counts here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHeader {
    /// This is its type.
    pub kind: u8,
    /// This server wrote it.
    pub server: u32,
    /// These are its flags.
    pub flags: u16,
}

fn begin(mut bytes: EventBytes<'_>, server: u32) -> Result<LogEvent<'_>, LogDecodeError> {
    let number = bytes.number(8)?;
    let domain = bytes.number(4)? as u32;
    let flags = bytes.number(1)?;
    if flags & GROUP_COMMIT_ID != 0 {
        bytes.take(8)?;
    }
    let kind = if flags & (PREPARED_XA | COMPLETED_XA) != 0 {
        // Its format, the lengths of its two names, and these: together they tell it from all others.
        let format = bytes.take(4)?;
        let lengths = bytes.take(2)?;
        let length = lengths.iter().map(|length| usize::from(*length)).sum();
        let name = [format, lengths, bytes.take(length)?].concat();
        match flags & PREPARED_XA {
            0 => GroupKind::Decision(name),
            _ => GroupKind::Prepared(name),
        }
    } else if flags & STANDALONE != 0 {
        GroupKind::Statement
    } else {
        GroupKind::Transaction
    };
    let gtid = Gtid {
        domain,
        server,
        number,
    };
    Ok(LogEvent::Begin(gtid, kind))
}

fn table<'a>(mut bytes: EventBytes<'a>, database: &str) -> Result<LogEvent<'a>, LogDecodeError> {
    let number = bytes.number(6)?;
    bytes.take(2)?;
    let of_database = bytes.name()? == database.as_bytes();
    let is_outbox = of_database && bytes.name()? == b"outbox";
    let table = match is_outbox {
        true => Some(OutboxTable::read(bytes)?),
        false => None,
    };
    Ok(LogEvent::Table(number, table))
}

fn statement(mut bytes: EventBytes<'_>) -> Result<LogEvent<'_>, LogDecodeError> {
    let fixed = bytes.take(STATEMENT_HEADER)?;
    let database = usize::from(fixed[8]);
    let variables = usize::from(u16::from_le_bytes([fixed[11], fixed[12]]));
    bytes.take(variables)?;
    bytes.take(database + 1)?;
    // Of a statement only those are asked for that are ASCII from end to end.
    let text = std::str::from_utf8(bytes.rest()).unwrap_or_default();
    Ok(LogEvent::Statement(text))
}
