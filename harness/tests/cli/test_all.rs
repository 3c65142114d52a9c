//! `make test-all`: it makes every part that there is, and ends with what failed and what was not done.

use super::scripts::{code, top};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Has `.ci/all` call a make that notes what it is asked for, names two tests as not done, and fails at these parts:
/// whether it ended well, what it made, and what it said.
fn made(failing: &str) -> (bool, Vec<String>, String) {
    let folder = tempfile::tempdir().unwrap();
    let (make, asked) = (folder.path().join("make"), folder.path().join("asked"));
    let script = "#!/bin/sh\necho \"$1 $OUTBOX_HARNESS_ALL\" >>\"$ASKED\"\n\
        echo 'NOT DONE: a: is run by `make test-scenarios`' >>\"$OUTBOX_HARNESS_TESTS_NOT_DONE\"\n\
        echo 'NOT DONE: b: there is no browser' >>\"$OUTBOX_HARNESS_TESTS_NOT_DONE\"\n\
        case \" $FAILING \" in *\" $1 \"*) exit 2 ;; esac\n";
    std::fs::write(&make, script).unwrap();
    std::fs::set_permissions(&make, PermissionsExt::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let output = Command::new(top().join(".ci/all"))
        .env("PATH", format!("{}:{path}", folder.path().display()))
        .env("ASKED", &asked)
        .env("FAILING", failing)
        .output()
        .unwrap();
    let asked = std::fs::read_to_string(asked).unwrap();
    let asked = asked.lines().map(str::to_owned).collect();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), asked, said)
}

#[test]
fn given_everything_when_all_is_tested_then_each_part_is_made_once_and_what_was_not_done_is_said() {
    let (passed, asked, said) = made("");
    assert!(passed, "{said}");
    let parts: BTreeSet<String> = asked
        .iter()
        .map(|asked| asked.strip_suffix(" 1").unwrap().to_owned())
        .collect();
    assert_eq!(parts.len(), asked.len(), "{asked:?}");
    // Each target of the Makefile that tests something is among them
    let makefile = code("Makefile");
    let targets = makefile.iter().filter_map(|line| line.split_once(':'));
    let targets: BTreeSet<String> = targets
        .map(|(target, _)| target)
        .filter(|target| target.starts_with("test") || *target == "claims")
        .filter(|target| *target != "test-all")
        .map(str::to_owned)
        .collect();
    assert_eq!(parts, targets);
    // What another part was asked for was done by that one
    let left = "these were not done here:\nNOT DONE: b: there is no browser\n";
    assert!(said.contains(left), "{said}");
    assert!(!said.contains("NOT DONE: a"), "{said}");
}

#[test]
fn given_parts_that_fail_when_all_is_tested_then_the_rest_is_tested_too_and_they_are_named() {
    let (passed, asked, said) = made("test test-relays");
    assert!(!passed, "{said}");
    assert_eq!(asked.last().unwrap(), "claims 1");
    assert!(said.contains("these failed: test test-relays\n"), "{said}");
}
