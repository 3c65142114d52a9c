//! A history's folder: every table to its file, and back.

use super::column::Table;
use super::durable::{failed, sha256_of, sync_folder};
use super::reader::read_table;
use super::row_store::RowStore;
use super::writer::write_table;
use super::{History, RunMeta, bounds, seal};
use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use thiserror::Error;

/// The error says why a history could not be written or read.
#[derive(Debug, Error)]
#[error("{doing} {path}: {reason}")]
pub struct HistoryError {
    /// What was being done.
    pub doing: &'static str,
    /// This is the path of the file or folder to which it was being done.
    pub path: String,
    /// This says why that failed, or what is wrong with the file.
    pub reason: String,
}

/// A history read back, and what was wrong with its files short of being unreadable.
#[derive(Debug)]
pub struct LoadedHistory {
    /// This is the history as its files have it, altered or not.
    pub history: History,
    /// These files differ from the SHA-256 in `run.json`: the history was changed after the run.
    pub altered: Vec<String>,
}

/// What is to be said of a history of which these files were changed.
pub fn altered_reason(altered: &[String]) -> String {
    format!(
        "the history was changed after the run: {} differ from what run.json vouches for",
        altered.join(", ")
    )
}

/// Writes a history into `folder` (made if missing), fsyncs it; `run.json` last, so that a folder
/// with a `run.json` is whole.
pub fn save(history: &History, folder: &Path) -> Result<(), HistoryError> {
    std::fs::create_dir_all(folder)
        .map_err(|e| failed("creating", folder, crate::disk::explain(&e)))?;
    let run = folder.join(seal::FILE);
    if run.exists() {
        // A history that is being replaced is not whole while that goes on.
        std::fs::remove_file(&run).map_err(|e| failed("removing", &run, e))?;
        sync_folder(folder)?;
    }
    let mut meta = history.meta.clone();
    meta.sha256.clear();
    fn put<S: RowStore>(meta: &mut RunMeta, folder: &Path, rows: &S) -> Result<(), HistoryError> {
        let digest = write_table(folder, rows)?;
        meta.sha256.insert(S::Row::FILE.to_owned(), digest);
        Ok(())
    }
    put(&mut meta, folder, &history.requests)?;
    put(&mut meta, folder, &history.truth)?;
    put(&mut meta, folder, &history.log)?;
    put(&mut meta, folder, &history.raw)?;
    put(&mut meta, folder, &history.sightings)?;
    put(&mut meta, folder, &history.partitions)?;
    put(&mut meta, folder, &history.pending)?;
    put(&mut meta, folder, &history.faults)?;
    put(&mut meta, folder, &history.observations)?;
    put(&mut meta, folder, &history.processes)?;
    put(&mut meta, folder, &history.samples)?;
    put(&mut meta, folder, &history.fences)?;
    put(&mut meta, folder, &history.trace)?;
    put(&mut meta, folder, &history.effects)?;
    put(&mut meta, folder, &history.reads)?;
    put(&mut meta, folder, &history.cached)?;
    sync_folder(folder)?;
    seal::write(folder, meta)?;
    sync_folder(folder)
}

/// Reads a history back. Damage gives an error, never a panic, never a guess.
pub fn load(folder: &Path) -> Result<LoadedHistory, HistoryError> {
    let (meta, whole) = seal::read(folder)?;
    let sums = &meta.sha256;
    let take = Take { folder, sums };
    // Two halves of about the same work; decoding them takes longer than reading them.
    let (requests, truth, log, sightings) = thread::scope(|scope| {
        let other = scope.spawn(|| (take.table(), take.table(), take.table()));
        let requests = take.table();
        match other.join() {
            Ok((truth, log, sightings)) => (requests, truth, log, sightings),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    let mut altered = Vec::new();
    if !whole {
        altered.push(seal::FILE.to_owned());
    }
    let mut note = Note(&mut altered);
    let history = History {
        requests: note.of(requests)?,
        truth: note.of(truth)?,
        log: note.of(log)?,
        raw: note.of(take.table())?,
        sightings: note.of(sightings)?,
        partitions: note.of(take.table())?,
        pending: note.of(take.table())?,
        faults: note.of(take.table())?,
        observations: note.of(take.table())?,
        processes: note.of(take.table())?,
        samples: note.of(take.table())?,
        fences: note.of(take.table())?,
        trace: note.of(take.table())?,
        effects: note.of(take.later_table())?,
        reads: note.of(take.later_table())?,
        cached: note.of(take.later_table())?,
        meta,
    };
    bounds::check(&history)
        .map_err(|(file, reason)| failed("reading", &folder.join(file), reason))?;
    Ok(LoadedHistory { history, altered })
}

/// Reads tables, and says which of them are not as they were written.
struct Take<'a> {
    folder: &'a Path,
    sums: &'a BTreeMap<String, String>,
}

/// A table, and whether its file is as it was written.
struct Taken<S> {
    rows: S,
    as_written: bool,
}

impl Take<'_> {
    fn table<S: RowStore>(&self) -> Result<Taken<S>, HistoryError> {
        let file = S::Row::FILE;
        let digest = sha256_of(&self.folder.join(file))?;
        Ok(Taken {
            rows: read_table(self.folder)?,
            as_written: self.sums.get(file) == Some(&digest),
        })
    }
}

impl Take<'_> {
    /// A table that histories of earlier versions do not have: nothing is in it then.
    fn later_table<S: RowStore>(&self) -> Result<Taken<S>, HistoryError> {
        let file = S::Row::FILE;
        if !self.sums.contains_key(file) && !self.folder.join(file).exists() {
            return Ok(Taken {
                rows: S::default(),
                as_written: true,
            });
        }
        self.table()
    }
}

/// Collects the names of files that were altered.
struct Note<'a>(&'a mut Vec<String>);

impl Note<'_> {
    fn of<S: RowStore>(
        &mut self,
        taken: Result<Taken<S>, HistoryError>,
    ) -> Result<S, HistoryError> {
        let taken = taken?;
        if !taken.as_written {
            self.0.push(S::Row::FILE.to_owned());
        }
        Ok(taken.rows)
    }
}
