//! Supervised children: readiness, signals, pause, kill, and nothing left behind.

use crate::patience::PATIENCE;
use crate::{HARNESS, reaper};
use futures::FutureExt;
use harness::clock::RunClock;
use harness::history::Life;
use harness::process::reaper::Reaper;
use harness::process::tree::{self, ProcessId, Snapshot};
use harness::process::{Child, ChildSpec, Ready};
use relays::signal::Signal;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const READY_LINE: &str = r#"echo '{"monotonic_ns":1,"signal":"ready"}'"#;

fn shell(folder: &Path, script: &str) -> ChildSpec {
    ChildSpec {
        name: "child".into(),
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: Vec::new(),
        user: None,
        folder: Some(folder.to_owned()),
        log: folder.join("child.log"),
        ready: Ready::Signal,
        ready_within: PATIENCE,
    }
}

/// Waits until a condition holds.
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether exactly this process still lives.
pub fn lives(id: ProcessId) -> bool {
    tree::find(id.pid).is_some_and(|p| p.id == id && p.lives())
}

/// The processes behind these pids now.
pub fn identify(pids: &[u32]) -> Vec<ProcessId> {
    let found = pids.iter().filter_map(|pid| tree::find(*pid as i32));
    found.map(|process| process.id).collect()
}

fn lives_of(child: &Child, since: &RunClock) -> Vec<(Life, i32)> {
    let events = child.events(since);
    events.iter().map(|e| (e.life, e.exit)).collect()
}

#[tokio::test]
async fn a_child_is_ready_when_it_says_so_and_its_signals_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let clock = RunClock::start();
    let script = format!("echo noise; {READY_LINE}; exec sleep 60");

    let child = Child::start(shell(folder.path(), &script), &reaper())
        .await
        .unwrap();

    assert!(child.is_alive());
    assert_eq!(child.signals()[0].signal, Signal::Ready);
    assert_eq!(
        lives_of(&child, &clock),
        [(Life::Started, 0), (Life::Ready, 0)]
    );
    let log = std::fs::read_to_string(folder.path().join("child.log")).unwrap();
    assert_eq!(log, "noise\n");
}

#[tokio::test]
async fn a_failing_start_shows_the_end_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let started = Child::start(
        shell(folder.path(), "echo no such disk >&2; exit 7"),
        &reaper(),
    )
    .await;
    let error = started.err().unwrap().to_string();
    assert!(error.contains("exited with code 7"), "{error}");
    assert!(error.ends_with("no such disk"), "{error}");
}

#[tokio::test]
async fn a_child_that_is_never_ready_is_given_up_and_killed() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let mut spec = shell(folder.path(), "echo $$ > pid; exec sleep 60");
    spec.ready = Ready::Answers(Arc::new(|| async { Err("not yet".to_owned()) }.boxed()));
    spec.ready_within = Duration::from_millis(300);

    let error = Child::start(spec, &reaper()).await.err().unwrap();

    let said = "it was not ready within 300ms: the last answer was: not yet";
    assert!(error.to_string().contains(said), "{error}");
    let pid: i32 = std::fs::read_to_string(pid_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(tree::find(pid).is_none_or(|p| !p.lives()));
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = shell(folder.path(), "");
    spec.program = "/nonexistent/program".into();
    let error = Child::start(spec, &reaper()).await.err().unwrap();
    assert!(error.to_string().contains("/nonexistent/program"));
}

#[tokio::test]
async fn a_kill_takes_the_whole_tree_and_a_restart_is_a_new_life() {
    let folder = tempfile::tempdir().unwrap();
    let clock = RunClock::start();
    let script = format!("setsid sleep 60 & sleep 60 & {READY_LINE}; wait");
    let child = Child::start(shell(folder.path(), &script), &reaper())
        .await
        .unwrap();
    eventually("the tree is complete", || child.tree().len() == 3);
    let tree = identify(&child.tree());

    child.kill().await.unwrap();

    assert!(!child.is_alive());
    assert!(tree.iter().all(|id| tree::find(id.pid).is_none()), "reaped");
    child.restart().await.unwrap();
    assert!(child.is_alive());
    assert_eq!(
        lives_of(&child, &clock),
        [
            (Life::Started, 0),
            (Life::Ready, 0),
            (Life::Exited, 9),
            (Life::Started, 0),
            (Life::Ready, 0)
        ]
    );
}

