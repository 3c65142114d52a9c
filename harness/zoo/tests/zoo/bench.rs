//! One stack for all cases, one run at a time, and the comparison of a record with what a case must
//! produce.

use harness::process::reaper::Reaper;
use harness::stack::data_folder::DataFolder;
use harness::stack::external::stack_file;
use harness::stack::{Provider, Stack};
use reports::record::{Counts, Record, Strategy, Verdict};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};
use tokio::sync::Mutex;

/// The program: the harness with broken children.
pub const ZOO: &str = env!("CARGO_BIN_EXE_zoo");

/// The shared stack; statics are never dropped, so its reaper ends it with the test program.
struct Shared {
    file: PathBuf,
    _reaper: Arc<Reaper>,
    _stack: Stack,
    _folder: DataFolder,
}

/// The stack file of the shared stack, which is started at the first call.
fn stack() -> &'static Path {
    static STACK: OnceLock<Shared> = OnceLock::new();
    let shared = STACK.get_or_init(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let shared = runtime.block_on(start());
        // Its servers are watched by threads of their own; its clients are not, so the runtime stays.
        std::mem::forget(runtime);
        shared
    });
    &shared.file
}

async fn start() -> Shared {
    let reaper = Arc::new(Reaper::start_with(Path::new(ZOO)).unwrap());
    let name = format!("outbox-harness-zoo-{}", std::process::id());
    let folder = DataFolder::make(&std::env::temp_dir().join(name), None, &reaper).unwrap();
    let programs = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../.stack")
        .canonicalize()
        .expect("`make test` installs .stack");
    let provider = Provider::Local {
        data: folder.path().join("data"),
        logs: folder.path().join("logs"),
        programs,
    };
    let stack = Stack::start(provider, &reaper).await.unwrap();
    let file = folder.path().join("external.toml");
    std::fs::write(&file, stack_file(stack.info())).unwrap();
    Shared {
        file,
        _reaper: reaper,
        _stack: stack,
        _folder: folder,
    }
}

/// What one run left.
pub struct Ran {
    /// Exit code, standard output and error.
    pub output: Output,
    /// The record; `None` if the run left none.
    pub record: Option<Record>,
    /// Lines of the confession.
    pub confession: Vec<String>,
    /// The run's folder.
    pub folder: PathBuf,
    /// Keeps the folder.
    _home: tempfile::TempDir,
}

impl Ran {
    /// The run's one strategy.
    pub fn strategy(&self) -> &Strategy {
        let record = self.record.as_ref().unwrap_or_else(|| panic!("no record: {}", self.said()));
        &record.strategies[0]
    }

    /// How often the broken part says that it did this.
    pub fn admitted(&self, what: &str) -> u64 {
        let is = |line: &&String| line.split(' ').next() == Some(what);
        self.confession.iter().filter(is).count() as u64
    }

    /// Standard error, for the message of a failed assertion.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// The verdict is `verdict`, and of everything that can go wrong there is exactly this.
    #[track_caller]
    pub fn found(&self, verdict: Verdict, expected: &[(&str, u64)]) {
        let strategy = self.strategy();
        let found: Vec<(&str, u64)> = anomalies(&strategy.counts)
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        let mut expected: Vec<(&str, u64)> = expected.to_vec();
        expected.sort_unstable();
        let context = || format!("{:?}\nreasons: {:?}\noffences: {:?}\n{}", strategy.counts, strategy.reasons, strategy.offences, self.said());
        assert_eq!(found, expected, "{}", context());
        assert_eq!(strategy.verdict, verdict, "{}", context());
    }
}

/// Every count that is 0 for a clean run, by name, sorted.
fn anomalies(c: &Counts) -> Vec<(&'static str, u64)> {
    let mut all = vec![
        ("lost", c.lost),
        ("undrained", c.undrained),
        ("undecided", c.undecided),
        ("phantom", c.phantom),
        ("foreign", c.foreign),
        ("duplicated", c.duplicated),
        ("reordered", c.reordered),
        ("split", c.split),
        ("corrupted", c.corrupted),
        ("missing", c.missing),
        ("double_applied", c.double_applied),
        ("false_rejection", c.false_rejection),
        ("unacknowledged", c.unacknowledged),
        ("late", c.late),
    ];
    all.sort_unstable();
    all
}

/// One run at a time: two on two cores make each other late, and a late load proves nothing.
static TURN: Mutex<()> = Mutex::const_new(());

/// Runs a scenario of one strategy on the shared stack, with this defect.
pub fn run(defect: &str, scenario: &str) -> Ran {
    run_with(defect, scenario, |_| {})
}

/// As [`run`]; `more` may add to the command.
pub fn run_with(defect: &str, scenario: &str, more: impl FnOnce(&mut Command)) -> Ran {
    let _turn = TURN.blocking_lock();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("scenario.toml");
    std::fs::write(&file, scenario).unwrap();
    let confession = home.path().join("confession");
    let mut command = Command::new(ZOO);
    command
        .arg("run")
        .arg(&file)
        .arg("--out")
        .arg(home.path().join("runs"))
        .args(["--stack", "external", "--external"])
        .arg(stack())
        .env(zoo::DEFECT, defect)
        .env(zoo::CONFESSION, &confession);
    more(&mut command);
    let output = command.output().unwrap();
    let folder = std::fs::read_dir(home.path().join("runs"))
        .ok()
        .and_then(|mut entries| entries.next())
        .map(|entry| entry.unwrap().path())
        .unwrap_or_default();
    let record = std::fs::read(folder.join("record.json"))
        .ok()
        .map(|bytes| reports::json::parse(&bytes).unwrap());
    let confession = std::fs::read_to_string(confession).unwrap_or_default();
    Ran {
        output,
        record,
        confession: confession.lines().map(str::to_owned).collect(),
        folder,
        _home: home,
    }
}
