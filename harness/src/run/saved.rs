//! The records of runs that were made before.

use super::folder::{self, WARM_UP};
use reports::record::Record;
use std::path::Path;

/// Runs that are read at most.
const MOST_RUNS: usize = 1_000;

/// The records that are meant: of a file the one in it, or the list of them; of a run's folder its record; of any other
/// folder those of the runs in it, but for the one that warmed the stack of a comparison. The error says what is wrong, and where.
pub fn saved(place: &Path) -> Result<Vec<Record>, String> {
    if place.is_file() {
        return of_file(place);
    }
    if !place.is_dir() {
        return Err(format!(
            "{}: there is no such file or folder; name a record.json, the folder of a run, or a folder of such folders",
            place.display()
        ));
    }
    let cannot = |e: std::io::Error| format!("{}: cannot be read: {e}", place.display());
    let runs = if folder::is_run(place) {
        vec![place.to_owned()]
    } else {
        let mut runs = folder::runs_in(place).map_err(cannot)?;
        runs.retain(|run| folder::name(run) != WARM_UP);
        runs
    };
    match runs.len() {
        0 => Err(format!(
            "{}: there is no run in this folder; name a record.json, the folder of a run, or a folder of such folders",
            place.display()
        )),
        many if many > MOST_RUNS => Err(format!(
            "{}: there are {many} runs in this folder, and {MOST_RUNS} are read at most",
            place.display()
        )),
        _ => runs
            .iter()
            .map(|run| folder::read_record(run).map_err(|e| e.to_string()))
            .collect(),
    }
}

/// `--json` of several scenarios writes a list.
fn of_file(file: &Path) -> Result<Vec<Record>, String> {
    let wrong = |what: String| format!("{}: {what}", file.display());
    let bytes = std::fs::read(file).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    if bytes.trim_ascii_start().first() != Some(&b'[') {
        let record = reports::json::parse(&bytes).map_err(|e| wrong(e.to_string()))?;
        return Ok(vec![record]);
    }
    let list: Vec<serde_json::Value> =
        serde_json::from_slice(&bytes).map_err(|e| wrong(format!("not a list of records: {e}")))?;
    let records = list
        .iter()
        .map(|one| reports::json::parse(one.to_string().as_bytes()));
    records
        .collect::<Result<_, _>>()
        .map_err(|e| wrong(e.to_string()))
}
