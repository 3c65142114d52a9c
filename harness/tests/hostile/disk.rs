//! A run folder that cannot be written: full from the beginning, full in the middle of the load, or
//! limited for this user. The error says what, where and what to do; nothing is left on the stack,
//! and nothing half-written is taken for a history.

use super::not_done::not_done;
use super::turn::{Turn, beside_another};
use super::{
    Ended, HARNESS, POLLING, Run, SHORT, command, command_on_theirs, nothing_left, open, process,
    run, theirs,
};
use crate::patience::PATIENCE;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FULL: &str = "No space left on device (os error 28): make room on that file system, or choose a folder on another one (--out DIR)";

/// A small file system under `home/runs`, in a mount namespace of its own: only what is entered
/// into that sees it, and it goes with its holder.
struct Tiny {
    home: tempfile::TempDir,
    holder: Child,
}

impl Tiny {
    /// `None` where this user may mount nothing: then the test is named as not done.
    fn new(size: &str) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let runs = home.path().join("runs");
        std::fs::create_dir(&runs).unwrap();
        // By the environment, so that the holder does not look like a process of the run.
        let script = r#"mount -t tmpfs -o size="$SIZE" none "$RUNS" && echo mounted && read -r _"#;
        let mut holder = Command::new("unshare")
            .args(["-m", "sh", "-c", script])
            .env("SIZE", size)
            .env("RUNS", &runs)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(holder.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        if line.trim() == "mounted" {
            return Some(Self { home, holder });
        }
        holder.wait().unwrap();
        not_done("this user may mount no file system");
        None
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    /// The file system, as seen from outside.
    fn view(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.home().strip_prefix("/").unwrap())
            .join("runs")
    }

