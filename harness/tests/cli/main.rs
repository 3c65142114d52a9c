//! The command line as scripts see it: exit codes, streams, messages. Nothing here needs a stack,
//! because nothing here may start one.

#![allow(clippy::unwrap_used)]

mod compare;
mod explain;
mod install;
mod open;
mod pipelines;
mod profiles;
mod replay;
mod scripts;
mod selection;
mod stack;
mod test_all;
mod watch;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const GOOD: &str = "\
name = \"good\"
[workload]
duration = \"6s\"
[[fault]]
target = \"kafka-server\"
kind = \"kill\"
at = \"2s\"
for = \"1s\"
[strategy.one]
kind = \"cdc\"
[strategy.two]
kind = \"polling\"
";

/// A folder of its own, and the program run in it.
struct Place {
    folder: TempDir,
}

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.folder.path().join(name), content).unwrap();
        self
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_outbox-harness"));
        command
            .args(args)
            .current_dir(self.folder.path())
            // These tests may be a step of a job themselves.
            .env_remove("GITHUB_ACTIONS")
            // Whatever engine there is, none answers here.
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Said {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(args).output().unwrap();
        let said = Said {
            code: status.code(),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        };
        assert!(!said.err.contains("panicked"), "{}", said.err);
        said
    }

    /// Refused before anything started: exit code, nothing on standard output, no run folder.
    fn refused(&self, code: i32, args: &[&str], messages: &[&str]) {
        let said = self.run(args);
        assert_eq!(said.code, Some(code), "{args:?}: {}", said.err);
        assert_eq!(said.out, "", "{args:?}");
        for message in messages {
            assert!(
                said.err.contains(message),
                "`{message}` is not in:\n{}",
                said.err
            );
        }
        assert!(
            !self.folder.path().join("runs").exists(),
            "{args:?} made a run folder"
        );
    }
}

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

#[test]
fn every_scenario_of_the_project_is_good_and_named_like_its_file() {
    let mut names: Vec<String> = std::fs::read_dir(scenarios())
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let scenario = harness::scenario::load(&path)
                .unwrap_or_else(|e| panic!("{e}"))
                .scenario;
            assert_eq!(path.file_stem().unwrap().to_str(), Some(&*scenario.name));
            assert!(!scenario.description.is_empty(), "{}", scenario.name);
            for strategy in &scenario.strategies {
                let said = strategy.expectations.iter().any(|e| !e.implicit);
                assert!(
                    said,
                    "{} expects nothing of {}",
                    scenario.name, strategy.name
                );
            }
            scenario.name
        })
        .collect();
    names.sort();
    for name in [
        "broker-crash",
        "broker-outage",
        "commit-timeout",
        "database-crash",
        "deployment",
        "event-sourcing",
        "no-table",
        "phantom",
        "relay-crash",
        "relay-failover",
        "relay-pause",
        "service-crash",
        "slow-broker",
        "steady",
    ] {
        assert!(
            names.iter().any(|n| n == name),
            "{name} is missing: {names:?}"
        );
    }
}

#[test]
fn help_and_version_are_results_and_usage_errors_are_not() {
    let place = Place::new();
    let help = place.run(&["--help"]);
    assert_eq!(help.code, Some(0));
    assert!(help.out.contains("Examples:"), "{}", help.out);
    assert!(help.out.contains("Exit code:"), "{}", help.out);
    assert!(!help.out.contains("reaper"), "hidden: {}", help.out);
    let run_help = place.run(&["run", "--help"]);
    for option in [
        "--strategy",
        "--out",
        "--junit",
        "--json",
        "--stack",
        "--keep-stack",
    ] {
        assert!(run_help.out.contains(option), "{option}: {}", run_help.out);
    }
    let version = place.run(&["--version"]);
    assert_eq!(version.code, Some(0));
    assert!(
        version.out.starts_with("outbox-harness "),
        "{}",
        version.out
    );

    let completions = place.run(&["completions", "bash"]);
    assert!(
        completions.out.contains("--until-fail"),
        "{}",
        completions.out
    );
    let manual = place.run(&["man"]);
    assert!(
        manual.out.starts_with(".ie") && manual.out.contains("until"),
        "{}",
        manual.out
    );
    for hidden in [&completions.out, &manual.out] {
        assert!(!hidden.contains("Ends what `run` leaves"), "{hidden}");
    }

    place.refused(2, &[], &["Usage:"]);
    place.refused(2, &["run"], &["SCENARIO"]);
    place.refused(
        2,
        &["run", "x.toml", "--stack", "moon"],
        &["local, docker, external"],
    );
    place.refused(2, &["fly"], &["fly"]);
}

#[test]
fn a_broken_file_shows_file_line_column_the_line_and_a_remedy() {
    let place = Place::new()
        .with("good.toml", GOOD)
        .with("bad.toml", GOOD.replace("\"6s\"", "6"));
    place.refused(
        2,
        &["run", "good.toml", "bad.toml"],
        &[
            "bad.toml:3:12: `duration` is an integer without a unit",
            "3 | duration = 6\n  |            ^",
            "write a duration such as \"4s\" or \"250ms\"",
        ],
    );
}

