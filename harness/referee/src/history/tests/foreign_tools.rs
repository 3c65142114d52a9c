//! DuckDB, pandas and their like rewrite a file their own way: nullable columns, Snappy, columns of
//! their own, another order. What they leave of the values is read all the same.

use super::round_trip::full;
use crate::history::{Request, TruthRow, load, save};
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::path::Path;
use std::sync::Arc;

const COLUMNS: [&str; 4] = ["change", "attempt", "version", "order"];

fn rewrite(folder: &Path, rows: &[TruthRow], compression: Compression, nulls: bool) {
    let fields: String = COLUMNS
        .iter()
        .map(|name| format!("optional int32 {name} (uint_32);"))
        .collect();
    let message = format!("message duckdb_schema {{ optional binary note (utf8); {fields} }}");
    let schema = Arc::new(parse_message_type(&message).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .build();
    let file = std::fs::File::create(folder.join("truth.parquet")).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let levels: Vec<i16> = rows.iter().map(|_| 1).collect();
    let mut notes = group.next_column().unwrap().unwrap();
    let text = vec![ByteArray::from("seen"); rows.len()];
    let typed = notes.typed::<ByteArrayType>();
    typed.write_batch(&text, Some(&levels), None).unwrap();
    notes.close().unwrap();
    for name in COLUMNS {
        let value = |r: &TruthRow| match name {
            "change" => r.change,
            "attempt" => r.attempt,
            "version" => r.version,
            _ => r.order,
        };
        let mut values: Vec<i32> = rows.iter().map(|r| value(r).cast_signed()).collect();
        let mut levels = levels.clone();
        if nulls {
            levels[0] = 0;
            values.remove(0);
        }
        let mut column = group.next_column().unwrap().unwrap();
        let typed = column.typed::<Int32Type>();
        typed.write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn a_file_rewritten_by_another_tool_is_read_and_named_as_changed() {
    let history = full();
    for compression in [Compression::SNAPPY, Compression::UNCOMPRESSED] {
        let folder = tempfile::tempdir().unwrap();
        save(&history, folder.path()).unwrap();
        rewrite(
            folder.path(),
            &history.truth.iter().collect::<Vec<_>>(),
            compression,
            false,
        );
        let loaded = load(folder.path()).unwrap();
        assert_eq!(loaded.history.truth, history.truth);
        assert_eq!(loaded.altered, ["truth.parquet"]);
    }
}

#[test]
fn a_null_where_a_value_must_be_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let history = full();
    save(&history, folder.path()).unwrap();
    let truth: Vec<TruthRow> = history.truth.iter().collect();
    rewrite(folder.path(), &truth, Compression::SNAPPY, true);
    let error = load(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("truth.parquet: column `order`: 59 values where 60"),
        "{error}"
    );
}

/// The requests as they were written before it was known which of them had been held back.
fn write_earlier_requests(folder: &Path, rows: &[Request]) {
    const NUMBERS: [&str; 8] = [
        "attempt",
        "change",
        "order",
        "change_type",
        "intent",
        "outcome",
        "status",
        "told_version",
    ];
    const TIMES: [&str; 4] = ["intended_ns", "sent_ns", "ended_ns", "lag_ns"];
    let numbers = NUMBERS.map(|name| format!("required int32 {name} (uint_32);"));
    let times = TIMES.map(|name| format!("required int64 {name};"));
    let message = format!("message r {{ {} {} }}", numbers.concat(), times.concat());
    let schema = Arc::new(parse_message_type(&message).unwrap());
    let file = std::fs::File::create(folder.join("requests.parquet")).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for name in NUMBERS {
        let value = |(attempt, r): (usize, &Request)| match name {
            "attempt" => attempt as u32,
            "change" => r.change,
            "order" => r.order,
            "change_type" => r.change_type.into(),
            "intent" => r.intent as u32,
            "outcome" => r.outcome as u32,
            "status" => r.status.into(),
            _ => r.told_version,
        };
        let values: Vec<i32> = rows
            .iter()
            .enumerate()
            .map(value)
            .map(|v| v.cast_signed())
            .collect();
        let mut column = group.next_column().unwrap().unwrap();
        let typed = column.typed::<Int32Type>();
        typed.write_batch(&values, None, None).unwrap();
        column.close().unwrap();
    }
    for name in TIMES {
        let value = |r: &Request| match name {
            "intended_ns" => r.intended_ns,
            "sent_ns" => r.sent_ns,
            "ended_ns" => r.ended_ns,
            _ => r.lag_ns,
        };
        let values: Vec<i64> = rows.iter().map(value).collect();
        let mut column = group.next_column().unwrap().unwrap();
        let typed = column.typed::<Int64Type>();
        typed.write_batch(&values, None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn given_a_history_from_before_changes_were_held_back_when_it_is_loaded_then_none_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut history = full();
    save(&history, folder.path()).unwrap();
    let rows: Vec<Request> = history.requests.iter().collect();
    write_earlier_requests(folder.path(), &rows);
    let loaded = load(folder.path()).unwrap();
    history
        .requests
        .open()
        .iter_mut()
        .for_each(|r| r.held_back = false);
    assert_eq!(loaded.history.requests, history.requests);
}