    /// The same command, inside.
    fn enter(&self, command: &Command) -> Command {
        let mut entered = Command::new("nsenter");
        entered
            .args(["-m", "-t", &self.holder.id().to_string(), "--"])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                entered.env(name, value);
            }
        }
        entered
    }

    /// Leaves not a byte.
    fn fill(&self) {
        let mut filler = std::fs::File::create(self.view().join("filler")).unwrap();
        for size in [4096, 1] {
            let block = vec![b'x'; size];
            while filler.write_all(&block).is_ok() {}
        }
    }

    fn run_folder(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.view()).unwrap();
        let mut folders = entries.map(|e| e.unwrap().path()).filter(|p| p.is_dir());
        folders.next().unwrap()
    }

    /// `check` on the one run.
    fn check(&self) -> Ended {
        let name = self.run_folder().file_name().unwrap().to_owned();
        let mut check = Command::new(HARNESS);
        check.arg("check").arg(self.home().join("runs").join(name));
        run(self.enter(&check))
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        // Its standard input closes with it.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[test]
fn given_a_full_disk_when_run_then_what_cannot_be_written_is_named() {
    let turn = beside_another();
    let Some(tiny) = Tiny::new("1m") else { return };
    let before = inventory(&turn);
    tiny.fill();

    let ended = run(tiny.enter(&command_on_theirs(&turn, tiny.home(), SHORT)));

    ended.with(4, &["writing ", "/config/polling.", FULL]);
    until_as_found(&turn, &before);
    nothing_left(tiny.home());
}

#[test]
fn given_a_load_when_the_disk_fills_up_then_there_is_no_history_and_nothing_is_left() {
    let turn = beside_another();
    let Some(tiny) = Tiny::new("2m") else { return };
    let before = inventory(&turn);
    let mut under_way = Run::start(tiny.enter(&command_on_theirs(&turn, tiny.home(), POLLING)));
    under_way.until_said("load:");
    tiny.fill();

    let ended = under_way.end();

    // The system under test went on: everything was offered and the fence held.
    ended.with(
        4,
        &["fence 8", "saving the history: ", "/history/polling", FULL],
    );
    assert!(ended.err.contains("800 of 800 sent"), "{}", ended.err);
    assert_eq!(ended.out, "");
    until_as_found(&turn, &before);
    nothing_left(tiny.home());
    assert_eq!(half_files(&tiny.run_folder()), Vec::<PathBuf>::new());
    tiny.check()
        .with(4, &["loading the history", "holds no complete history"]);
}

#[test]
fn given_a_local_stack_when_its_disk_fills_up_then_the_stack_failed() {
    let _turn = beside_another();
    let Some(tiny) = Tiny::new("96m") else { return };
    let mut under_way = Run::start(tiny.enter(&command(tiny.home(), POLLING)));
    under_way.until_said("load:");
    tiny.fill();

    let ended = under_way.end();

    ended.with(
        4,
        &[
            "the stack failed: ",
            " was to run until it is told to end: it ",
        ],
    );
    nothing_left(tiny.home());
    assert!(!tiny.run_folder().join("stack").exists());
}

/// What was not done must be read somewhere, or nobody misses it.
#[test]
fn given_a_user_who_may_mount_nothing_when_disks_are_to_be_filled_then_each_test_is_named_as_not_done()
 {
    let home = tempfile::tempdir().unwrap();
    let unshare = home.path().join("unshare");
    std::fs::write(&unshare, "#!/bin/sh\nexit 1\n").unwrap();
    open(&unshare);
    let list = home.path().join("not-done");
    let tests = [
        "disk::given_a_full_disk_when_run_then_what_cannot_be_written_is_named",
        "disk::given_a_load_when_the_disk_fills_up_then_there_is_no_history_and_nothing_is_left",
        "disk::given_a_local_stack_when_its_disk_fills_up_then_the_stack_failed",
    ];

    let output = Command::new(std::env::current_exe().unwrap())
        .arg("--exact")
        .args(tests)
        .env("PATH", format!("{}:/usr/bin:/bin", home.path().display()))
        .env("OUTBOX_HARNESS_TESTS_NOT_DONE", &list)
        .output()
        .unwrap();

    let named = std::fs::read_to_string(&list).unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{output:?}");
    for test in tests {
        let line = format!("NOT DONE: {test}: this user may mount no file system\n");
        assert!(
            named.contains(&line) && said.contains(&line),
            "{test}: {named}{said}"
        );
    }
}

#[test]
fn given_a_limit_on_files_when_run_then_it_is_named_and_the_system_under_test_goes_on() {
    let turn = beside_another();
    let home = tempfile::tempdir().unwrap();
    let before = inventory(&turn);
    let inner = command_on_theirs(&turn, home.path(), SHORT);
    // 4 KiB, of which the logs of the children are soon in need: they say everything.
    let script = r#"trap "" XFSZ; ulimit -f 8; exec "$0" "$@""#;
    let mut limited = Command::new("sh");
    limited.args(["-c", script]).arg(inner.get_program());
    limited
        .args(inner.get_args())
        .env("RUST_LOG", "warn,relays=trace,sqlx=debug");

    let ended = run(limited);

    let why = "File too large (os error 27): raise this user's limit (quota, `ulimit -f`)";
    ended.with(
        4,
        &[
            "400 of 400 sent",
            "fence 8",
            "saving the history: writing ",
            why,
        ],
    );
    until_as_found(&turn, &before);
    nothing_left(home.path());
    let folder = super::run_folder(home.path());
    assert_eq!(half_files(&folder), Vec::<PathBuf>::new());
    let mut check = Command::new(HARNESS);
    check.arg("check").arg(folder);
    run(check).with(4, &["holds no complete history"]);
}

#[test]
fn given_an_out_that_is_a_file_when_run_then_it_is_named() {
    let _turn = beside_another();
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("runs"), "").unwrap();

    let ended = run(command(home.path(), SHORT));

    ended.with(4, &["making the run's folder under ", "/runs: "]);
}

#[test]
fn given_a_reader_that_has_gone_when_the_harness_is_killed_then_its_reaper_still_does_its_work() {
    let _turn = beside_another();
    let home = tempfile::tempdir().unwrap();
    // Given a run whose standard error leads to nobody, and a stack of its own.
    let (nobody, stderr) = std::io::pipe().unwrap();
    let mut harness = command(home.path(), POLLING)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap();
    process(home.path(), "order-service");
    drop(nobody);

    harness.kill().unwrap();
    harness.wait().unwrap();

    // Then every process and the stack's data go all the same.
    let deadline = Instant::now() + PATIENCE;
    let stack = super::run_folder(home.path()).join("stack");
    while stack.exists() {
        assert!(
            Instant::now() < deadline,
            "{} is still there",
            stack.display()
        );
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    nothing_left(home.path());
}

/// Files that were begun and not finished.
fn half_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(half_files(&path));
        } else if path.extension().is_some_and(|e| e == "outbox-harness-half") {
            found.push(path);
        }
    }
    found
}

/// Waits until nothing is there but what was there before: a broker lists a topic for a moment after it
/// has said that it is deleted.
fn until_as_found(turn: &Turn, before: &[String]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = inventory(turn);
        if found == before {
            return;
        }
        assert!(Instant::now() < deadline, "{found:?} instead of {before:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What is on somebody's stack.
fn inventory(turn: &Turn) -> Vec<String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(super::theirs::inventory(theirs(turn).stack.info()))
}
