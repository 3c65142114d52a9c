//! The run's folder: where everything a run leaves is found again.

use super::RunError;
use super::deployment::failed;
use crate::disk;
use crate::explain::Explainer;
use crate::view::Join;
use reports::Exporter;
use reports::html::Html;
use reports::json::Json;
use reports::record::{Offence, Record};
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// This file has every offending event of a run, a line each.
const OFFENCES: &str = "offences.jsonl";
/// The folder, among those of the rounds of a comparison, of the run that warmed the stack and counts for nothing.
pub const WARM_UP: &str = "warm-up";
/// The file has at most so many lines of one kind and strategy.
const MAX_OFFENCES: u64 = 100_000;

/// A name that no other run has, wherever and whenever it is made: `SCENARIO-TIME-RANDOM`.
pub fn unique_name(scenario: &str) -> String {
    format!("{scenario}-{}", unique_stamp(jiff::Timestamp::now()))
}

/// What is made at that time has this in its name and nothing else does: `TIME-RANDOM`. Such names are in the order of
/// time.
pub fn unique_stamp(at: jiff::Timestamp) -> String {
    let random: u32 = rand::random();
    format!("{}-{random:08x}", at.strftime("%Y%m%dT%H%M%SZ"))
}

/// The name of a run's folder, which is the run's name.
pub fn name(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Makes a folder for a run, of a name that is the run's own.
pub fn create(out: &Path, scenario: &str) -> Result<PathBuf, RunError> {
    let doing = format!("making the run's folder under {}", out.display());
    let failed = |e: std::io::Error| failed(&doing, &disk::explain(&e));
    std::fs::create_dir_all(out).map_err(failed)?;
    let out = out.canonicalize().map_err(failed)?;
    let folder = out.join(unique_name(scenario));
    std::fs::create_dir(&folder).map_err(failed)?;
    std::fs::create_dir(folder.join("logs")).map_err(failed)?;
    Ok(folder)
}

/// Writes a file of the run's folder that is then whole, or not there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    disk::write(path, bytes).map_err(|e| not_written(path, &e))
}

/// Does the same for a page that has the name that any page may have: one that was not written here is somebody's.
pub fn write_page(path: &Path, page: &str) -> Result<(), RunError> {
    if let Some(why) = is_of_another(path) {
        return Err(failed(&format!("writing {}", path.display()), &why));
    }
    write(path, page.as_bytes())
}

/// Says why a page must not be written here, if it must not.
pub fn is_of_another(path: &Path) -> Option<String> {
    let there = std::fs::read(path).ok()?;
    let is_ours = String::from_utf8_lossy(&there).contains(PAGE_MARK);
    (!is_ours).then(|| {
        "there is a page already, which was not written by outbox-harness: move it, or name another folder".to_owned()
    })
}

/// Does the same for a file with a password in it.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    disk::write_secret(path, bytes).map_err(|e| not_written(path, &e))
}

fn not_written(path: &Path, reason: &std::io::Error) -> RunError {
    failed(
        &format!("writing {}", path.display()),
        &disk::explain(reason),
    )
}

/// Each page has it that is written here.
const PAGE_MARK: &str = "– outbox-harness</title>";

/// Where what a process of a strategy says goes.
pub fn log(folder: &Path, strategy: &str, process: &str) -> PathBuf {
    folder
        .join("logs")
        .join(format!("{strategy}.{process}.log"))
}

/// Where one strategy's history is.
pub fn history(folder: &Path, strategy: &str) -> PathBuf {
    folder.join("history").join(strategy)
}

/// Returns the folder in which the processes of one strategy write their traces while they run.
pub fn trace(folder: &Path, strategy: &str) -> PathBuf {
    folder.join("trace").join(strategy)
}

/// Returns the folder of every history of a run folder, in the order of their names; it is an Err if there is none.
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

/// What is wrong with a folder that has no history at all, and what to do about it.
pub fn lacks_history(folder: &Path) -> Option<String> {
    if folder.join("history").is_dir() {
        return None;
    }
    Some(format!(
        "{}: there is no history in it; name the folder of one run, such as runs/steady-...",
        folder.display()
    ))
}

