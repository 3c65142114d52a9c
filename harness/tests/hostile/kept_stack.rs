//! A stack that `stack up` keeps, with real servers: used, shared, killed, and gone without a trace.

use super::turn::alone;
use super::{
    Ended, HARNESS, PATIENCE, POLLING, Run, SHORT, command, nothing_left, open, processes,
    programs, record, run, wrongs,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A folder for a stack. Whatever becomes of the test, the stack does not outlive it.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        // PostgreSQL may run as another user, who must get here.
        open(home.path());
        Self(home)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn kept(&self) -> PathBuf {
        self.path().join("kept")
    }

    /// `outbox-harness stack WHAT` of this folder.
    fn stack(&self, what: &[&str]) -> Command {
        let mut command = Command::new(HARNESS);
        command
            .env("OUTBOX_HARNESS_PROGRAMS", programs())
            .arg("stack")
            .args(what)
            .arg("--at")
            .arg(self.kept());
        command
    }

    /// It ended so.
    #[track_caller]
    fn said(&self, what: &[&str], code: i32, text: &str) -> Ended {
        let ended = run(self.stack(what));
        let all = format!("{}{}", ended.out, ended.err);
        assert_eq!(ended.code, Some(code), "{what:?}: {all}");
        assert!(all.contains(text), "`{text}` is not in:\n{all}");
        ended
    }

    fn status(&self) -> Value {
        let ended = run(self.stack(&["status", "--json"]));
        serde_json::from_str(&ended.out).unwrap()
    }

    /// A run on it, in a folder of its own.
    fn run_on_it(&self, own: &Path, scenario: &str) -> Command {
        let mut command = command(own, scenario);
        command.args(["--stack", "kept", "--kept"]).arg(self.kept());
        command
    }

    /// No process of it lives any more, and its data and whatever leads to it are gone.
    #[track_caller]
    fn has_no_stack(&self, may_stay: &[&str]) {
        nothing_left(self.path());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let entries = std::fs::read_dir(self.kept()).unwrap();
            let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
            let mut left: Vec<String> = names.filter(|n| !may_stay.contains(&n.as_str())).collect();
            left.sort();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "left: {left:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.stack(&["down", "--force"]).output();
    }
}

const ITS_LOGS: [&str; 3] = ["keeper.lock", "keeper.log", "logs"];

fn send(pid: &Value, signal: Signal) {
    let pid = i32::try_from(pid.as_i64().unwrap()).unwrap();
    kill(Pid::from_raw(pid), signal).unwrap();
}

#[test]
fn given_a_kept_stack_when_two_run_on_it_then_the_second_is_told_who_has_it_and_down_leaves_nothing()
 {
    let _turn = alone();
    let home = Home::new();
    let up = home.said(
        &["up"],
        0,
        "use it  outbox-harness run --stack kept --kept /",
    );
    assert!(up.out.starts_with("up in "), "{}", up.out);
    let again = home.said(
        &["up"],
        0,
        "use it  outbox-harness run --stack kept --kept /",
    );
    assert!(again.out.starts_with("up already, since "), "{}", again.out);
    let status = home.status();
    assert_eq!(status["condition"], "up");
    assert_eq!(status["used_by"], Value::Null);
    for server in status["servers"].as_array().unwrap() {
        assert!(
            server["memory_bytes"].as_u64().unwrap() > 1 << 20,
            "{server}"
        );
    }
    let file = home.kept().join("external.toml");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "others may read the password");

    // When two run on it at the same time
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    // It is there until it is interrupted.
    let long = POLLING.replace("duration = \"4s\"", "duration = \"10m\"");
    let mut first = Run::start(home.run_on_it(homes[0].path(), &long));
    first.until_said("load:");
    let pid = format!("outbox-harness, pid {}", first.pid());
    let second = run(home.run_on_it(homes[1].path(), SHORT));

    // Then one does, and everybody else is told
    second.with(4, &["another run uses it (from 127.0.0.1, since ", &pid]);
    let used_by = home.status()["used_by"].to_string();
    assert!(used_by.contains(&pid), "{used_by}");
    home.said(&["down"], 4, &pid);
    kill(Pid::from_raw(first.pid()), Signal::SIGINT).unwrap();
    let interrupted = "interrupted: healing and tearing down";
    first.end().with(3, &[interrupted]);

    // When one runs on it afterwards, then it passes
    let third = run(home.run_on_it(homes[2].path(), POLLING));
    third.passed(homes[2].path(), &[]);
    // Nothing was warmed again
    assert!(!third.err.contains("rehearsal"), "{}", third.err);
    let of_third = record(homes[2].path());
    assert_eq!(of_third.stack.provider, "kept");
    assert_eq!(wrongs(&of_third.strategies[0]), Some(0));

    home.said(&["down"], 0, "stopped, and its data are removed");
    home.has_no_stack(&ITS_LOGS);
    home.said(&["status"], 3, "no stack is kept in /");
}

#[test]
fn given_starts_and_keepers_that_are_killed_then_nothing_of_them_is_left_and_another_stack_comes_up()
 {
    let _turn = alone();
    let home = Home::new();
    // Given a start that cannot come to anything
    let empty = home.path().to_str().unwrap();
    let without = home.said(&["up", "--programs", empty], 4, "run stack/install.sh");
    let doing = "start the stack that is to be kept in /";
    assert!(without.err.contains(doing), "{}", without.err);
    home.has_no_stack(&ITS_LOGS);

    // When whoever starts one is killed, then it never was
    let mut starting = Run::start(home.stack(&["up"]));
    while !processes(home.path())
        .iter()
        .any(|(_, c)| c.contains("kafka.Kafka"))
    {
        assert!(starting.harness.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    starting.harness.kill().unwrap();
    starting.end();
    home.has_no_stack(&ITS_LOGS);

    // When two start one at the same time, then one is
    let both = [(); 2].map(|()| Run::start(home.stack(&["up"])));
    for ended in both.map(Run::end) {
        assert_eq!(ended.code, Some(0), "{}", ended.err);
    }
    let keepers = || {
        let all = processes(home.path()).into_iter();
        all.filter(|(_, c)| c.contains(" stack-keeper ")).count()
    };
    assert_eq!(keepers(), 1);

    // When its keeper is killed, then its servers and their data go with it
    send(&home.status()["keeper_pid"], Signal::SIGKILL);
    let leads_to_it = ["external.toml", "kept.json"];
    home.has_no_stack(&[&ITS_LOGS[..], &leads_to_it].concat());
    home.said(&["status"], 3, "its keeper was killed");

    // And another comes up, which ends with the first of its servers
    home.said(&["up"], 0, "up in ");
    let status = home.status();
    let toxiproxy = &status["servers"][2];
    assert_eq!(toxiproxy["name"], "Toxiproxy");
    // One of them that is there and does not answer is enough for it not to be up
    send(&toxiproxy["pid"], Signal::SIGSTOP);
    home.said(&["status"], 4, "its servers have not all answered within");
    home.said(&["up"], 4, "one is up that cannot be used");
    send(&toxiproxy["pid"], Signal::SIGKILL);
    home.has_no_stack(&[&ITS_LOGS[..], &["ended.txt"]].concat());
    home.said(&["status"], 3, "it ended by itself: ");
    home.said(&["down"], 0, "no stack was kept in /");
}