#[test]
fn errors_of_all_files_are_shown_at_once() {
    let place = Place::new()
        .with("a.toml", GOOD.replace("kafka-server", "kafka-serve"))
        .with("b.toml", GOOD.replace("duration", "duratio"));
    place.refused(
        2,
        &["run", "a.toml", "b.toml", "c.toml"],
        &[
            "a.toml:5:10:",
            "did you mean `kafka-server`?",
            "b.toml:2:1: [workload] has no `duration`",
            "b.toml:3:1: [workload] has no key `duratio`",
            "c.toml: cannot be read",
        ],
    );
}

#[test]
fn what_is_no_scenario_file_is_refused() {
    let place = Place::new()
        .with("steady.toml", GOOD)
        .with("latin1.toml", b"name = \"x\"\n# caf\xe9\n")
        .with("empty.toml", "");
    place.refused(2, &["run", "stead.toml"], &["did you mean ./steady.toml?"]);
    std::fs::create_dir(place.folder.path().join("none")).unwrap();
    place.refused(
        2,
        &["run", "none"],
        &["none: this folder has no scenario files"],
    );
    place.refused(
        2,
        &["run", "latin1.toml"],
        &["latin1.toml:2:6: the file is not UTF-8"],
    );
    place.refused(
        2,
        &["run", "empty.toml"],
        &["has no `name`", "has no `workload`"],
    );
    place.refused(2, &["run", "/dev/zero"], &["is larger than"]);
}

#[test]
fn options_that_cannot_work_are_refused_before_anything_starts() {
    let place = Place::new().with("good.toml", GOOD);
    place.refused(
        2,
        &["run", "good.toml", "--strategy", "three"],
        &["--strategy three", "one, two"],
    );
    place.refused(
        2,
        &[
            "run",
            "good.toml",
            "--json",
            "no/where.json",
            "--junit",
            ".",
        ],
        &[
            "--json no/where.json: there is no folder no",
            "--junit .: this is a folder",
        ],
    );
    place.refused(
        4,
        &["run", "good.toml", "--stack", "docker"],
        &["make docker-engine"],
    );
}

