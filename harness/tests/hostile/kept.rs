//! A stack that is kept: it can be run on, and it is stopped as it was said.

use super::turn::alone;
use super::{POLLING, SHORT, command, nothing_left, run, run_folder, secrets};
use std::process::Command;

#[test]
fn given_a_kept_stack_when_it_was_run_on_and_stopped_as_said_then_nothing_is_left() {
    let _turn = alone();
    let home = tempfile::tempdir().unwrap();
    let mut keep = command(home.path(), SHORT);
    let kept = run({
        keep.arg("--keep-stack");
        keep
    });
    kept.passed(
        home.path(),
        &["kept until the next run on this stack: schema oh_"],
    );
    let folder = run_folder(home.path());
    // What tells others how to connect is for its owner.
    assert_eq!(
        secrets::files_with_passwords(&folder),
        [
            "config/polling.order-service.json",
            "config/polling.relay.json",
            "external.toml"
        ]
    );
    let file = folder.join("external.toml");

    // When a run with proxies follows on it
    let other = tempfile::tempdir().unwrap();
    let mut again = command(other.path(), POLLING);
    again.args(["--stack", "external", "--external"]).arg(file);
    let dropped = ["dropped schema or database oh_", "dropped topic oh."];
    run(again).passed(other.path(), &dropped);

    // And when it is stopped
    let (_, how) = kept.err.split_once("  stop it     ").unwrap();
    let how = how.lines().next().unwrap();
    let stopped = Command::new("sh").args(["-c", how]).status().unwrap();
    assert!(stopped.success(), "{how}");
    nothing_left(home.path());
}
