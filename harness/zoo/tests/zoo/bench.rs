//! One run on a stack, and the comparison of its record with what a case must produce.

use super::stacks;
use super::turn::Turn;
use harness::stack::StackInfo;
use harness::stack::external::stack_file;
use relays::config::BrokerKind;
use reports::record::{Consumer, Record, Strategy, Verdict};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// The program: the harness with broken children.
pub const ZOO: &str = env!("CARGO_BIN_EXE_zoo");

/// Anomalies that a slow machine can by itself add to, or take from.
pub const OF_TIME: [&str; 2] = ["late", "unacknowledged"];

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
    /// Of which lane's stack it was.
    pub lane: usize,
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

    /// Whether the referee could tell all that it was asked, one way or the other, and has nothing
    /// else against the run; on a machine that is too busy for generator or observer it has. `open`
    /// are the metrics that it cannot tell on any machine, `inconclusive` is how many reasons it has anyway.
    pub fn tells(&self, open: &[&str], inconclusive: usize) -> bool {
        let strategy = self.strategy();
        let mut missed = 0;
        for expectation in &strategy.expectations {
            if expectation.met.is_none() && !open.contains(&&*expectation.metric) {
                return false;
            }
            missed += usize::from(expectation.met == Some(false));
        }
        strategy.reasons.len() == missed + inconclusive
    }

    /// Whether there is nothing but what is expected of what a slow machine can add to.
    pub fn in_time(&self, expected: &[(&str, u64)]) -> bool {
        let anomalies = self.anomalies();
        let mut of_time = anomalies.iter().filter(|(name, _)| OF_TIME.contains(name));
        of_time.all(|anomaly| expected.contains(anomaly))
    }

    /// Changes in the database.
    pub fn committed(&self) -> u64 {
        let committed = self.strategy().counts.committed;
        committed.expect("the database was read")
    }

    /// Records on the topic.
    pub fn observed(&self) -> u64 {
        let observed = self.strategy().counts.observed;
        observed.expect("the topic was read")
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

    /// Of everything that can go wrong, what there is of it, sorted.
    pub fn anomalies(&self) -> Vec<(&'static str, u64)> {
        let all = anomalies(self.strategy()).into_iter();
        all.filter_map(|(name, count)| Some((name, count.filter(|count| *count > 0)?)))
            .collect()
    }

    /// Of everything that can go wrong there is exactly this.
    #[track_caller]
    pub fn found(&self, expected: &[(&str, u64)]) {
        let found = self.anomalies();
        let mut expected: Vec<(&str, u64)> = expected.to_vec();
        expected.retain(|(_, count)| *count > 0);
        expected.sort_unstable();
        assert_eq!(found, expected, "{}", self.context());
    }

    /// The verdict is `verdict`, and so is the exit code. Where it is fail, it is for the anomalies
    /// that were found: each of them that is expected not to be misses its expectation, and every
    /// other expectation is met, but for those that are `open`.
    #[track_caller]
    pub fn judged(&self, verdict: Verdict, finds: &[(&str, u64)], open: &[&str]) {
        let strategy = self.strategy();
        assert_eq!(strategy.verdict, verdict, "{}", self.context());
        let code = match verdict {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Unknown => 3,
        };
        assert_eq!(self.output.status.code(), Some(code), "{}", self.context());
        if verdict == Verdict::Unknown {
            return;
        }
        let mut missed = false;
        for expectation in &strategy.expectations {
            let metric = &*expectation.metric;
            // Those of consumers are named by their consumer, of which there is one.
            let of_it = metric.rsplit('.').next();
            let found = finds.iter().any(|(anomaly, _)| Some(*anomaly) == of_it);
            let met = (!open.contains(&metric)).then_some(!found);
            assert_eq!(expectation.met, met, "{metric}: {}", self.context());
            missed |= found;
        }
        assert_eq!(missed, verdict == Verdict::Fail, "{}", self.context());
    }

    /// Every fault bit (or none did).
    #[track_caller]
    pub fn bit(&self, bites: bool) {
        for fault in &self.strategy().faults {
            assert_eq!(fault.bit, Some(bites), "{fault:?}\n{}", self.context());
        }
    }

    /// All of it, for the message of a failed assertion.
    pub fn context(&self) -> String {
        let strategy = self.strategy();
        format!(
            "{:?}\nreasons: {:#?}\noffences: {:?}\n{}",
            strategy.counts,
            strategy.reasons,
            strategy.offences.first(),
            self.said()
        )
    }
}

/// Every count that is 0 for a clean run, by name, sorted; `None` is not known. An order across orders is
/// nobody's to keep who does not promise it, nor is any where the broker promises none.
fn anomalies(strategy: &Strategy) -> Vec<(&'static str, Option<u64>)> {
    let c = &strategy.counts;
    let mut all = vec![
        ("lost", c.lost),
        ("undrained", c.undrained),
        ("undecided", c.undecided),
        ("phantom", c.phantom),
        ("foreign", c.foreign),
        ("duplicated", c.duplicated),
        ("split", c.split),
        ("corrupted", c.corrupted),
        ("missing", c.missing),
        ("double_applied", c.double_applied),
        ("false_rejection", c.false_rejection),
        ("unacknowledged", c.unacknowledged),
        ("late", c.late),
    ];
    if strategy.broker != BrokerKind::EventBridge.name() {
        all.push(("reordered", c.reordered));
    }
    let of_consumers = |count: fn(&Consumer) -> Option<u64>| {
        let counts = strategy.consumers.iter().map(count);
        counts.sum::<Option<u64>>()
    };
    all.extend([
        ("unapplied", of_consumers(|c| c.unapplied)),
        ("applied_twice", of_consumers(|c| c.applied_twice)),
        ("applied_unseen", of_consumers(|c| c.applied_unseen)),
    ]);
    let with_order = strategy.consumers.iter().filter(|c| c.effect == "state");
    let out_of_order = with_order.map(|c| c.applied_out_of_order);
    all.push(("applied_out_of_order", out_of_order.sum()));
    if strategy.cache.is_some() {
        all.extend([("stale", c.stale), ("stale_reads", c.stale_reads)]);
    }
    let mut expected = strategy.expectations.iter();
    if expected.any(|e| e.metric == "overtaken") {
        all.push(("overtaken", c.overtaken));
    }
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
        let external = home.path().join("external.toml");
        std::fs::write(&external, stack_file(stack)).unwrap();
        let mut harness = Command::new(ZOO);
        harness.args(["run", "--stack", "external", "--external"]);
        harness.arg(&external);
        self.make(home, harness, defect, scenario, meanwhile)
    }

    /// The same on a stack that is started for this run alone, with the broker that the scenario has.
    pub fn run_on_its_own(&self, defect: &str, scenario: &str) -> Ran {
        let mut harness = Command::new(ZOO);
        harness.args(["run", "--programs"]).arg(stacks::programs());
        let home = tempfile::tempdir().unwrap();
        self.make(home, harness, defect, scenario, |_| {})
    }

    fn make(
        &self,
        home: tempfile::TempDir,
        mut harness: Command,
        defect: &str,
        scenario: &str,
        meanwhile: impl FnOnce(u32) + Send,
    ) -> Ran {
        let file = home.path().join("scenario.toml");
        std::fs::write(&file, scenario).unwrap();
        let confession = home.path().join("confession");
        let harness = harness
            .arg(&file)
            .arg("--out")
            .arg(home.path().join("runs"))
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
            lane: self.lane,
            _home: home,
        }
    }
}
