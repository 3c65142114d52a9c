//! What goes out of a run besides its folder: the table on standard output, `--json`, `--junit`.

use super::terminal;
use reports::json::Json;
use reports::record::Record;
use reports::terminal::Terminal;
use reports::{ExportError, Exporter};
use std::path::Path;

/// Shows one record on standard output, and where its run's folder is.
pub fn show(record: &Record, folder: &Path) {
    let table = Terminal {
        colour: terminal::results_in_colour(),
        width: terminal::results_width(),
    };
    terminal::results(&table.render(record, folder.to_str()));
}

/// The record, or a list of them where several scenarios were asked for (even if fewer have one).
pub fn json(records: &[Record], several: bool) -> Result<Vec<u8>, ExportError> {
    if let [record] = records
        && !several
    {
        return Json.export(record);
    }
    let mut bytes = serde_json::to_vec_pretty(records).map_err(|e| ExportError {
        format: "the list of records",
        reason: e.to_string(),
    })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Returns all records in one JUnit report.
pub fn junit(records: &[Record]) -> Result<Vec<u8>, ExportError> {
    reports::junit::merged(records)
}

/// Whether a file can be made at this path, before anything starts; the error says why not.
pub fn writable(option: &str, file: &Path) -> Result<(), String> {
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if file.is_dir() {
        return Err(format!(
            "{option} {}: this is a folder; name a file in it",
            file.display()
        ));
    }
    if !folder.is_dir() {
        return Err(format!(
            "{option} {}: there is no folder {}; make it first",
            file.display(),
            folder.display()
        ));
    }
    Ok(())
}

/// Takes away the results of an earlier run, which must not pass for this one's if it writes none.
pub fn clear(file: &Path) {
    if file.is_file() {
        let _ = std::fs::remove_file(file);
    }
}

/// Writes a results file; the error says what to do.
pub fn write(file: &Path, bytes: Result<Vec<u8>, ExportError>) -> Result<(), String> {
    let bytes = bytes.map_err(|e| e.to_string())?;
    std::fs::write(file, bytes).map_err(|e| {
        // Half a file could be taken for a whole one.
        clear(file);
        format!(
            "{}: cannot be written: {e}; the same results are in the run's folder",
            file.display()
        )
    })
}