#[test]
fn given_a_stack_that_cannot_be_used_when_run_then_every_strategy_is_an_error_in_junit() {
    // Given two files with one scenario name, and no engine for the stack
    let place = Place::new().with("a.toml", GOOD).with("b.toml", GOOD);
    let files = ["run", "a.toml", "b.toml", "--stack", "docker"];
    let written = ["--junit", "j.xml", "--json", "j.json"];
    // When it is run
    let said = place.run(&[&files[..], &written].concat());
    // Then nothing was, and the files say so of each strategy of each file
    assert_eq!((said.code, said.out.as_str()), (Some(4), ""));
    let read = |name: &str| std::fs::read_to_string(place.folder.path().join(name)).unwrap();
    let junit = read("j.xml");
    assert_eq!(junit.matches("<error").count(), 4, "{junit}");
    assert!(junit.contains("make docker-engine"), "{junit}");
    let mut classes: Vec<&str> = junit
        .split("classname=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    classes.sort_unstable();
    classes.dedup();
    assert_eq!(classes.len(), 4, "{classes:?}");
    let records: Vec<reports::record::Record> = serde_json::from_str(&read("j.json")).unwrap();
    for record in &records {
        let names: Vec<&str> = record.not_run.iter().map(|s| &*s.strategy).collect();
        assert_eq!(names, ["one", "two"]);
    }
    assert_ne!(records[0].run, records[1].run);
}

#[test]
fn somebody_elses_servers_are_not_killed() {
    let place = Place::new().with("good.toml", GOOD);
    place.refused(
        2,
        &["run", "good.toml", "--stack", "external"],
        &[
            "good.toml:5:10: kill on kafka-server is impossible with --stack external",
            "--external external.toml: there is no such file",
        ],
    );
}

#[test]
fn somebody_elses_servers_are_not_given_a_standby() {
    let asks =
        format!("{GOOD}[stack]\nsynchronous_standby = true\n").replace("kafka-server", "relay");
    let place = Place::new().with("good.toml", &asks);
    place.refused(
        2,
        &["run", "good.toml", "--stack", "external"],
        &[
            "`synchronous_standby` is impossible with --stack external",
            "--stack local",
        ],
    );
}

#[test]
fn check_and_report_want_the_folder_of_a_run() {
    let place = Place::new();
    for command in ["check", "report"] {
        place.refused(
            2,
            &[command, "nowhere"],
            &["nowhere: there is no such folder"],
        );
    }
}

#[test]
fn list_explains_everything_that_can_be_named() {
    let place = Place::new();
    let said = place.run(&["list", "--scenarios", scenarios().to_str().unwrap()]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    for word in [
        "broker-outage",
        "Kafka is unreachable for 4 s under steady load.",
        "down on kafka from 4s to 8s",
        "dual-write",
        "polling",
        "cdc",
        "slow_close",
        "limit_data",
        "when = { backlog = 500 }",
        "phantom",
        "double_applied",
    ] {
        assert!(said.out.contains(word), "`{word}` is not in:\n{}", said.out);
    }
    assert!(
        !said.out.contains('\u{1b}'),
        "no colours where there is no terminal"
    );
}

#[test]
fn list_gives_the_same_as_json_with_an_example_of_each() {
    let place = Place::new();
    let said = place.run(&[
        "list",
        "--json",
        "--scenarios",
        scenarios().to_str().unwrap(),
    ]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let list: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    for group in ["strategies", "targets", "faults", "triggers", "metrics"] {
        let rows = list[group].as_array().unwrap();
        assert!(rows.len() > 4, "{group}: {rows:?}");
        for row in rows {
            let said = |key: &str| row[key].as_str().is_some_and(|text| !text.is_empty());
            assert!(said("name") && said("what") && said("example"), "{row}");
        }
    }
    let outage = list["scenarios"].as_array().unwrap();
    let outage = outage
        .iter()
        .find(|s| s["name"] == "broker-outage")
        .unwrap();
    assert_eq!(outage["duration_s"], 12.0);
    assert_eq!(outage["strategies"][0]["kind"], "dual-write");
}

#[test]
fn list_shows_what_is_wrong_with_a_file_and_lists_the_rest() {
    let place = Place::new()
        .with("good.toml", GOOD)
        .with("bad.toml", "name = \"bad\"\n");
    let said = place.run(&["list", "--scenarios", "."]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.out
            .contains("6s at 500/s through one (cdc), two (polling)"),
        "{}",
        said.out
    );
    assert!(
        said.err
            .contains("bad.toml:1:1: the file has no `workload`"),
        "{}",
        said.err
    );
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    // Given a pipe that nobody reads any more
    let place = Place::new();
    for args in [&["list"][..], &["--help"], &["run", "--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        // When results are written to it
        let output = place.command(args).stdout(writer).output().unwrap();
        // Then the program ends as if they had been read
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {err}");
        assert!(!err.contains("panicked"), "{err}");
    }
}

#[test]
fn children_say_what_is_wrong_with_their_configuration() {
    let place = Place::new().with("config.json", "{}");
    for child in ["order-service", "relay"] {
        place.refused(2, &[child], &["--config"]);
        place.refused(
            2,
            &[child, "--config", "nowhere.json"],
            &["nowhere.json: cannot be read"],
        );
        place.refused(
            2,
            &[child, "--config", "config.json"],
            &["config.json: missing field"],
        );
    }
}

#[test]
fn given_strategies_with_one_topic_when_the_stack_is_to_be_kept_then_they_are_refused_and_one_alone_is_not()
 {
    let relay = "name = \"r\"\nversion = \"1\"\n[outbox]\nddl = [\"create table outbox (id uuid, payload text)\"]\n\
         insert = [\"insert into outbox values (${event_id}::uuid, ${payload})\"]\n[relay]\ncommand = [\"true\"]\nready = { log = \"up\" }\n\
         [event]\ntopics = [\"orders\"]\n";
    let two = "name = \"two\"\n[workload]\nduration = \"6s\"\n[strategy.one]\nkind = \"external\"\nrelay = \"relay.toml\"\n\
         [strategy.other]\nkind = \"external\"\nrelay = \"relay.toml\"\n";
    let place = Place::new().with("relay.toml", relay).with("two.toml", two);
    let kept = ["run", "two.toml", "--list", "--keep-stack"];
    let said = "two.toml: one and other publish to the same topic, orders";
    place.refused(2, &kept, &[said, "--strategy one"]);
    for allowed in [&kept[..3], &[&kept[..], &["--strategy", "one"]].concat()] {
        let said = place.run(allowed);
        assert_eq!(said.code, Some(0), "{allowed:?}: {}", said.err);
    }
}

#[test]
fn given_a_bad_relay_file_that_two_strategies_name_then_its_errors_are_told_once() {
    let place = Place::new().with("relay.toml", "name = \"r\"\n").with(
        "two.toml",
        "name = \"two\"\n[workload]\nduration = \"6s\"\n[strategy.one]\nkind = \"external\"\n\
         relay = \"relay.toml\"\n[strategy.other]\nkind = \"external\"\nrelay = \"relay.toml\"\n",
    );
    let said = place.run(&["run", "two.toml"]);
    assert_eq!(said.code, Some(2));
    let times = |what: &str| said.err.matches(what).count();
    assert_eq!(times("has errors: see below"), 2, "{}", said.err);
    assert_eq!(
        times("relay.toml:1:1: the file has no `relay`"),
        1,
        "{}",
        said.err
    );
}