#[tokio::test]
async fn a_death_nobody_ordered_is_seen_and_its_orphans_do_not_survive_a_restart() {
    // Given a child whose own child is in another session and runs the same program.
    let folder = tempfile::tempdir().unwrap();
    let clock = RunClock::start();
    let script = format!("setsid sh -c 'sleep 60; :' & {READY_LINE}; wait");
    let child = Child::start(shell(folder.path(), &script), &reaper())
        .await
        .unwrap();
    eventually("the tree is complete", || child.tree().len() == 3);
    let tree = identify(&child.tree());

    // And another child of that program in that folder, as order service and relay are, which has an orphan as well.
    let left = folder.path().join("left");
    let script = format!(
        "(setsid sh -c 'echo $$ >{}; sleep 60; :' &); {READY_LINE}; sleep 60; :",
        left.display()
    );
    let other = Child::start(shell(folder.path(), &script), &reaper())
        .await
        .unwrap();
    let pid = || -> Option<u32> { std::fs::read_to_string(&left).ok()?.trim().parse().ok() };
    eventually("there is an orphan of it", || {
        let found = pid().and_then(|pid| tree::find(i32::try_from(pid).ok()?));
        found.map(|p| p.parent) == i32::try_from(std::process::id()).ok()
    });
    let orphan_of_other = identify(&[pid().unwrap()])[0];

    // When the root alone is killed by somebody else.
    tree::send(tree[0], nix::sys::signal::Signal::SIGKILL);
    eventually("the death is noticed", || !child.is_alive());

    // Then the orphan still lives, until the restart.
    assert_eq!(lives_of(&child, &clock).last(), Some(&(Life::Exited, 9)));
    assert_eq!(child.own_end().unwrap().how, "was ended by signal 9");
    assert!(lives(tree[1]));
    child.restart().await.unwrap();
    assert!(!tree.iter().any(|id| lives(*id)));
    assert!(other.is_alive() && lives(orphan_of_other));
    other.kill().await.unwrap();
    assert!(!lives(orphan_of_other));
}

#[tokio::test]
async fn a_pause_stops_every_process_until_it_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let clock = RunClock::start();
    let script = format!("(while :; do :; done) & {READY_LINE}; wait");
    let child = Child::start(shell(folder.path(), &script), &reaper())
        .await
        .unwrap();
    eventually("the tree is complete", || child.tree().len() == 2);
    let tree = identify(&child.tree());

    child.pause().await.unwrap();

    let states: Vec<u8> = tree
        .iter()
        .map(|id| tree::find(id.pid).unwrap().state)
        .collect();
    assert_eq!(states, [b'T', b'T']);
    child.resume().await.unwrap();
    eventually("it runs again", || {
        tree.iter()
            .all(|id| tree::find(id.pid).unwrap().state != b'T')
    });
    let seen = lives_of(&child, &clock);
    assert_eq!(seen[2..], [(Life::Paused, 0), (Life::Resumed, 0)]);
}

#[tokio::test]
async fn a_polite_child_goes_by_itself_and_a_deaf_one_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let polite = format!("trap 'exit 3' TERM; {READY_LINE}; while :; do sleep 0.01; done");
    let deaf = format!("trap '' TERM; {READY_LINE}; while :; do sleep 0.01; done");
    let clock = RunClock::start();

    let polite = Child::start(shell(folder.path(), &polite), &reaper())
        .await
        .unwrap();
    let deaf = Child::start(shell(folder.path(), &deaf), &reaper())
        .await
        .unwrap();
    deaf.pause().await.unwrap();
    polite.pause().await.unwrap();

    assert!(polite.terminate(Duration::from_secs(10)).await.unwrap());
    assert!(!deaf.terminate(Duration::from_millis(200)).await.unwrap());
    let last = |child: &Child| lives_of(child, &clock).last().copied();
    assert_eq!(last(&polite), Some((Life::Exited, -4)));
    assert_eq!(last(&deaf), Some((Life::Exited, 9)));
    assert_eq!((polite.own_end(), deaf.own_end()), (None, None));
}

#[tokio::test]
async fn what_a_child_said_last_is_known_when_its_end_is() {
    let folder = tempfile::tempdir().unwrap();
    // One that ends at once was never started.
    let told = "until [ -e told ]; do sleep 0.01; done";
    let script = format!("{READY_LINE}; {told}; seq 100000 >&2; echo no more >&2; exit 7");
    let child = Child::start(shell(folder.path(), &script), &reaper())
        .await
        .unwrap();

    std::fs::write(folder.path().join("told"), "").unwrap();
    let end = child.ends_by_itself().await.to_string();

    assert!(
        end.starts_with("child: run until it is told to end: it exited with code 7\n---"),
        "{end}"
    );
    assert!(end.ends_with("\n99999\n100000\nno more"), "{end}");
    eventually("it counts as dead", || child.death().is_some());
    let death = child.death().unwrap();
    assert!(
        death.starts_with("child ended by itself: it exited with code 7; "),
        "{death}"
    );
    assert!(death.ends_with("child.log ends with: no more"), "{death}");
}

