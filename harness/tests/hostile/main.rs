//! The program where its surroundings are against it: servers that fail, a disk that is full,
//! scenarios of absurd sizes, others on the same machine. Whatever happens, the outcome is clear and
//! nothing is left behind.

// A failed expectation of a test is a panic.
#![allow(clippy::unwrap_used)]

#[path = "../shared/all.rs"]
mod all;
#[path = "../shared/busy.rs"]
mod busy;
mod disk;
#[path = "../shared/installed.rs"]
mod installed;
mod kept;
mod kept_stack;
#[path = "../shared/not_done.rs"]
mod not_done;
#[path = "../shared/patience.rs"]
mod patience;
#[path = "../shared/secrets.rs"]
mod secrets;
mod sizes;
mod stack_ends;
mod stack_fails;
mod surroundings;
#[path = "../shared/theirs.rs"]
mod theirs;
#[path = "../shared/turn.rs"]
mod turn;
mod two_at_once;

use patience::PATIENCE;
use reports::record::{Record, Strategy};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use theirs::theirs;
use turn::Turn;

/// Runs at the same time, where the test program has as many threads. On a single core it has one.
const LANES: usize = 2;

/// The harness's own binary.
const HARNESS: &str = env!("CARGO_BIN_EXE_outbox-harness");

/// Where `make test` installs Kafka and Toxiproxy.
fn programs() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.stack");
    folder.canonicalize().expect("`make test` installs .stack")
}

/// Four seconds of a polling outbox. All its links go through proxies, for a fault at their end.
const POLLING: &str = r#"
name = "hostile"

[workload]
rate = 200
duration = "4s"

[[fault]]
target = "kafka"
kind = "latency"
latency = "20ms"
at = "2s"
for = "1s"

[[fault]]
target = "postgres"
kind = "latency"
latency = "20ms"
at = "2s"
for = "1s"

[drain]
settle = "200ms"

[strategy.polling]
kind = "polling"

[expect.polling]
lost = 0
"#;

/// Two seconds of a polling outbox, without any fault.
const SHORT: &str = r#"
name = "hostile"

[workload]
rate = 200
duration = "2s"

[drain]
settle = "200ms"

[strategy.polling]
kind = "polling"

[expect.polling]
lost = 0
"#;

/// A run under way.
struct Run {
    harness: Child,
    said: Arc<Mutex<String>>,
    readers: [JoinHandle<()>; 2],
    results: Arc<Mutex<String>>,
}

/// How it ended.
struct Ended {
    code: Option<i32>,
    /// Standard output.
    out: String,
    /// Standard error.
    err: String,
}

/// `outbox-harness run`, its scenario and its folder below `home`.
fn command(home: &Path, scenario: &str) -> Command {
    let file = home.join("scenario.toml");
    std::fs::write(&file, scenario).unwrap();
    let mut command = Command::new(HARNESS);
    command
        .env("OUTBOX_HARNESS_PROGRAMS", programs())
        // The test may be a step of a job itself, whose annotations these are not.
        .env_remove("GITHUB_ACTIONS")
        .arg("run")
        .arg(file)
        .arg("--out")
        .arg(home.join("runs"));
    command
}

