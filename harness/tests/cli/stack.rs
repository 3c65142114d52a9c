//! `stack`, as far as it needs no servers: what is said of a folder in each of its states.

use super::{GOOD, Place, Said};
use harness::process::tree::{self, ProcessId};
use harness::stack::kept::KeptFolder;
use harness::stack::kept::lock::KeeperLock;
use harness::stack::kept::state::{self, KeptState};
use std::path::{Path, PathBuf};
use std::process::Command;

const LINK: &str = "\
name = \"good\"
[workload]
duration = \"6s\"
[strategy.one]
kind = \"cdc\"
";

fn kept(place: &Place) -> KeptFolder {
    let folder = place.folder.path().join("kept");
    std::fs::create_dir_all(&folder).unwrap();
    KeptFolder::at(&folder)
}

/// `outbox-harness stack` of the folder.
fn stack(place: &Place, args: &[&str]) -> Said {
    place.run(&[&["stack"], args, &["--at", "kept"]].concat())
}

/// What this keeper writes when its stack is up.
fn write_state(folder: &KeptFolder, keeper: ProcessId) {
    let state = KeptState::new(
        keeper,
        "2026-11-29T21:00:00Z".into(),
        "0.1.0".into(),
        PathBuf::new(),
    );
    state::write(&folder.state_file(), &state).unwrap();
}

