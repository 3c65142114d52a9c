//! The program as its users run it: whole runs on a real stack, their verdicts, and what is left
//! after them. One outage run is shared by the tests that read its results.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../shared/all.rs"]
mod all;
#[path = "../shared/busy.rs"]
mod busy;
mod cache;
mod consumers;
mod debezium;
mod demo;
mod event_sourcing;
mod eventbridge;
mod explain;
mod external;
mod failover;
mod faults;
mod files;
mod foreign;
mod foreign_service;
#[path = "../shared/installed.rs"]
mod installed;
mod instances;
mod interruption;
mod isolation;
mod kafka_leader;
mod mariadb;
mod moments;
mod nats;
#[path = "../shared/not_done.rs"]
mod not_done;
#[path = "../shared/patience.rs"]
mod patience;
mod queries;
mod rabbitmq;
#[path = "../shared/screen.rs"]
mod screen;
#[path = "../shared/secrets.rs"]
mod secrets;
mod slot_limit;
#[path = "../shared/theirs.rs"]
mod theirs;
mod trace;
mod triggers;
#[path = "../shared/turn.rs"]
mod turn;
mod two_phase;
mod verdicts;
mod watch;

use harness::scenario::Server;
use reports::record::{Record, Verdict};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use theirs::theirs;
use turn::{Turn, alone, beside_another};

/// Runs at the same time, where the test program has as many threads. On a single core it has one.
const LANES: usize = 3;

/// A short version of the flagship: Kafka is down in the middle.
const OUTAGE: &str = r#"
name = "short-outage"
description = "Kafka is unreachable for 1.5 s."
seed = 7

[workload]
rate = 300
duration = "5s"

[[fault]]
target = "kafka"
kind = "down"
at = "1500ms"
for = "1500ms"

[drain]
settle = "200ms"

[strategy.naive]
kind = "dual-write"
order = "commit-then-publish"
publish_timeout = "500ms"

[strategy.polling]
kind = "polling"

[strategy.cdc]
kind = "cdc"

[expect.naive]
lost = ">= 1"

[expect.polling]
lost = 0

[expect.cdc]
lost = 0
"#;

/// A finished run of [`OUTAGE`].
struct Outage {
    output: Output,
    folder: PathBuf,
    record: Record,
    /// Keeps the folder.
    _home: tempfile::TempDir,
}

/// The shared outage run.
fn outage() -> &'static Outage {
    static RUN: OnceLock<Outage> = OnceLock::new();
    RUN.get_or_init(|| {
        let home = tempfile::tempdir().unwrap();
        let output = run(home.path(), OUTAGE, &[]);
        let folder = only_run(home.path());
        let record = record(&folder);
        Outage {
            output,
            folder,
            record,
            _home: home,
        }
    })
}

/// Where `make test` installs Kafka and Toxiproxy.
fn programs() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.stack");
    folder.canonicalize().expect("`make test` installs .stack")
}

/// Runs a scenario that uses this server, and must pass; returns its record, and what it said on standard error. Where the
/// server is not installed, the test is named as not done.
fn passed_on(server: Server, scenario: &str) -> Option<(Record, String)> {
    if installed::lacks(server) {
        return None;
    }
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), scenario, &[]);
    let record = record(&only_run(home.path()));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(record.verdict, Verdict::Pass, "{said}{table}");
    Some((record, said))
}

/// The scenario, where the programs of one server are not installed, ends with the command that brings them.
fn says_what_brings(server: &str, scenario: &str) {
    let home = tempfile::tempdir().unwrap();
    // Given the programs of the stack without that one
    let bare = home.path().join("bare");
    std::fs::create_dir(&bare).unwrap();
    for entry in std::fs::read_dir(programs()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != server {
            std::os::unix::fs::symlink(entry.path(), bare.join(entry.file_name())).unwrap();
        }
    }
    let bare = bare.display().to_string();
    let variables = [("OUTBOX_HARNESS_PROGRAMS", &*bare)];
    let output = commanded(&variables, home.path(), scenario).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    let command = format!("stack/install.sh {server}");
    assert!(said.contains(&command), "{said}");
}