impl Run {
    fn start(mut command: Command) -> Self {
        let mut harness = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (said, results) = (Arc::default(), Arc::default());
        let readers = [
            collect(harness.stderr.take().unwrap(), &said),
            collect(harness.stdout.take().unwrap(), &results),
        ];
        Self {
            harness,
            said,
            readers,
            results,
        }
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.harness.id()).unwrap()
    }

    /// Waits until it has said this on standard error.
    fn until_said(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.said.lock().unwrap().contains(text) {
            let ended = self.harness.try_wait().unwrap();
            let said = || self.said.lock().unwrap().clone();
            assert!(ended.is_none(), "it ended without `{text}`:\n{}", said());
            assert!(Instant::now() < deadline, "no `{text}` in:\n{}", said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn end(mut self) -> Ended {
        let code = self.harness.wait().unwrap().code();
        for reader in self.readers {
            reader.join().unwrap();
        }
        let taken = |text: &Mutex<String>| std::mem::take(&mut *text.lock().unwrap());
        Ended {
            code,
            out: taken(&self.results),
            err: taken(&self.said),
        }
    }
}

fn collect(from: impl Read + Send + 'static, into: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).unwrap() > 0 {
            into.lock()
                .unwrap()
                .push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}

/// Runs to the end.
fn run(command: Command) -> Ended {
    Run::start(command).end()
}

/// Runs a scenario whose verdict must be clear. Where the machine was too busy for it to tell, it is
/// run again, alone.
fn run_on_schedule(scenario: &str) -> (tempfile::TempDir, Ended) {
    run_on_schedule_in("", |home| command(home, scenario))
}

/// The same with a command of the test's own, in a folder of this name.
fn run_on_schedule_in(
    name: &str,
    command: impl Fn(&Path) -> Command,
) -> (tempfile::TempDir, Ended) {
    let whole = |_turn: Turn| {
        let home = tempfile::tempdir().unwrap();
        let place = home.path().join(name);
        std::fs::create_dir_all(&place).unwrap();
        // PostgreSQL may run as another user, who must get here.
        open(home.path());
        let ended = run(command(&place));
        (home, ended)
    };
    let (mut home, mut ended) = whole(turn::beside_another());
    for _ in 1..busy::TRIES {
        if ended.code != Some(3) || !busy::was_too_busy(&record(&home.path().join(name))) {
            break;
        }
        (home, ended) = whole(turn::alone());
    }
    (home, ended)
}

/// For every user.
fn open(path: &Path) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

impl Ended {
    /// It passed, its record below `home`, and standard error says all of this; on a machine that is too busy
    /// it says that it cannot tell instead.
    #[track_caller]
    fn passed(&self, home: &Path, said: &[&str]) {
        let code = if busy::was_too_busy(&record(home)) {
            3
        } else {
            0
        };
        self.with(code, said);
    }

    /// It ended so, and standard error says all of this.
    #[track_caller]
    fn with(&self, code: i32, said: &[&str]) {
        let all = format!("{}{}", self.out, self.err);
        assert_eq!(self.code, Some(code), "{all}");
        for text in said {
            assert!(self.err.contains(text), "`{text}` is not in:\n{all}");
        }
        assert!(!self.err.contains("panicked"), "{all}");
    }
}

/// A process of the run below `home` by a word of its command line.
fn process(home: &Path, word: &str) -> i32 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let all = processes(home);
        if let Some((pid, _)) = all.iter().find(|(_, command)| command.contains(word)) {
            return *pid;
        }
        assert!(Instant::now() < deadline, "no `{word}` among {all:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Processes whose command line, working folder or open log is below `home`, oldest first.
fn processes(home: &Path) -> Vec<(i32, String)> {
    let home = home.display().to_string();
    let mut found: Vec<(i32, String)> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let process = entry.ok()?.path();
            let pid = process.file_name()?.to_str()?.parse().ok()?;
            let arguments = std::fs::read(process.join("cmdline")).ok()?;
            let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
            let links = ["cwd", "fd/1", "fd/2"].map(|l| std::fs::read_link(process.join(l)));
            let mut places = links.iter().flatten().map(|l| l.display().to_string());
            let named = arguments.contains(&home) || places.any(|place| place.contains(&home));
            named.then_some((pid, arguments))
        })
        .collect();
    found.sort_unstable();
    found
}

/// Nothing of the run below `home` lives any more, and of its stack's data nothing is there.
#[track_caller]
fn nothing_left(home: &Path) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = processes(home);
        if left.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "left: {left:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    for folder in run_folders(home) {
        assert!(!folder.join("stack").exists(), "{}", folder.display());
    }
}

fn run_folders(home: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.join("runs")).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The one run folder.
#[track_caller]
fn run_folder(home: &Path) -> PathBuf {
    let mut folders = run_folders(home);
    assert_eq!(folders.len(), 1, "{folders:?}");
    folders.remove(0)
}

/// The record of the one run below `home`.
#[track_caller]
fn record(home: &Path) -> Record {
    let file = run_folder(home).join("record.json");
    reports::json::parse(&std::fs::read(file).unwrap()).unwrap()
}

/// Every count that must be 0 for a relay that does what it should.
fn wrongs(strategy: &Strategy) -> Option<u64> {
    let c = &strategy.counts;
    let all = [
        c.lost,
        c.undrained,
        c.undecided,
        c.phantom,
        c.foreign,
        c.duplicated,
        c.reordered,
        c.split,
        c.corrupted,
        c.missing,
        c.double_applied,
        c.false_rejection,
    ];
    all.into_iter().sum()
}

/// [`command`], on somebody's stack.
fn command_on_theirs(turn: &Turn, home: &Path, scenario: &str) -> Command {
    let mut command = command(home, scenario);
    command.args(theirs(turn).arguments());
    command
}