#[tokio::test]
async fn the_last_clone_takes_the_tree_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("sleep 60 & {READY_LINE}; wait");
    let child = Child::start(shell(folder.path(), &script), &reaper())
        .await
        .unwrap();
    eventually("the tree is complete", || child.tree().len() == 2);
    let tree = identify(&child.tree());
    let clone = child.clone();

    drop(child);
    assert!(clone.is_alive());
    drop(clone);

    assert!(!tree.iter().any(|id| lives(*id)));
}

#[tokio::test]
async fn what_was_let_go_outlives_harness_and_reaper() {
    let folder = tempfile::tempdir().unwrap();
    let reaper = Arc::new(Reaper::start_with(Path::new(HARNESS)).unwrap());
    let script = format!("{READY_LINE}; exec sleep 60");
    let kept = Child::start(shell(folder.path(), &script), &reaper)
        .await
        .unwrap();
    let kept_id = identify(&kept.tree())[0];
    kept.let_go().unwrap();

    drop(kept);
    drop(reaper);

    assert!(lives(kept_id));
    tree::send(kept_id, nix::sys::signal::Signal::SIGKILL);
}

/// Set for the process that plays the harness in the test below.
const PLAY_HARNESS: &str = "OUTBOX_HARNESS_TEST_PLAY_HARNESS";

/// Not a test by itself: starts children, pauses one, says so, and waits to be killed.
#[tokio::test]
async fn play_a_harness_with_children() {
    let Some(folder) = std::env::var_os(PLAY_HARNESS) else {
        return;
    };
    let folder = Path::new(&folder);
    let reaper = reaper();
    let script = format!("setsid sleep 60 & {READY_LINE}; wait");
    let spec = shell(folder, &script);
    let running = Child::start(spec.clone(), &reaper).await.unwrap();
    let paused = Child::start(spec, &reaper).await.unwrap();
    paused.pause().await.unwrap();
    eventually("the trees are complete", || {
        running.tree().len() == 2 && paused.tree().len() == 2
    });
    println!("up");
    std::future::pending().await
}

#[test]
fn a_harness_that_is_killed_leaves_nothing_behind() {
    // Given a harness with a reaper, a running child and a stopped one: its death orphans a
    // group with a stopped member, to which the kernel then sends SIGHUP.
    let folder = tempfile::tempdir().unwrap();
    let harness = spawn_test("process::play_a_harness_with_children", |command| {
        command.env(PLAY_HARNESS, folder.path());
    });
    let below = below(&harness);
    assert!(below.len() >= 5, "reaper and two trees of two: {below:?}");

    kill_and_reap(harness);

    eventually("everything is gone", || !below.iter().any(|id| lives(*id)));
}

/// Runs one test of this program in a process of its own, until it prints `up`.
pub fn spawn_test(name: &str, prepare: impl FnOnce(&mut Command)) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--nocapture"])
        .stdout(Stdio::piped());
    prepare(&mut command);
    let mut process = command.spawn().unwrap();
    let out = BufReader::new(process.stdout.take().unwrap());
    let up = out.lines().map_while(Result::ok).any(|line| line == "up");
    assert!(up, "{name} ended before it was up");
    process
}

/// Everything below a process, itself left out.
pub fn below(process: &std::process::Child) -> Vec<ProcessId> {
    let root = tree::find(process.id() as i32).unwrap().id;
    let below = Snapshot::take().below(&[root]);
    below.iter().skip(1).map(|p| p.id).collect()
}

/// SIGKILL, as from outside.
pub fn kill_and_reap(mut process: std::process::Child) {
    process.kill().unwrap();
    process.wait().unwrap();
}

#[tokio::test]
async fn given_a_server_that_never_stops_talking_when_it_has_said_20_mb_then_its_log_is_bounded() {
    // Given a server, which says by a file that it works.
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("said");
    let script = "yes all is well | head -c 20000000; echo 'why I died'; touch said; exec sleep 60";
    let probe = said.clone();
    let spec = ChildSpec {
        ready: Ready::Answers(Arc::new(move || {
            let there = probe.exists().then_some(()).ok_or_else(String::new);
            async move { there }.boxed()
        })),
        ..shell(folder.path(), script)
    };
    let log = spec.log.clone();

    let child = Child::start(spec, &reaper()).await.unwrap();

    let bound = (8 << 20) + 20_000;
    let length = || std::fs::metadata(&log).map_or(0, |m| m.len());
    assert!(length() <= bound, "{}", length());
    child.kill().await.unwrap();
    // And its last words are there, however much was left out before them.
    eventually("its last words are in the log", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.ends_with("why I died\n"))
    });
    assert!(length() <= bound, "{}", length());
}
