//! A history changed after the run is still read, and never believed.

use super::round_trip::{assert_same, full};
use crate::checkers::fixture::*;
use crate::checkers::{Judgement, Verdict};
use crate::history::writer::write_table;
use crate::history::{load, save};
use crate::scenario::{Metric, StrategyKind};
use std::path::Path;

/// What `check` would say, all faults having bitten.
fn check(folder: &Path) -> Judgement {
    let loaded = load(folder).unwrap();
    judge_with(&loaded.history, &loaded.altered, Vec::new())
}

#[test]
fn a_history_from_which_one_observed_row_was_removed_says_lost_1() {
    // Given the saved history of a clean run
    let folder = tempfile::tempdir().unwrap();
    let history = clean(40, StrategyKind::Cdc {});
    save(&history, folder.path()).unwrap();
    assert_eq!(check(folder.path()).verdict, Verdict::Pass);
    // When somebody removes one event
    let mut log = history.log.clone();
    log.open().remove(17);
    write_table(folder.path(), &log).unwrap();
    // Then it is lost, and the file is named
    let judgement = check(folder.path());
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert_eq!(count(&judgement, Metric::Lost), 1);
    assert!(
        judgement
            .reasons
            .iter()
            .any(|r| r.contains("log.parquet differ"))
    );
}

#[test]
fn a_harmless_change_still_cannot_pass() {
    let folder = tempfile::tempdir().unwrap();
    let history = clean(40, StrategyKind::Cdc {});
    save(&history, folder.path()).unwrap();
    let mut sightings = history.sightings.clone();
    sightings.open()[0].seen_ns += 1;
    write_table(folder.path(), &sightings).unwrap();
    assert_eq!(check(folder.path()).verdict, Verdict::Unknown);
}

#[test]
fn a_change_to_run_json_itself_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    save(&full(), folder.path()).unwrap();
    let path = folder.path().join("run.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"a test\"", "\"a best\"")).unwrap();
    let loaded = load(folder.path()).unwrap();
    assert_eq!(loaded.altered, ["run.json"]);
}

#[test]
fn a_file_that_run_json_does_not_vouch_for_is_altered() {
    let folder = tempfile::tempdir().unwrap();
    save(&full(), folder.path()).unwrap();
    let path = folder.path().join("run.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let kept: Vec<&str> = text
        .lines()
        .filter(|l| !l.contains("\"evidence.parquet\""))
        .collect();
    std::fs::write(&path, kept.join("\n")).unwrap();
    let loaded = load(folder.path()).unwrap();
    assert_eq!(loaded.altered, ["run.json", "evidence.parquet"]);
    assert_same(&full_like(&loaded.history), &loaded.history);
}

/// The same history with that run's key, which is drawn anew each time.
fn full_like(loaded: &crate::history::History) -> crate::history::History {
    let mut history = full();
    history.meta.key = loaded.meta.key.clone();
    history
}
