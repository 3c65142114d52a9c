//! The run's folder: where everything a run leaves is found again.

use super::RunError;
use super::arena::failed;
use crate::disk;
use crate::history::History;
use reports::record::Record;
use std::path::{Path, PathBuf};

/// Makes `OUT/SCENARIO-TIME` (with a number behind it where that is taken).
pub fn create(out: &Path, scenario: &str) -> Result<PathBuf, RunError> {
    let doing = format!("making the run's folder under {}", out.display());
    let failed = |e: std::io::Error| failed(&doing, &disk::explain(&e));
    std::fs::create_dir_all(out).map_err(failed)?;
    let out = out.canonicalize().map_err(failed)?;
    let time = jiff::Timestamp::now()
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string();
    for number in 1..1000 {
        let suffix = if number == 1 {
            String::new()
        } else {
            format!("-{number}")
        };
        let folder = out.join(format!("{scenario}-{time}{suffix}"));
        match std::fs::create_dir(&folder) {
            Ok(()) => {
                std::fs::create_dir(folder.join("logs")).map_err(failed)?;
                return Ok(folder);
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(failed(e)),
        }
    }
    Err(failed(std::io::Error::other(
        "a thousand runs in one second",
    )))
}

/// Writes a file of the run's folder that is then whole, or not there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    let temporary = path.with_extension("tmp");
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&temporary, bytes))
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(|e| {
            let _ = std::fs::remove_file(&temporary);
            failed(&format!("writing {}", path.display()), &disk::explain(&e))
        })
}

/// Where one strategy's history is.
pub fn history(folder: &Path, strategy: &str) -> PathBuf {
    folder.join("history").join(strategy)
}

/// Where the processes of one strategy write their traces while they run.
pub fn trace(folder: &Path, strategy: &str) -> PathBuf {
    folder.join("trace").join(strategy)
}

/// Every history of a run folder.
pub fn histories(folder: &Path) -> Result<Vec<PathBuf>, RunError> {
    let parent = folder.join("history");
    let doing = format!("reading {}", parent.display());
    let entries = std::fs::read_dir(&parent).map_err(|e| failed(&doing, &e))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| failed(&doing, &e))?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    if found.is_empty() {
        return Err(failed(&doing, &"no strategy's history is in it"));
    }
    found.sort();
    Ok(found)
}

/// The record of a run folder.
pub fn read_record(folder: &Path) -> Result<Record, RunError> {
    let path = folder.join("record.json");
    let doing = format!("reading {}", path.display());
    let bytes = std::fs::read(&path).map_err(|e| failed(&doing, &e))?;
    reports::json::parse(&bytes).map_err(|e| failed(&doing, &e))
}

/// Writes every report of a record; returns the files.
pub fn write_reports(folder: &Path, record: &Record) -> Result<Vec<PathBuf>, RunError> {
    let mut written = Vec::new();
    for exporter in reports::all() {
        let path = folder.join(exporter.file_name());
        let doing = format!("writing {}", path.display());
        let bytes = exporter.export(record).map_err(|e| failed(&doing, &e))?;
        write(&path, &bytes)?;
        written.push(path);
    }
    Ok(written)
}

/// Writes a strategy's latency distributions, `STRATEGY.LATENCY.hgrm`.
pub fn write_hgrm(folder: &Path, history: &History) -> Result<(), RunError> {
    for (latency, text) in crate::measure::hgrm(history) {
        let path = folder.join(format!("{}.{latency}.hgrm", history.meta.strategy));
        write(&path, text.as_bytes())?;
    }
    Ok(())
}
