//! What MariaDB 10.11 wrote into its binlog, byte by byte, and whatever else may come.

#![allow(clippy::unwrap_used)]

use super::bytes::LogDecodeError;
use super::event::{EventHeader, GroupKind, Gtid, LogEvent};
use super::groups::{GroupError, Groups, WholeGroup};
use crate::mariadb::MariaDbRow;
use crate::source::Held;
use crate::trace::Stage;
use proptest::prelude::*;
use std::collections::HashMap;

const DATABASE: &str = "d1";
/// The outbox of database d1, with the names of its columns.
const TABLE_MAP: &str = "170000000000010002643100066f7574626f78000708fe0f0f0f03fc09fe24fc03fc03fc03040001010002032e000b0436037365710269640d616767726567617465747970650b616767726567617465696404747970650776657273696f6e077061796c6f6164080100";
/// Two rows in one event.
const TWO_ROWS: &str = "1700000000000100077f8006000000000000000369643205004f7264657202006f31010054020000000100000071807000000000000000036964330500 4f7264657202006f31010054030000000100000071";
/// The table myi of the same database, and a row of it.
const OTHER_MAP: &str = "180000000000010002643100036d7969000103000101010004020161";
const OTHER_ROW: &str = "18000000000001000101fe01000000";
const BEGIN: &str = "1000000000000000000000000c000000000000";
/// XA of 'x1','b': prepared, decided.
const BEGIN_PREPARED: &str = "0b00000000000000000000004c01000000020178316201ff";
const BEGIN_DECISION: &str = "0c00000000000000000000008d010000000201783162";
const XA_PREPARE: &str = "00010000000200000001000000783162";
const STATEMENT: &str =
    "0600000000000000020000 1a00000000000101000020540000000006037374 64042d002d0008006431 00";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

fn header(kind: u8) -> EventHeader {
    EventHeader {
        kind,
        server: 1,
        flags: 0,
    }
}

fn decode(kind: u8, data: &[u8]) -> Result<LogEvent<'_>, LogDecodeError> {
    LogEvent::decode(header(kind), data, DATABASE)
}

fn take(groups: &mut Groups, kind: u8, data: &[u8]) -> Option<WholeGroup> {
    groups.take(decode(kind, data).unwrap()).unwrap()
}

/// The event of a statement with this text.
fn statement(text: &str) -> Vec<u8> {
    let fixed = [6, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 3, 0];
    [&fixed[..], &[1, 2, 3], b"d1\0", text.as_bytes()].concat()
}

fn gtid(number: u64) -> Gtid {
    Gtid {
        domain: 0,
        server: 1,
        number,
    }
}

#[test]
fn given_a_transaction_of_several_tables_when_it_is_read_then_its_end_gives_the_rows_of_the_outbox()
{
    let mut groups = Groups::default();
    for (kind, hex) in [
        (162, BEGIN),
        (160, "00"),
        (19, OTHER_MAP),
        (23, OTHER_ROW),
        (19, TABLE_MAP),
        (23, TWO_ROWS),
    ] {
        assert_eq!(take(&mut groups, kind, &bytes(hex)), None);
    }
    let group = take(&mut groups, 16, &bytes("5100000000000000")).unwrap();
    assert_eq!(group.gtid, gtid(16));
    assert_eq!(
        group.rows.iter().map(|row| row.seq).collect::<Vec<_>>(),
        [6, 112]
    );
    let row = &group.rows[1];
    let event = row.event().unwrap();
    let texts = [
        event.id,
        event.key,
        event.event_type,
        event.version,
        event.payload,
    ];
    assert_eq!(texts, ["id3", "o1", "T", "3", "q"]);
    assert_eq!(row.taken_as(), Some((Stage::Decoded, 16)));
}