/// The program, with the stack's programs of this checkout.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outbox-harness"));
    command.env("OUTBOX_HARNESS_PROGRAMS", programs());
    // The test may be a step of a job itself, whose annotations these are not.
    command.env_remove("GITHUB_ACTIONS");
    command
}

/// Runs a scenario given as text, its folder under `home/runs`, on a stack of its own.
fn run(home: &Path, scenario: &str, more: &[&str]) -> Output {
    run_in(&[], home, scenario, more)
}

/// The same with these variables in its environment.
fn run_in(variables: &[(&str, &str)], home: &Path, scenario: &str, more: &[&str]) -> Output {
    on_schedule(home, |_| {
        commanded(variables, home, scenario)
            .args(more)
            .output()
            .unwrap()
    })
}

/// [`run`] on a stack that serves one run after the other, for scenarios that leave its servers alone.
fn run_on_theirs(home: &Path, scenario: &str) -> Output {
    on_schedule(home, |turn| run_beside(turn, home, scenario))
}

/// The same for whoever has the turn.
fn run_beside(turn: &Turn, home: &Path, scenario: &str) -> Output {
    let mut command = commanded(&[], home, scenario);
    command.args(theirs(turn).arguments()).output().unwrap()
}

/// Makes a run, its folders under `home/runs`, until it can tell: beside another one, and then alone.
fn on_schedule(home: &Path, run: impl Fn(&Turn) -> Output) -> Output {
    let first = beside_another();
    let output = run(&first);
    drop(first);
    until_it_tells(home, output, || run(&alone()))
}

/// Where the machine was too busy for the run, it is made again, a few times, without the folders of before.
fn until_it_tells(home: &Path, first: Output, again: impl Fn() -> Output) -> Output {
    let mut output = first;
    for _ in 1..busy::TRIES {
        if output.status.code() != Some(3) || !was_too_busy(&home.join("runs")) {
            break;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        println!("the machine was too busy: {said}");
        std::fs::remove_dir_all(home.join("runs")).unwrap();
        output = again();
    }
    output
}

/// Whether a run in this folder says so.
fn was_too_busy(runs: &Path) -> bool {
    let folders = std::fs::read_dir(runs).into_iter().flatten();
    let mut records =
        folders.filter_map(|run| std::fs::read(run.ok()?.path().join("record.json")).ok());
    records.any(|json| busy::was_too_busy(&reports::json::parse(&json).unwrap()))
}

/// The command for this.
fn commanded(variables: &[(&str, &str)], home: &Path, scenario: &str) -> Command {
    let file = home.join("scenario.toml");
    std::fs::write(&file, scenario).unwrap();
    let mut command = program();
    command
        .envs(variables.iter().copied())
        .arg("run")
        .arg(&file)
        .arg("--out")
        .arg(home.join("runs"));
    command
}

/// Tries each of these, a few at a time: of runs in which nothing is measured, most of which end before their load.
fn try_each<C: Sync>(cases: &[C], attempt: impl Fn(&C) + Sync) {
    let _turn = alone();
    for some in cases.chunks(3) {
        std::thread::scope(|scope| {
            for case in some {
                scope.spawn(|| attempt(case));
            }
        });
    }
}

/// The one run folder under `home/runs`.
fn only_run(home: &Path) -> PathBuf {
    let mut entries = std::fs::read_dir(home.join("runs")).unwrap();
    let folder = entries
        .next()
        .expect("the run left a folder")
        .unwrap()
        .path();
    assert!(entries.next().is_none(), "one run, one folder");
    folder
}

fn record(folder: &Path) -> Record {
    reports::json::parse(&std::fs::read(folder.join("record.json")).unwrap()).unwrap()
}
