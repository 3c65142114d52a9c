//! Rows to a Parquet file, a row group at a time, so that memory does not grow with the rows.

use super::HistoryError;
use super::column::{Codec, Column, Table};
use super::durable::{DurableFile, failed};
use super::row_store::RowStore;
use crate::disk;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use std::path::Path;
use std::sync::Arc;

/// This many rows, a row group, are in memory as columns at a time.
pub(super) const ROW_GROUP: usize = 1 << 16;

/// Writes all rows of a table into `folder`; gives the file's SHA-256.
pub(super) fn write_table<S: RowStore>(folder: &Path, rows: &S) -> Result<String, HistoryError> {
    let path = folder.join(S::Row::FILE);
    let file = DurableFile::create(path.clone())?;
    write_rows(file, rows)
        .map_err(|e| failed("writing", &path, disk::explain(&e)))?
        .commit()
}

fn write_rows<S: RowStore>(file: DurableFile, rows: &S) -> ParquetResult<DurableFile> {
    let columns = S::Row::columns();
    let fields: String = columns.iter().map(Column::schema).collect();
    let schema = parse_message_type(&format!("message history {{ {fields} }}"))?;
    let properties = properties(S::Row::WHAT, &columns)?;
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?;
    for first in (0..rows.len()).step_by(ROW_GROUP) {
        let group = rows.slice(first..rows.len().min(first + ROW_GROUP));
        let mut open = writer.next_row_group()?;
        for column in &columns {
            let Some(mut out) = open.next_column()? else {
                return Err(ParquetError::General(format!(
                    "no place for column {}",
                    column.name
                )));
            };
            write_column(&mut out, column, &group, first)?;
            out.close()?;
        }
        open.close()?;
    }
    writer.into_inner()
}

/// A file says by itself what its rows, columns and codes are.
fn properties<R>(what: &str, columns: &[Column<R>]) -> ParquetResult<WriterProperties> {
    let mut said = vec![KeyValue::new("about".to_owned(), what.to_owned())];
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("outbox-harness ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for column in columns {
        said.push(KeyValue::new(
            format!("about {}", column.name),
            column.what.to_owned(),
        ));
        let path = ColumnPath::from(column.name);
        builder = builder.set_column_dictionary_enabled(path.clone(), column.repetitive());
        if column.delta() {
            builder = builder.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
        if !column.codes.is_empty() {
            let meanings: Vec<String> = column
                .codes
                .iter()
                .enumerate()
                .map(|(code, word)| format!("{code} {word}"))
                .collect();
            said.push(KeyValue::new(column.name.to_owned(), meanings.join(", ")));
        }
    }
    Ok(builder.set_key_value_metadata(Some(said)).build())
}

fn write_column<R>(
    out: &mut SerializedColumnWriter<'_>,
    column: &Column<R>,
    rows: &[R],
    first: usize,
) -> ParquetResult<()> {
    match &column.codec {
        Codec::RowNumber => {
            let numbers: Vec<i32> = (first..first + rows.len())
                .map(|n| (n as u32).cast_signed())
                .collect();
            put(out.typed::<Int32Type>(), &numbers)
        }
        Codec::U32(get, _) | Codec::Small(get, _) => {
            let values: Vec<i32> = rows.iter().map(|r| get(r).cast_signed()).collect();
            put(out.typed::<Int32Type>(), &values)
        }
        Codec::I32(get, _) => {
            let values: Vec<i32> = rows.iter().map(get).collect();
            put(out.typed::<Int32Type>(), &values)
        }
        Codec::I64(get, _) => {
            let values: Vec<i64> = rows.iter().map(get).collect();
            put(out.typed::<Int64Type>(), &values)
        }
        Codec::U64(get, _) => {
            let values: Vec<i64> = rows.iter().map(|r| get(r).cast_signed()).collect();
            put(out.typed::<Int64Type>(), &values)
        }
        Codec::MaybeI64(get, _) => {
            let values: Vec<i64> = rows.iter().filter_map(get).collect();
            let present: Vec<i16> = rows.iter().map(|r| get(r).is_some().into()).collect();
            out.typed::<Int64Type>()
                .write_batch(&values, Some(&present), None)
                .map(|_| ())
        }
        Codec::F64(get, _) => {
            let values: Vec<f64> = rows.iter().map(get).collect();
            put(out.typed::<DoubleType>(), &values)
        }
        Codec::Bool(get, _) => {
            let values: Vec<bool> = rows.iter().map(get).collect();
            put(out.typed::<BoolType>(), &values)
        }
        Codec::Text(get, _) => {
            let values: Vec<ByteArray> = rows
                .iter()
                .map(|r| ByteArray::from(get(r).as_bytes().to_vec()))
                .collect();
            put(out.typed::<ByteArrayType>(), &values)
        }
    }
}

fn put<T: DataType>(out: &mut ColumnWriterImpl<'_, T>, values: &[T::T]) -> ParquetResult<()> {
    out.write_batch(values, None, None).map(|_| ())
}