#[test]
fn given_an_outbox_of_another_database_when_its_rows_are_read_then_they_are_not_ours() {
    let mut groups = Groups::default();
    groups.take(decode(162, &bytes(BEGIN)).unwrap()).unwrap();
    for (kind, hex) in [(19, TABLE_MAP), (23, TWO_ROWS), (16, "5100000000000000")] {
        let data = bytes(hex);
        let event = LogEvent::decode(header(kind), &data, "d2").unwrap();
        let group = groups.take(event).unwrap();
        assert!(group.is_none_or(|group| group.rows.is_empty()));
    }
}

fn prepare(groups: &mut Groups) -> WholeGroup {
    for (kind, hex) in [(162, BEGIN_PREPARED), (19, TABLE_MAP), (23, TWO_ROWS)] {
        assert_eq!(take(groups, kind, &bytes(hex)), None);
    }
    assert_eq!(take(groups, 2, &statement("XA END X'7831',X'62',1")), None);
    take(groups, 38, &bytes(XA_PREPARE)).unwrap()
}

#[test]
fn given_a_prepared_transaction_when_it_is_decided_then_its_rows_come_with_the_commit_and_never_with_a_rollback()
 {
    for (decision, rows) in [
        ("XA COMMIT X'7831',X'62',1", 2),
        ("XA ROLLBACK X'7831',X'62',1", 0),
    ] {
        let mut groups = Groups::default();
        let prepared = prepare(&mut groups);
        assert_eq!((prepared.gtid, prepared.rows.len()), (gtid(11), 0));
        assert!(groups.holds_prepared());
        // Others go on meanwhile
        assert_eq!(take(&mut groups, 162, &bytes(BEGIN)), None);
        assert!(take(&mut groups, 16, &bytes("5100000000000000")).is_some());
        assert_eq!(take(&mut groups, 162, &bytes(BEGIN_DECISION)), None);
        let decided = take(&mut groups, 2, &statement(decision)).unwrap();
        assert_eq!((decided.gtid, decided.rows.len()), (gtid(12), rows));
        assert!(!groups.holds_prepared());
    }
}

#[test]
fn given_rows_that_nobody_decides_on_when_they_are_more_than_may_be_held_then_that_is_an_error() {
    let mut groups = Groups::bounded(600);
    prepare(&mut groups);
    for (kind, hex) in [(162, BEGIN), (19, TABLE_MAP)] {
        take(&mut groups, kind, &bytes(hex));
    }
    let data = bytes(TWO_ROWS);
    let error = groups.take(decode(23, &data).unwrap()).unwrap_err();
    assert!(
        matches!(error, GroupError::TooMuch(bytes) if bytes > 600),
        "{error:?}"
    );
}

#[test]
fn given_a_transaction_that_goes_back_when_it_ends_then_what_it_undid_is_not_there() {
    for (undone, rows) in [
        (&["ROLLBACK"][..], 0),
        (&["COMMIT"], 2),
        (&["SAVEPOINT `a`", "ROWS", "ROLLBACK TO `a`", "COMMIT"], 2),
        (
            &[
                "SAVEPOINT `a`",
                "ROWS",
                "SAVEPOINT `b`",
                "ROWS",
                "ROLLBACK TO `b`",
                "COMMIT",
            ],
            4,
        ),
    ] {
        let mut groups = Groups::default();
        for (kind, hex) in [(162, BEGIN), (19, TABLE_MAP), (23, TWO_ROWS)] {
            take(&mut groups, kind, &bytes(hex));
        }
        let mut ended = None;
        for step in undone {
            ended = match *step {
                "ROWS" => take(&mut groups, 23, &bytes(TWO_ROWS)),
                text => take(&mut groups, 2, &statement(text)),
            };
        }
        assert_eq!(ended.unwrap().rows.len(), rows, "{undone:?}");
    }
}

