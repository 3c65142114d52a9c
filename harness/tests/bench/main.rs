//! Each benchmark on the real stack with next to no work: form and counts, never a time.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../shared/all.rs"]
mod all;
#[path = "../shared/installed.rs"]
mod installed;
mod interruption;
#[path = "../shared/not_done.rs"]
mod not_done;
mod systems;
#[path = "../shared/turn.rs"]
mod turn;

use reports::bench::{Bench, Ratio, Role, Table};
use reports::record::Verdict;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use turn::{Turn, alone, beside_another};

/// Stacks at the same time: no test looks at how fast anything was.
const LANES: usize = 2;

/// The install script's folder.
fn programs() -> PathBuf {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.stack");
    programs.canonicalize().unwrap()
}

/// One benchmark whose folder will be in `home`, and its copy of the record next to it.
fn program(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outbox-harness"));
    command
        .env("OUTBOX_HARNESS_PROGRAMS", programs())
        .arg("bench")
        .args(args)
        .arg("--json")
        .arg(home.join("copy.json"))
        .arg("--out")
        .arg(home.join("runs"));
    command
}

/// The record and the page that a benchmark left in `home`.
fn left_in(home: &Path) -> (Bench, String) {
    let mut folders = std::fs::read_dir(home.join("runs")).unwrap();
    let folder = folders.next().unwrap().unwrap().path();
    let bytes = std::fs::read(folder.join("bench.json")).unwrap();
    assert_eq!(std::fs::read(home.join("copy.json")).unwrap(), bytes);
    let page = std::fs::read_to_string(folder.join("bench.html")).unwrap();
    assert!(page.contains("</html>"));
    (serde_json::from_slice(&bytes).unwrap(), page)
}

/// Runs one round beside another benchmark, and reads what it left.
fn bench(args: &[&str]) -> (Bench, String) {
    bench_in(beside_another(), args)
}

fn bench_in(_turn: Turn, args: &[&str]) -> (Bench, String) {
    let home = tempfile::tempdir().unwrap();
    let output = program(home.path(), args)
        .args(["--repetitions", "1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let table = String::from_utf8(output.stdout).unwrap();
    let code = output.status.code();
    // 3: a busy machine may leave a figure out, and says so.
    assert!(matches!(code, Some(0 | 3)), "{code:?}: {table}{said}");
    let (bench, _) = left_in(home.path());
    assert_eq!(bench.complete, 1);
    assert_ne!(bench.verdict, Verdict::Fail, "{:?}", bench.reasons);
    (bench, table)
}

fn measured(table: &Table, row: &str, column: &str) -> bool {
    let row = table.rows.iter().find(|r| r.name == row).unwrap();
    row.figures[column].is_some()
}

#[test]
fn given_a_small_backlog_when_drained_then_every_row_has_its_figures_and_its_limit() {
    let (bench, text) = bench(&["drain", "--events", "6000", "--batch", "100"]);
    let table = &bench.tables[0];
    assert_eq!(table.rows.len(), 12);
    assert_eq!(table.rows[11].role, Role::Peer);
    for row in &table.rows {
        assert!(measured(table, &row.name, "from start"), "{}", row.name);
        assert!(measured(table, &row.name, "WAL an event"), "{}", row.name);
        if row.role != Role::Limit {
            assert!(measured(table, &row.name, "first event"), "{}", row.name);
            assert!(measured(table, &row.name, "drained"), "{}", row.name);
            assert!(measured(table, &row.name, "peak memory"), "{}", row.name);
        }
    }
    assert_eq!(bench.ratios.len(), 10);
    assert!(bench.ratios.iter().all(|r| r.figure.is_some()));
    assert!(bench.settings["debezium"].contains("Kafka Connect"));
    for part in [
        "receive-socket (limit)",
        "debezium (peer)",
        "cdc-tcp / debezium",
        "polling-durable / polling-delete",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

/// The warm-up and the round are one worker after the other, each with a slot of its own.
#[test]
fn given_debezium_has_drained_when_it_drains_again_then_it_begins_without_the_offsets_of_before() {
    let (bench, _) = bench(&["drain", "--strategy", "debezium", "--events", "500"]);
    let table = &bench.tables[0];
    assert_eq!(table.rows.len(), 1);
    assert!(measured(table, "debezium", "first event"));
}

#[test]
fn given_an_order_path_when_loaded_then_it_stands_next_to_pgbench() {
    let (bench, _) = bench(&["orders", "--connections", "4", "--seconds", "1"]);
    let table = &bench.tables[0];
    assert!(measured(table, "order path", "orders") && measured(table, "pgbench", "orders"));
    assert!(measured(table, "order path", "p99"));
    assert!(measured(table, "order path", "WAL an order"));
    assert!(measured(table, "pgbench", "WAL an order"));
    assert!(bench.ratios[0].figure.is_some());
}

#[test]
fn given_a_rate_when_latency_is_measured_then_its_table_has_every_strategy() {
    // A busy machine may leave all figures of a row out; hardly of the same one every time.
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        seen.extend(rows_of_latency());
        if seen.len() == STRATEGIES.len() {
            return;
        }
    }
    panic!("only {seen:?} of {STRATEGIES:?} were ever measured");
}

const STRATEGIES: [&str; 5] = ["polling", "polling-notify", "cdc", "debezium", "dual-write"];

/// Measures each strategy's latency; the rows that have figures, and all that they must have.
fn rows_of_latency() -> Vec<String> {
    let args = ["latency", "--rate", "100", "--seconds", "2"];
    // What comes late has no figures.
    let (bench, _) = bench_in(alone(), &[&args[..], &["--warm-up", "1"]].concat());
    let table = &bench.tables[0];
    let names: Vec<&str> = table.rows.iter().map(|r| &*r.name).collect();
    assert_eq!(names, STRATEGIES);
    assert_eq!(table.columns[0].name, "end to end p50");
    let of_end_to_end = |r: &Ratio| r.column == "end to end p50" && r.against == "cdc";
    assert!(bench.ratios.iter().all(of_end_to_end));
    let rows = table.rows.iter();
    let rows = rows.filter(|r| measured(table, &r.name, "end to end p50"));
    for row in rows.clone() {
        let there = |column| measured(table, &row.name, column);
        assert!(there("WAL an event"), "{}", row.name);
        assert_eq!(there("outbox peak"), row.name != "dual-write");
        let streams = ["cdc", "debezium"].contains(&&*row.name);
        assert_eq!(there("slot WAL peak"), streams, "{}", row.name);
    }
    rows.map(|row| row.name.clone()).collect()
}

#[test]
fn given_a_low_ceiling_when_capacity_is_searched_then_it_is_not_a_maximum() {
    let (bench, text) = bench(&[
        "capacity",
        "--strategy",
        "polling",
        "--rate",
        "60",
        "--ceiling",
        "60",
        "--seconds",
        "2",
    ]);
    assert_eq!(bench.tables[0].rows.len(), 1);
    assert!(measured(&bench.tables[0], "polling", "probes"));
    assert!(
        // Where the machine is busy, a rate can be too high for the order path or for the relay.
        ["NOT A MAXIMUM", "gave way", "fell behind"]
            .iter()
            .any(|end| text.contains(end)),
        "{text}"
    );
}
