//! One run on a stack, and the comparison of its record with what a case must produce.

use super::stacks;
use super::turn::Turn;
use harness::stack::StackInfo;
use harness::stack::external::stack_file;
use reports::record::{Counts, Record, Strategy, Verdict};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// The program: the harness with broken children.
pub const ZOO: &str = env!("CARGO_BIN_EXE_zoo");

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
        let record = self
            .record
            .as_ref()
            .unwrap_or_else(|| panic!("no record in {}: {}", self.folder.display(), self.said()));
        &record.strategies[0]
    }

    /// The referee says that the generator or the observer was late by itself: whatever else came of
    /// it, the run does not tell.
    pub fn machine_was_too_slow(&self) -> bool {
        let late = |reason: &String| reason.contains("what was measured is the");
        self.strategy().reasons.iter().any(late)
    }

    /// Changes in the database.
    pub fn committed(&self) -> u64 {
        let committed = self.strategy().counts.committed;
        committed.expect("the database was read")
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
            .filter_map(|(name, count)| Some((name, count.filter(|count| *count > 0)?)))
            .collect();
        let mut expected: Vec<(&str, u64)> = expected.to_vec();
        expected.sort_unstable();
        let context = || {
            format!(
                "{:?}\nreasons: {:?}\noffences: {:?}\n{}",
                strategy.counts,
                strategy.reasons,
                strategy.offences,
                self.said()
            )
        };
        assert_eq!(found, expected, "{}", context());
        assert_eq!(strategy.verdict, verdict, "{}", context());
    }
}

/// Every count that is 0 for a clean run, by name, sorted; `None` is not known.
fn anomalies(c: &Counts) -> Vec<(&'static str, Option<u64>)> {
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

impl Turn {
    /// Runs a scenario of one strategy on this turn's stack, with this defect.
    pub fn run(&self, defect: &str, scenario: &str) -> Ran {
        self.run_on(stacks::of(self), defect, scenario, |_| {})
    }

    /// The same on this stack; `meanwhile` is given the harness's process id while it runs.
    pub fn run_on(
        &self,
        stack: &StackInfo,
        defect: &str,
        scenario: &str,
        meanwhile: impl FnOnce(u32) + Send,
    ) -> Ran {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("scenario.toml");
        std::fs::write(&file, scenario).unwrap();
        let external = home.path().join("external.toml");
        std::fs::write(&external, stack_file(stack)).unwrap();
        let confession = home.path().join("confession");
        let harness = Command::new(ZOO)
            .arg("run")
            .arg(&file)
            .arg("--out")
            .arg(home.path().join("runs"))
            .args(["--stack", "external", "--external"])
            .arg(&external)
            .env(zoo::DEFECT, defect)
            .env(zoo::CONFESSION, &confession)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = std::thread::scope(|scope| {
            let pid = harness.id();
            scope.spawn(move || meanwhile(pid));
            harness.wait_with_output().unwrap()
        });
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
}
