//! A Parquet file back to rows. Files may have been rewritten by other tools on the way (nullable
//! columns, other encodings, more columns), so only what matters is required: the names, the
//! physical types, a value in every row, and values that the fields can hold.

use super::HistoryError;
use super::column::{Codec, Column, Table};
use super::durable::failed;
use super::guarded::guarded;
use super::pages::BoundedPages;
use super::row_store::RowStore;
use parquet::basic::Type as Physical;
use parquet::column::reader::ColumnReaderImpl;
use parquet::column::reader::{ColumnReader, get_column_reader, get_typed_column_reader};
use parquet::data_type::{BoolType, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::types::SchemaDescriptor;
use std::fs::File;
use std::path::Path;

/// Rows that are decoded at a time: few enough to stay near the processor, column after column.
const STEP: usize = 1 << 13;

/// Reads all rows of a table from `folder`.
pub(super) fn read_table<S: RowStore>(folder: &Path) -> Result<S, HistoryError> {
    let path = folder.join(S::Row::FILE);
    let file = File::open(&path).map_err(|e| failed("opening", &path, e))?;
    guarded(|| read_rows(file)).map_err(|reason| failed("reading", &path, reason))
}

fn read_rows<S: RowStore>(file: File) -> Result<S, String> {
    let most = S::Row::MAX_ROWS;
    let reader =
        SerializedFileReader::new(file).map_err(|e| format!("not a whole Parquet file: {e}"))?;
    let meta = reader.metadata();
    let mut total = 0usize;
    for group in meta.row_groups() {
        total = usize::try_from(group.num_rows())
            .ok()
            .and_then(|n| total.checked_add(n))
            .filter(|n| *n <= most)
            .ok_or_else(|| format!("it claims more rows than the {most} allowed"))?;
    }
    if i64::try_from(total) != Ok(meta.file_metadata().num_rows()) {
        return Err(format!(
            "it claims {} rows and its row groups hold {total}",
            meta.file_metadata().num_rows()
        ));
    }
    let columns = S::Row::columns();
    let places = places(&columns, meta.file_metadata().schema_descr())?;
    let mut rows = S::default();
    for index in 0..meta.num_row_groups() {
        let group = reader
            .get_row_group(index)
            .map_err(|e| format!("row group {index}: {e}"))?;
        let count = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        read_group(group.as_ref(), count, &columns, &places, &mut rows)?;
    }
    Ok(rows)
}

/// Where in the file each column is; refuses what cannot be read as that column.
fn places<R>(
    columns: &[Column<R>],
    schema: &SchemaDescriptor,
) -> Result<Vec<Option<usize>>, String> {
    columns
        .iter()
        .map(|column| {
            let name = column.name;
            let index = match (0..schema.num_columns())
                .find(|i| schema.column(*i).path().parts() == [name])
            {
                Some(index) => index,
                None if column.later => return Ok(None),
                None => return Err(format!("column `{name}` is missing")),
            };
            let found = schema.column(index);
            let wanted = match column.codec {
                Codec::RowNumber | Codec::U32(..) | Codec::Small(..) | Codec::I32(..) => {
                    Physical::INT32
                }
                Codec::I64(..) | Codec::U64(..) | Codec::MaybeI64(..) => Physical::INT64,
                Codec::F64(..) => Physical::DOUBLE,
                Codec::Bool(..) => Physical::BOOLEAN,
                Codec::Text(..) => Physical::BYTE_ARRAY,
            };
            if found.physical_type() != wanted {
                return Err(format!(
                    "column `{name}` is {}, not {wanted}",
                    found.physical_type()
                ));
            }
            if found.max_rep_level() != 0 || found.max_def_level() > 1 {
                return Err(format!("column `{name}` is a list or nested"));
            }
            Ok(Some(index))
        })
        .collect()
}

/// Reads a row group in steps of [`STEP`] rows, so that a claimed count alone allocates
/// nothing: every column advances together, and each step must be there.
fn read_group<S: RowStore>(
    group: &dyn RowGroupReader,
    count: usize,
    columns: &[Column<S::Row>],
    places: &[Option<usize>],
    rows: &mut S,
) -> Result<(), String> {
    let mut readers = Vec::with_capacity(columns.len());
    for (column, place) in columns.iter().zip(places) {
        let Some(place) = *place else { continue };
        let pages = group
            .get_column_page_reader(place)
            .map_err(|e| format!("column `{}`: {e}", column.name))?;
        let descriptor = group.metadata().column(place).column_descr_ptr();
        let pages = Box::new(BoundedPages::new(pages, count));
        readers.push((column, Cursor::new(get_column_reader(descriptor, pages))));
    }
    let mut left = count;
    let mut read = Vec::new();
    while left > 0 {
        let step = left.min(STEP);
        read.resize(step, S::Row::blank());
        for (column, cursor) in &mut readers {
            read_step(column, cursor, rows.len(), &mut read)
                .map_err(|reason| format!("column `{}`: {reason}", column.name))?;
        }
        rows.append(&mut read);
        left -= step;
    }
    Ok(())
}

/// This is a column's reader, by physical type; `Other` stands for types that no column of a history has.
enum Cursor {
    Int32(ColumnReaderImpl<Int32Type>),
    Int64(ColumnReaderImpl<Int64Type>),
    Double(ColumnReaderImpl<DoubleType>),
    Bool(ColumnReaderImpl<BoolType>),
    Bytes(ColumnReaderImpl<ByteArrayType>),
    Other,
}

impl Cursor {
    fn new(reader: ColumnReader) -> Self {
        match reader {
            ColumnReader::Int32ColumnReader(_) => Self::Int32(get_typed_column_reader(reader)),
            ColumnReader::Int64ColumnReader(_) => Self::Int64(get_typed_column_reader(reader)),
            ColumnReader::DoubleColumnReader(_) => Self::Double(get_typed_column_reader(reader)),
            ColumnReader::BoolColumnReader(_) => Self::Bool(get_typed_column_reader(reader)),
            ColumnReader::ByteArrayColumnReader(_) => Self::Bytes(get_typed_column_reader(reader)),
            _ => Self::Other,
        }
    }
}

fn read_step<R>(
    column: &Column<R>,
    cursor: &mut Cursor,
    first: usize,
    rows: &mut [R],
) -> Result<(), String> {
    match (&column.codec, cursor) {
        (Codec::RowNumber, Cursor::Int32(reader)) => each(reader, rows, |_, n, value| {
            let expected = first + n;
            if usize::try_from(value.cast_unsigned()) == Ok(expected) {
                Ok(())
            } else {
                Err(format!(
                    "row {expected} has number {}: numbers must be dense, from 0",
                    value.cast_unsigned()
                ))
            }
        }),
        (Codec::U32(_, set), Cursor::Int32(reader)) => each(reader, rows, |row, _, value| {
            set(row, value.cast_unsigned());
            Ok(())
        }),
        (Codec::Small(_, set), Cursor::Int32(reader)) => each(reader, rows, |row, n, value| {
            if set(row, value.cast_unsigned()) {
                Ok(())
            } else {
                Err(format!("row {}: {value} has no meaning here", first + n))
            }
        }),
        (Codec::I32(_, set), Cursor::Int32(reader)) => each(reader, rows, |row, _, value| {
            set(row, value);
            Ok(())
        }),
        (Codec::I64(_, set), Cursor::Int64(reader)) => each(reader, rows, |row, _, value| {
            set(row, value);
            Ok(())
        }),
        (Codec::U64(_, set), Cursor::Int64(reader)) => each(reader, rows, |row, _, value| {
            set(row, value.cast_unsigned());
            Ok(())
        }),
        (Codec::MaybeI64(_, set), Cursor::Int64(reader)) => each_maybe(reader, rows, set),
        (Codec::F64(_, set), Cursor::Double(reader)) => each(reader, rows, |row, _, value| {
            set(row, value);
            Ok(())
        }),
        (Codec::Bool(_, set), Cursor::Bool(reader)) => each(reader, rows, |row, _, value| {
            set(row, value);
            Ok(())
        }),
        (Codec::Text(_, set), Cursor::Bytes(reader)) => each(reader, rows, |row, n, value| {
            let text = std::str::from_utf8(value.data())
                .map_err(|e| format!("row {}: not UTF-8: {e}", first + n))?;
            set(row, text.to_owned());
            Ok(())
        }),
        _ => Err("its type does not fit".to_owned()),
    }
}

/// Hands each row its value; a missing value is an error.
fn each<R, T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: &mut [R],
    mut set: impl FnMut(&mut R, usize, T::T) -> Result<(), String>,
) -> Result<(), String> {
    let mut values = Vec::new();
    let mut present = Vec::new();
    let (records, found, _) = reader
        .read_records(rows.len(), Some(&mut present), None, &mut values)
        .map_err(|e| e.to_string())?;
    if records != rows.len() || found != records || values.len() != records {
        return Err(format!(
            "{found} values where {} rows are claimed",
            rows.len()
        ));
    }
    for (number, (row, value)) in rows.iter_mut().zip(values).enumerate() {
        set(row, number, value)?;
    }
    Ok(())
}

/// Hands each row its value or the lack of one.
fn each_maybe<R>(
    reader: &mut ColumnReaderImpl<Int64Type>,
    rows: &mut [R],
    set: impl Fn(&mut R, Option<i64>),
) -> Result<(), String> {
    let mut values = Vec::new();
    let mut present = Vec::new();
    let (records, _, _) = reader
        .read_records(rows.len(), Some(&mut present), None, &mut values)
        .map_err(|e| e.to_string())?;
    // A tool may have made the column required where nothing was null.
    if present.is_empty() {
        present = vec![1; records];
    }
    if records != rows.len() || present.len() != records {
        return Err(format!(
            "{records} values where {} rows are claimed",
            rows.len()
        ));
    }
    let mut values = values.into_iter();
    for (row, level) in rows.iter_mut().zip(present) {
        let value = if level == 0 {
            None
        } else {
            Some(
                values
                    .next()
                    .ok_or("fewer values than rows that have one")?,
            )
        };
        set(row, value);
    }
    Ok(())
}