#[test]
fn given_a_log_that_cannot_be_read_here_then_the_error_says_what_to_set() {
    let mut without_payload = bytes(TWO_ROWS);
    without_payload[9] = 0x3f;
    let (table, rows) = (bytes(TABLE_MAP), without_payload);
    let LogEvent::Table(_, Some(table)) = decode(19, &table).unwrap() else {
        panic!("it is the outbox");
    };
    let error = table.rows(&rows[8..], 1).unwrap_err().to_string();
    assert!(error.contains("binlog_row_image = FULL"), "{error}");
    for (kind, remedy) in [
        (166, "log_bin_compress = OFF"),
        (26, "has a gap"),
        (30, "is of type 30"),
    ] {
        let error = decode(kind, &[0; 40]).unwrap_err().to_string();
        assert!(error.contains(remedy), "{error}");
    }
    // What may be passed over is
    let ignorable = EventHeader {
        flags: 0x80,
        ..header(200)
    };
    assert_eq!(
        LogEvent::decode(ignorable, &[], DATABASE),
        Ok(LogEvent::OfNoAccount)
    );
}

#[test]
fn given_an_outbox_with_other_columns_when_it_is_named_then_the_error_says_which() {
    let mut table = bytes(TABLE_MAP);
    // Its version becomes a bigint
    let version = table
        .windows(7)
        .position(|w| w == [8, 0xfe, 15, 15, 15, 3, 0xfc])
        .unwrap()
        + 5;
    table[version] = 8;
    let error = decode(19, &table).unwrap_err().to_string();
    assert!(
        error.starts_with("column 6 of the outbox is not as it was made"),
        "{error}"
    );
}

#[test]
fn given_statements_of_the_server_when_they_are_decoded_then_their_text_is_whole() {
    let data = [bytes(STATEMENT), b"COMMIT".to_vec()].concat();
    assert_eq!(decode(2, &data), Ok(LogEvent::Statement("COMMIT")));
    let committed = [bytes("0100000000000000000000000e0500000000000000"), vec![]].concat();
    let begin = LogEvent::Begin(gtid(1), GroupKind::Transaction);
    assert_eq!(decode(162, &committed), Ok(begin));
}

/// A row as the server writes it.
fn written(row: &MariaDbRow) -> Vec<u8> {
    let counted = |bytes: usize, text: &str| {
        let length = (text.len() as u64).to_le_bytes();
        [&length[..bytes], text.as_bytes()].concat()
    };
    let version: i32 = row.version.parse().unwrap();
    [
        &[0x80][..],
        &row.seq.to_le_bytes(),
        &counted(1, &row.id),
        &counted(2, "Order"),
        &counted(2, &row.key),
        &counted(2, &row.event_type),
        &version.to_le_bytes(),
        &counted(4, &row.payload),
    ]
    .concat()
}

prop_compose! {
    fn row()(
        seq: i64, version: i32, id in "[a-z0-9]{0,36}", key: String, event_type in ".{0,60}", payload: String,
    ) -> MariaDbRow {
        MariaDbRow { seq, id, key, event_type, version: version.to_string(), payload, taken_as: (Stage::Decoded, 16) }
    }
}

/// Groups of a log: how many rows each has, and how it ends.
#[derive(Debug, Clone)]
enum LoggedGroup {
    Committed(u8),
    RolledBack(u8),
    Prepared(u8, u8),
    Decided(u8, bool),
}

fn logged() -> impl Strategy<Value = LoggedGroup> {
    prop_oneof![
        (0_u8..4).prop_map(LoggedGroup::Committed),
        (0_u8..4).prop_map(LoggedGroup::RolledBack),
        (0_u8..3, 0_u8..4).prop_map(|(name, rows)| LoggedGroup::Prepared(name, rows)),
        (0_u8..3, any::<bool>()).prop_map(|(name, commits)| LoggedGroup::Decided(name, commits)),
    ]
}

fn named(hex: &str, name: u8) -> Vec<u8> {
    let mut data = bytes(hex);
    let place = data.windows(3).position(|w| w == b"x1b").unwrap();
    data[place] = name;
    data
}

