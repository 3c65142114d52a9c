//! `run --watch` on a terminal of its own: what is seen of a run while it goes on, and that the run is the same.

use super::screen::OnTerminal;
use super::turn::alone;
use super::{OUTAGE, only_run, outage, program, record, was_too_busy};
use crate::busy;
use crate::patience::PATIENCE;
use reports::record::Verdict;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Starts a run that is watched on a terminal of this size.
fn watched(home: &Path, size: (u16, u16)) -> OnTerminal {
    let file = home.join("scenario.toml");
    std::fs::write(&file, OUTAGE).unwrap();
    let mut command = program();
    command
        .arg("run")
        .arg(&file)
        .arg("--watch")
        .arg("--out")
        .arg(home.join("runs"));
    OnTerminal::start(command, size)
}

/// Every place in a record that has a value.
fn shape(value: &Value, place: &str, shape: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                self::shape(value, &format!("{place}.{name}"), shape);
            }
        }
        Value::Array(values) => {
            for value in values {
                self::shape(value, &format!("{place}[]"), shape);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            shape.insert(place.to_owned());
        }
    }
}

/// What a record has, whatever came of its run: a machine that was too busy for the other run changes nothing here.
fn said(folder: &Path) -> Value {
    let record = std::fs::read(folder.join("record.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    let strategies = record["strategies"].as_array().unwrap().iter();
    let strategies = strategies.map(|strategy| {
        let mut places = BTreeSet::new();
        for part in ["counts", "outcomes", "expectations", "faults"] {
            shape(&strategy[part], part, &mut places);
        }
        let names: BTreeSet<&String> = strategy.as_object().unwrap().keys().collect();
        serde_json::json!([strategy["name"], names, places])
    });
    let strategies: Vec<Value> = strategies.collect();
    let names: BTreeSet<&String> = record.as_object().unwrap().keys().collect();
    serde_json::json!([names, strategies])
}

#[test]
fn given_a_terminal_when_a_run_is_watched_then_each_lane_is_seen_in_its_turn_and_the_record_is_as_ever()
 {
    let unwatched = said(&outage().folder);
    let _turn = alone();
    for _ in 0..busy::TRIES {
        let home = tempfile::tempdir().unwrap();
        let mut run = watched(home.path(), (80, 24));
        // Every strategy is there from the first second, with what is expected of it
        run.until(
            &[
                "short-outage · starting",
                " naive ",
                " polling ",
                " cdc ",
                "waits for its turn",
                "lost >= 1: not yet",
            ],
            PATIENCE,
        );
        run.until(&["naive, 1 of 3: orders come in", " CUT "], PATIENCE);
        run.until(&["polling, 2 of 3: orders come in", "─ judged: "], PATIENCE);
        run.press("?");
        run.until(&["No key breaks anything", "? closes this."], PATIENCE);
        run.press("?b");
        run.until(&["cdc, 3 of 3: orders come in"], PATIENCE);
        let status = run.ended(PATIENCE);
        let stays = run.scrollback();
        if status.code() == Some(3) && was_too_busy(&home.path().join("runs")) {
            println!("the machine was too busy: {stays}");
            continue;
        }
        assert_eq!(status.code(), Some(0), "{stays}");
        // What a run without it leaves on the terminal is there, once
        for line in [
            "strategy naive (dual-write)",
            "fault: down kafka healed",
            "cdc: pass",
            "what became of each attempt",
            "everything about this run: ",
        ] {
            let times = if line.starts_with("fault") { 3 } else { 1 };
            assert_eq!(stays.matches(line).count(), times, "{line} in:\n{stays}");
        }
        assert!(!stays.contains("waits for its turn"), "{stays}");
        // And its record is one of a run without it, with the verdict that the scenario is to have
        let folder = only_run(home.path());
        assert_eq!(record(&folder).verdict, Verdict::Pass);
        assert_eq!(said(&folder), unwatched);
        return;
    }
    panic!("the machine was too busy each time");
}

#[test]
fn given_a_run_that_is_watched_when_q_is_pressed_then_it_ends_in_order_as_by_an_interruption() {
    let _turn = alone();
    let home = tempfile::tempdir().unwrap();
    let mut run = watched(home.path(), (200, 50));
    run.until(&["naive, 1 of 3: orders come in"], PATIENCE);
    run.press("q");
    run.until(&["ending in order"], PATIENCE);
    let status = run.ended(PATIENCE);
    let stays = run.scrollback();
    assert_eq!(status.code(), Some(3), "{stays}");
    assert!(
        stays.contains("interrupted: healing and tearing down"),
        "{stays}"
    );
    let record = record(&only_run(home.path()));
    assert!(record.not_run.iter().any(|n| n.strategy == "cdc"));
}
