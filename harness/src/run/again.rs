//! What a finished run came to, again, from what it left.

use super::deployment::failed;
use super::{RunError, folder, judge, whole};
use crate::history::{self, LoadedHistory, RunMeta};
use crate::record::Judged;
use reports::index;
use reports::record::Record;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Judges again, from the saved history of a run folder alone, and returns the record; writes nothing.
pub fn check(folder: &Path) -> Result<Record, RunError> {
    check_and_see(folder, |_| {})
}

/// Does the same, and shows each history to somebody before it is judged. One is in memory at a time.
pub(super) fn check_and_see(
    folder: &Path,
    mut see: impl FnMut(&LoadedHistory),
) -> Result<Record, RunError> {
    let started = Instant::now();
    let mut judged: Vec<Judged> = Vec::new();
    for path in folder::histories(folder)? {
        let loaded = history::load(&path).map_err(|e| failed("loading the history", &e))?;
        see(&loaded);
        judged.push(judge::judge(loaded.history, &loaded.altered, None)?);
    }
    let metas: Vec<&RunMeta> = judged.iter().map(|one| &one.meta).collect();
    if let Err(reason) = whole::check(&metas) {
        for one in &mut judged {
            one.inconclusive_because(&reason);
        }
    }
    judged.sort_by_key(|one| place(&one.meta));
    crate::record::build(judged, started.elapsed()).map_err(|e| failed("building the record", &e))
}

/// Where the history's strategy stands in its scenario: folders are in the order of their names.
pub(super) fn place(meta: &RunMeta) -> Option<usize> {
    let strategies = &meta.scenario.strategies;
    strategies.iter().position(|s| s.name == meta.strategy)
}

/// Runs that an index shows at most.
const INDEXED_RUNS: usize = 10_000;

/// Writes the index of a folder with runs, and returns its file. Of a folder without any the error is that it has no
/// record.
pub fn index(folder: &Path) -> Result<PathBuf, RunError> {
    let mut folders = folder::runs_in(folder).map_err(|e| failed("reading the folder", &e))?;
    let mut runs = Vec::new();
    let mut unreadable = Vec::new();
    if folders.len() > INDEXED_RUNS {
        let more = folders.len() - INDEXED_RUNS;
        folders.sort_by_cached_key(|run| std::fs::metadata(run).and_then(|m| m.modified()).ok());
        folders.drain(..more);
        let why = format!("the index has the newest {INDEXED_RUNS} alone");
        unreadable.push((format!("{more} older runs"), why));
    }
    for run in folders {
        let name = run.file_name().unwrap_or_default().to_string_lossy();
        // Of each record no more is kept than is shown.
        match folder::read_record(&run) {
            Ok(record) => runs.push(index::Run::new(&name, &record)),
            Err(why) => unreadable.push((name.into_owned(), why.to_string())),
        }
    }
    if runs.is_empty() && unreadable.is_empty() {
        folder::read_record(folder)?;
    }
    let file = folder.join(index::FILE_NAME);
    folder::write_page(&file, &index::page(runs, &unreadable))?;
    Ok(file)
}

/// Writes the reports again, from the record alone; returns the files written.
pub fn report(folder: &Path) -> Result<Vec<PathBuf>, RunError> {
    let record = folder::read_record(folder)?;
    folder::write_reports(folder, &record)
}

/// Writes the charts of a run as files of their own in another folder, from its record; returns the files written.
pub fn charts(folder: &Path, into: &Path) -> Result<Vec<PathBuf>, RunError> {
    let record = folder::read_record(folder)?;
    let files = reports::charts::files(&record).map_err(|e| failed("drawing the charts", &e))?;
    let mut written = Vec::new();
    for file in files {
        let path = into.join(file.name);
        folder::write(&path, &file.bytes)?;
        written.push(path);
    }
    Ok(written)
}