proptest! {
    #[test]
    fn given_any_rows_when_they_are_decoded_then_they_are_what_was_written(
        rows in proptest::collection::vec(row(), 0..5),
    ) {
        let data: Vec<u8> = rows.iter().flat_map(written).collect();
        let data = [&[7, 0x7f][..], &data].concat();
        let table = bytes(TABLE_MAP);
        let LogEvent::Table(_, Some(table)) = decode(19, &table).unwrap() else { panic!("it is the outbox") };
        prop_assert_eq!(table.rows(&data, 16), Ok(rows));
    }

    /// Whatever the bytes are, and wherever they end: an event, or an error.
    #[test]
    fn given_any_bytes_when_they_are_decoded_then_nothing_panics(
        kinds in proptest::collection::vec(any::<u8>(), 1..6),
        data in proptest::collection::vec(any::<u8>(), 0..80),
        end in 0_usize..200, flipped in 0_usize..200, to: u8,
    ) {
        let mut groups = Groups::default();
        for hex in [BEGIN, BEGIN_PREPARED, BEGIN_DECISION, TABLE_MAP, TWO_ROWS, XA_PREPARE, STATEMENT] {
            for kind in [2, 16, 19, 23, 38, 162] {
                let mut data = bytes(hex);
                data.truncate(end.max(1));
                let place = flipped % data.len();
                data[place] = to;
                if let Ok(event) = decode(kind, &data) {
                    let _ = groups.take(event);
                }
            }
        }
        for kind in kinds {
            if let Ok(event) = decode(kind, &data) {
                let _ = groups.take(event);
            }
        }
    }

    /// Against a list of everything that is prepared: rows come once, where they are committed, and in their order.
    #[test]
    fn given_any_log_when_it_is_read_then_it_agrees_with_a_slow_model(
        log in proptest::collection::vec(logged(), 0..60),
    ) {
        let (mut groups, mut next) = (Groups::default(), 0_i64);
        let mut model: HashMap<u8, Vec<i64>> = HashMap::new();
        for group in log {
            let (begin, count) = match group {
                LoggedGroup::Committed(rows) | LoggedGroup::RolledBack(rows) => (bytes(BEGIN), rows),
                // One name is not given twice while it is undecided.
                LoggedGroup::Prepared(name, _) if model.contains_key(&name) => continue,
                LoggedGroup::Prepared(name, rows) => (named(BEGIN_PREPARED, name), rows),
                LoggedGroup::Decided(name, _) => (named(BEGIN_DECISION, name), 0),
            };
            prop_assert_eq!(take(&mut groups, 162, &begin), None);
            take(&mut groups, 19, &bytes(TABLE_MAP));
            let mut seqs = Vec::new();
            for _ in 0..count {
                next += 1;
                seqs.push(next);
                let row = MariaDbRow {
                    seq: next, id: "i".into(), key: "k".into(), event_type: "t".into(), version: "1".into(),
                    payload: "p".into(), taken_as: (Stage::Decoded, 0),
                };
                let data = [&[0x17, 0, 0, 0, 0, 0, 1, 0, 7, 0x7f][..], &written(&row)].concat();
                take(&mut groups, 23, &data);
            }
            let (ended, expected) = match group {
                LoggedGroup::Committed(_) => (take(&mut groups, 16, &[0; 8]), seqs),
                LoggedGroup::RolledBack(_) => (take(&mut groups, 2, &statement("ROLLBACK")), vec![]),
                LoggedGroup::Prepared(name, _) => {
                    model.insert(name, seqs);
                    (take(&mut groups, 38, &bytes(XA_PREPARE)), vec![])
                }
                LoggedGroup::Decided(name, true) => (
                    take(&mut groups, 2, &statement("XA COMMIT X'00',X'62',1")),
                    model.remove(&name).unwrap_or_default(),
                ),
                LoggedGroup::Decided(name, false) => {
                    model.remove(&name);
                    (take(&mut groups, 2, &statement("XA ROLLBACK X'00',X'62',1")), vec![])
                }
            };
            let rows: Vec<i64> = ended.unwrap().rows.iter().map(|row| row.seq).collect();
            prop_assert_eq!(rows, expected);
            prop_assert_eq!(groups.holds_prepared(), model.values().any(|rows| !rows.is_empty()));
        }
    }
}
