//! What a finished run came to, again, from what it left.

use super::arena::failed;
use super::{RunError, folder, judge, whole};
use crate::history::{self, RunMeta};
use crate::record::Judged;
use reports::record::Record;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The verdict again, from the saved history of a run folder alone; writes nothing.
pub fn check(folder: &Path) -> Result<Record, RunError> {
    let started = Instant::now();
    let mut judged: Vec<Judged> = Vec::new();
    for path in folder::histories(folder)? {
        let loaded = history::load(&path).map_err(|e| failed("loading the history", &e))?;
        judged.push(judge::judge(loaded.history, &loaded.altered, None)?);
    }
    let metas: Vec<&RunMeta> = judged.iter().map(|one| &one.meta).collect();
    if let Err(reason) = whole::check(&metas) {
        for one in &mut judged {
            one.doubt(&reason);
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

/// The reports again, from the record alone; returns the files written.
pub fn report(folder: &Path) -> Result<Vec<PathBuf>, RunError> {
    let record = folder::read_record(folder)?;
    folder::write_reports(folder, &record)
}
