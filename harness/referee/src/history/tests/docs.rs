//! docs/history.md, made of the tables themselves. `OUTBOX_WRITE_DOCS=1` writes it.

use crate::history::column::{Codec, Column, Table};
use crate::history::{
    CachedRow, DEAD_ROWS, EffectRow, FORMAT, FaultRecord, FenceRecord, HORIZON_HELD, LogRow,
    Observation, PartitionEnd, Pending, ProcessEvent, RawRecord, ReadRow, Request, Sample,
    Sighting, TraceRow, TruthRow, WALL_DRIFT_NS, topic_end_series,
};
use crate::measure::{
    BLOCKED_CONSUMERS_MS, BLOCKED_ORDERS_MS, DEAD_TUPLES, ORDERS_WRITTEN, OUTBOX_BYTES, REBUILD_MS,
    ROWS_CHANGED, ROWS_WRITTEN, SLOT_WAL_BYTES, STORAGE_BYTES, VACUUMS, WAL_BYTES,
};
use std::fmt::Write;
use std::path::Path;

const HEAD: &str = include_str!("docs/head.md");
const QUERIES: &str = include_str!("docs/queries.md");

/// The names of observations, as their own file lists them.
const NAMES: &str = include_str!("../../bite/name.rs");

fn page() -> String {
    let head = HEAD.replace("FORMAT", &FORMAT.to_string());
    let tables = [
        described::<Request>(),
        described::<TruthRow>(),
        described::<LogRow>(),
        described::<Sighting>(),
        described::<Pending>(),
        described::<FaultRecord>(),
        described::<Observation>() + &names_of_observations(),
        described::<ProcessEvent>(),
        described::<Sample>() + &names_of_series(),
        described::<FenceRecord>(),
        described::<TraceRow>(),
        described::<EffectRow>(),
        described::<ReadRow>(),
        described::<CachedRow>(),
        described::<PartitionEnd>(),
        described::<RawRecord>(),
    ];
    format!("{head}\n{}{QUERIES}", tables.concat())
}

fn described<T: Table>() -> String {
    let mut text = format!(
        "### {}\n\n{}\n\n| column | type | what it says |\n|---|---|---|\n",
        T::FILE,
        T::WHAT
    );
    for column in T::columns() {
        let _ = writeln!(
            text,
            "| `{}` | {} | {}{} |",
            column.name,
            kind(&column.codec),
            column.what,
            codes(&column)
        );
    }
    text.push('\n');
    text
}

/// As DuckDB names it.
fn kind<T>(codec: &Codec<T>) -> &'static str {
    match codec {
        Codec::RowNumber | Codec::U32(..) | Codec::Small(..) => "UINTEGER",
        Codec::I32(..) => "INTEGER",
        Codec::I64(..) => "BIGINT",
        Codec::MaybeI64(..) => "BIGINT, or null",
        Codec::U64(..) => "UBIGINT",
        Codec::F64(..) => "DOUBLE",
        Codec::Bool(..) => "BOOLEAN",
        Codec::Text(..) => "VARCHAR",
    }
}

fn codes<T>(column: &Column<T>) -> String {
    if column.codes.is_empty() {
        return String::new();
    }
    let words = column.codes.iter().enumerate();
    let words: Vec<String> = words.map(|(code, word)| format!("{code} {word}")).collect();
    format!(": {}", words.join(", "))
}

fn names_of_observations() -> String {
    let rows = NAMES.lines().filter_map(|line| line.strip_prefix("//! |"));
    let rows: String = rows.map(|row| format!("|{row}\n")).collect();
    format!(
        "Names of observations. Counters count from the moment in which the fault came into force; `in` and `out` are \
         the two sides of\nthe proxy, in the direction in which the fault works.\n\n{rows}\n"
    )
}