#[test]
fn given_no_stack_when_asked_for_then_each_command_says_so_in_its_own_way() {
    let place = Place::new().with("link.toml", LINK);
    let none = stack(&place, &["status"]);
    assert_eq!(none.code, Some(3), "{}", none.err);
    assert!(
        none.out.starts_with("no stack is kept in /"),
        "{}",
        none.out
    );
    assert!(none.out.contains("outbox-harness stack up"), "{}", none.out);

    let json = stack(&place, &["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["condition"], "down");
    assert_eq!(json["used_by"], serde_json::Value::Null);

    let down = stack(&place, &["down"]);
    assert_eq!(down.code, Some(0), "{}", down.err);
    assert!(
        down.out.starts_with("no stack was kept in /"),
        "{}",
        down.out
    );

    place.refused(
        4,
        &["run", "link.toml", "--stack", "kept", "--kept", "kept"],
        &["none is up; `outbox-harness stack up` starts it"],
    );
    // And no folder was made for it
    assert!(!place.folder.path().join("kept").exists());
}

#[test]
fn given_the_files_of_a_keeper_that_was_killed_then_it_is_said_and_they_are_removed() {
    let place = Place::new().with("link.toml", LINK);
    let folder = kept(&place);
    write_state(&folder, ProcessId { pid: 1, start: 0 });
    std::fs::write(folder.stack_file(), "").unwrap();

    let status = stack(&place, &["status"]);
    assert_eq!(status.code, Some(3), "{}", status.err);
    assert!(
        status.out.contains("its keeper was killed"),
        "{}",
        status.out
    );
    place.refused(
        4,
        &["run", "link.toml", "--stack", "kept", "--kept", "kept"],
        &["none is up"],
    );
    let down = stack(&place, &["down"]);
    assert_eq!(down.code, Some(0), "{}", down.err);
    assert!(down.out.contains("had left is removed"), "{}", down.out);
    assert!(!folder.state_file().exists() && !folder.stack_file().exists());
}

#[test]
fn given_a_keeper_that_is_still_starting_or_of_another_version_then_neither_is_taken_for_one_that_is_up()
 {
    let place = Place::new().with("link.toml", LINK);
    let folder = kept(&place);
    // A process that only sleeps plays the keeper: it would not survive a `down`
    let _lock = KeeperLock::take(&folder.lock_file()).unwrap().unwrap();
    let mut keeper = Command::new("sleep").arg("600").spawn().unwrap();
    let process = tree::find(i32::try_from(keeper.id()).unwrap()).unwrap();
    let named = serde_json::to_vec(&process.id).unwrap();
    std::fs::write(folder.lock_file(), named).unwrap();
    let status = stack(&place, &["status"]);
    assert_eq!(status.code, Some(3), "{}", status.err);
    assert!(
        status.out.contains("being started or stopped"),
        "{}",
        status.out
    );
    let run = ["run", "link.toml", "--stack", "kept", "--kept", "kept"];
    place.refused(4, &run, &["just being started or stopped"]);

    std::fs::write(folder.state_file(), "{\"format\": 0}").unwrap();
    let status = stack(&place, &["status"]);
    assert_eq!(status.code, Some(4), "{}", status.err);
    let said = "cannot be used (another version of this program started it";
    assert!(status.out.contains(said), "{}", status.out);
    place.refused(4, &run, &["another version of this program started it"]);
    let up = stack(&place, &["up", "--programs", "."]);
    assert_eq!(up.code, Some(4), "{}", up.out);
    assert!(up.err.contains("another version"), "{}", up.err);
    // One that is not known to be unused is not ended
    let down = stack(&place, &["down"]);
    assert_eq!(down.code, Some(4), "{}", down.out);
    assert!(down.err.contains("cannot be told"), "{}", down.err);
    assert!(down.err.contains("stack down --force"), "{}", down.err);
    assert!(keeper.try_wait().unwrap().is_none());
    keeper.kill().unwrap();
    keeper.wait().unwrap();
}

#[test]
fn given_a_keeper_whose_servers_do_not_answer_then_it_is_neither_up_already_nor_up() {
    let place = Place::new();
    let folder = kept(&place);
    // This process plays the keeper
    let lock = KeeperLock::take(&folder.lock_file()).unwrap().unwrap();
    write_state(&folder, lock.holder());
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../external.toml");
    let example = std::fs::read_to_string(example).unwrap();
    assert!(example.contains("port = 15432"));
    let nobody_listens = example.replace("port = 15432", "port = 1");
    std::fs::write(folder.stack_file(), nobody_listens).unwrap();

    let up = stack(&place, &["up", "--programs", "."]);
    assert_eq!(up.code, Some(4), "{}", up.out);
    let said = "one is up that cannot be used (use PostgreSQL at 127.0.0.1:1: ";
    assert!(up.err.contains(said), "{}", up.err);
    assert!(up.err.contains("outbox-harness stack down"), "{}", up.err);

    let status = stack(&place, &["status"]);
    assert_eq!(status.code, Some(4), "{}", status.err);
    let said = "cannot be used (use PostgreSQL at 127.0.0.1:1: ";
    assert!(status.out.contains(said), "{}", status.out);
}

#[test]
fn given_a_dead_keepers_files_when_another_has_the_lock_then_it_is_not_taken_for_one_that_is_up() {
    let place = Place::new().with("link.toml", LINK);
    let folder = kept(&place);
    write_state(&folder, ProcessId { pid: 1, start: 0 });
    let _lock = KeeperLock::take(&folder.lock_file()).unwrap().unwrap();
    let status = stack(&place, &["status"]);
    assert_eq!(status.code, Some(3), "{}", status.out);
    assert!(
        status.out.contains("being started or stopped"),
        "{}",
        status.out
    );
    place.refused(
        4,
        &["run", "link.toml", "--stack", "kept", "--kept", "kept"],
        &["just being started or stopped"],
    );
}

#[test]
fn the_servers_of_a_kept_stack_are_neither_killed_nor_given_a_standby() {
    let asks = format!("{GOOD}[stack]\nsynchronous_standby = true\n");
    let place = Place::new().with("good.toml", &asks);
    place.refused(
        2,
        &["run", "good.toml", "--stack", "kept"],
        &[
            "good.toml:5:10: kill on kafka-server is impossible with --stack kept: a kept stack is used",
            "`synchronous_standby` is impossible with --stack kept",
            "run this scenario with --stack local",
        ],
    );
}