/// Where a run folder has its record.
pub fn record_of(folder: &Path) -> PathBuf {
    folder.join(Json.file_name())
}

/// Where a run folder has its report as a page.
pub fn report_page(folder: &Path) -> PathBuf {
    folder.join(Html.file_name())
}

/// Whether the folder is that of one run, which has a record.
pub fn is_run(folder: &Path) -> bool {
    record_of(folder).is_file()
}

/// The folders of the runs in a folder, by their names.
pub fn runs_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut runs = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if is_run(&path) {
            runs.push(path);
        }
    }
    runs.sort();
    Ok(runs)
}

/// Reads the record of a run folder.
pub fn read_record(folder: &Path) -> Result<Record, RunError> {
    let path = record_of(folder);
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

/// Writes a strategy's latency distributions, `STRATEGY.LATENCY.hgrm`: those that were read, where
/// it is not known when the events came.
pub fn write_hgrm(folder: &Path, join: &Join<'_>, arrivals_known: bool) -> Result<(), RunError> {
    let strategy = &join.history.meta.strategy;
    for (latency, text) in crate::measure::hgrm(join, arrivals_known) {
        let path = folder.join(format!("{strategy}.{latency}.hgrm"));
        write(&path, text.as_bytes())?;
    }
    Ok(())
}

/// This is a line of [`OFFENCES`].
#[derive(Serialize)]
struct OffenceLine<'a> {
    strategy: &'a str,
    #[serde(flatten)]
    offence: &'a Offence,
}

/// The line that says how many of a kind were left out.
#[derive(Serialize)]
struct LeftOutLine<'a> {
    strategy: &'a str,
    metric: String,
    left_out: u64,
}

/// Adds every offending event of a strategy to the run's file of them, each explained; without an
/// explainer there is none, and the file is there all the same.
pub fn write_offences(
    folder: &Path,
    strategy: &str,
    explainer: Option<&Explainer<'_>>,
) -> Result<(), RunError> {
    let path = folder.join(OFFENCES);
    let doing = format!("writing {}", path.display());
    let file = File::options().append(true).create(true).open(&path);
    let mut out = BufWriter::new(file.map_err(|e| failed(&doing, &e))?);
    let Some(explainer) = explainer else {
        return Ok(());
    };
    offence_lines(&mut out, explainer, strategy, MAX_OFFENCES)
        .and_then(|()| out.flush())
        .map_err(|e| failed(&doing, &e))
}

/// A line an offence, up to `limit` of each kind, and one for each kind of which there were more.
fn offence_lines(
    out: &mut impl Write,
    explainer: &Explainer<'_>,
    strategy: &str,
    limit: u64,
) -> std::io::Result<()> {
    let mut written = Ok(());
    let counts = explainer.each(limit, &mut |offence| {
        if written.is_ok() {
            let offence = &offence;
            written = write_line(out, &OffenceLine { strategy, offence });
        }
    });
    written?;
    for (metric, count) in counts {
        let left_out = count.saturating_sub(limit);
        if left_out > 0 {
            let line = LeftOutLine {
                strategy,
                metric,
                left_out,
            };
            write_line(out, &line)?;
        }
    }
    Ok(())
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::checkers::context::Context;
    use crate::checkers::fixture::{attempt, clean, naive, unpublish};

    #[test]
    fn given_two_runs_of_one_scenario_in_one_second_then_each_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<String> =
            (0..100).map(|_| unique_name("outage")).collect();
        assert_eq!(names.len(), 100);
        assert!(names.iter().all(|name| name.starts_with("outage-20")));
    }

    #[test]
    fn given_more_offences_than_the_limit_then_a_last_line_says_how_many_were_left_out() {
        let mut history = clean(20, naive());
        for version in 1..=3 {
            let gone = attempt(&history, 7, version);
            unpublish(&mut history, gone);
        }
        let context = Context::new(&history);
        let explainer = Explainer::new(&context).unwrap();
        let mut out = Vec::new();
        offence_lines(&mut out, &explainer, "it", 2).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with(r#"{"strategy":"it","metric":"lost","order_id":""#));
        assert_eq!(
            lines[2],
            r#"{"strategy":"it","metric":"lost","left_out":1}"#
        );
    }
}
