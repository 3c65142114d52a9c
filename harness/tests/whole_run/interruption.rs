//! Ctrl-C, SIGTERM and kill -9 at moments spread over a run: nothing is left of it.
//!
//! `OUTBOX_HARNESS_INTERRUPTIONS` sets how many of each are tried (default 1).

use super::{OUTAGE, TURN, program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const LEFT_WITHIN: Duration = Duration::from_secs(30);
/// A run of [`OUTAGE`] takes longer than this, so that every moment below falls into it.
const SPREAD: Duration = Duration::from_secs(20);

#[test]
fn given_a_run_when_it_is_interrupted_then_it_tears_down_and_exits_3() {
    for (number, moment) in moments().enumerate() {
        let signal = [Signal::SIGINT, Signal::SIGTERM][number % 2];
        let code = interrupt(signal, moment);
        assert_eq!(code, Some(3), "{signal} after {moment:?}");
    }
}

#[test]
fn given_a_run_when_it_is_killed_then_nothing_survives_it() {
    for moment in moments() {
        assert_eq!(
            interrupt(Signal::SIGKILL, moment),
            None,
            "SIGKILL after {moment:?}"
        );
    }
}

/// Moments spread evenly over a run, shifted so that repetitions do not hit the same ones.
fn moments() -> impl Iterator<Item = Duration> {
    let count: u32 = std::env::var("OUTBOX_HARNESS_INTERRUPTIONS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1);
    let shift = f64::from(std::process::id() % 100) / 100.0;
    (0..count).map(move |i| SPREAD.mul_f64((f64::from(i) + shift) / f64::from(count)))
}

/// Starts a run, sends the signal, and returns the exit code once nothing of the run is left.
fn interrupt(signal: Signal, after: Duration) -> Option<i32> {
    let _turn = TURN.blocking_lock();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("scenario.toml");
    std::fs::write(&file, OUTAGE).unwrap();
    let mut harness = program()
        .args([
            "run".as_ref(),
            file.as_os_str(),
            "--out".as_ref(),
            home.path().join("runs").as_os_str(),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // A moment in the run is what is tested here, so this one waits for time.
    std::thread::sleep(after);
    kill(Pid::from_raw(harness.id() as i32), signal).unwrap();
    let status = harness.wait().unwrap();
    let deadline = Instant::now() + LEFT_WITHIN;
    loop {
        let left = processes_of(home.path());
        if left.is_empty() {
            return status.code();
        }
        assert!(
            Instant::now() < deadline,
            "{signal} after {after:?} left {left:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Processes whose command line, working folder or open log is in the run's folder.
fn processes_of(home: &Path) -> Vec<String> {
    let home = home.display().to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let process = entry.ok()?.path();
            let pid: u32 = process.file_name()?.to_str()?.parse().ok()?;
            let arguments = std::fs::read(process.join("cmdline")).ok()?;
            let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
            let folder = std::fs::read_link(process.join("cwd")).unwrap_or_default();
            let log = std::fs::read_link(process.join("fd/2")).unwrap_or_default();
            let named = [
                &arguments,
                &folder.display().to_string(),
                &log.display().to_string(),
            ]
            .iter()
            .any(|text| text.contains(&home));
            named.then(|| format!("{pid} {arguments}"))
        })
        .collect()
}