fn names_of_series() -> String {
    let rows = [
        (
            WALL_DRIFT_NS.to_owned(),
            "nanoseconds by which the wall clock has run ahead of the monotonic clock since the origin",
        ),
        (
            "cpu_s.NAME".to_owned(),
            "CPU time of that process (`harness`, `order-service`, `relay`, `relay-2`, ...) since its start, seconds",
        ),
        (
            "rss_bytes.NAME".to_owned(),
            "memory that it has (resident set), bytes",
        ),
        (
            WAL_BYTES.to_owned(),
            "WAL that the server has written since it was made, bytes",
        ),
        (
            SLOT_WAL_BYTES.to_owned(),
            "WAL that the slot's consumer has not confirmed, bytes",
        ),
        (
            OUTBOX_BYTES.to_owned(),
            "size of the outbox with its indexes and TOAST, bytes; not where events are the truth, which stay",
        ),
        (
            DEAD_TUPLES.to_owned(),
            "dead tuples in the outbox, by the server's statistics, which are late",
        ),
        (
            ROWS_CHANGED.to_owned(),
            "rows of the outbox updated or deleted so far",
        ),
        (
            VACUUMS.to_owned(),
            "vacuums of the outbox so far, the server's own and others'; of tables that were dropped it is not known",
        ),
        (
            DEAD_ROWS.to_owned(),
            "dead rows in all the strategy's tables, by the server's statistics, which are late",
        ),
        (
            HORIZON_HELD.to_owned(),
            "while an `old_snapshot` is in force: 1 if its snapshot is the oldest of the database, 0 if not; missing where its session is not there",
        ),
        (
            ROWS_WRITTEN.to_owned(),
            "rows of all the strategy's tables inserted, updated or deleted so far",
        ),
        (
            ORDERS_WRITTEN.to_owned(),
            "rows of the table of orders inserted, updated or deleted so far, where the outbox is of partitions, whose counters go with them",
        ),
        (
            STORAGE_BYTES.to_owned(),
            "size of all the strategy's tables with their indexes and TOAST, bytes",
        ),
        (
            REBUILD_MS.to_owned(),
            "once, after the fence, where events are the truth: how long it took to rebuild a projection from them, milliseconds",
        ),
        (
            BLOCKED_ORDERS_MS.to_owned(),
            "of a two-phase commit: for how long the oldest transaction that was prepared in PostgreSQL had been so, milliseconds; 0 where none was",
        ),
        (
            BLOCKED_CONSUMERS_MS.to_owned(),
            "of a two-phase commit: for how long readers of what is committed had stood still at an open transaction, on the partition where it was longest, milliseconds; 0 where they could read on",
        ),
        (
            topic_end_series(0).replace('0', "N"),
            "how far partition N reached for readers of what is committed: an offset",
        ),
    ];
    let rows: String = rows
        .iter()
        .map(|(name, what)| format!("| `{name}` | {what} |\n"))
        .collect();
    format!("Names of series:\n\n| series | value |\n|---|---|\n{rows}\n")
}

#[test]
fn given_the_tables_when_the_docs_are_read_then_they_describe_each_column_of_them() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/history.md");
    if std::env::var_os("OUTBOX_WRITE_DOCS").is_some() {
        std::fs::write(&file, page()).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == page(),
        "docs/history.md is not what the tables say: OUTBOX_WRITE_DOCS=1 cargo test --lib history::tests::docs"
    );
}

#[test]
fn given_the_queries_of_the_docs_then_every_file_that_they_read_is_one() {
    let files = [
        Request::FILE,
        TruthRow::FILE,
        LogRow::FILE,
        Sighting::FILE,
        FaultRecord::FILE,
        "run.json",
    ];
    let read = QUERIES.split("history/").skip(1);
    let read: Vec<&str> = read
        .filter_map(|rest| rest.split('\'').next()?.split('/').nth(1))
        .collect();
    assert!(read.len() >= 8, "{read:?}");
    for file in read {
        assert!(files.contains(&file), "{file}");
    }
}
