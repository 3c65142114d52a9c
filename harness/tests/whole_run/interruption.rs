//! Ctrl-C, SIGTERM and kill -9 in each phase that a run announces: it ends soon, and nothing is left
//! of it. Where a step of the fence waits for something, that is withheld, so that the interruption
//! comes while it waits.

use super::external::{AsFound, until};
use super::turn::beside_another;
use super::{program, try_each};
use crate::all;
use crate::patience::PATIENCE;
use harness::history;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use sqlx::{AssertSqlSafe, PgConnection};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Half a second of load.
const SCENARIO: &str = r#"
name = "interrupted"

[workload]
rate = 200
duration = "500ms"
min_committed_per_phase = 0
request_timeout = "500ms"

[drain]
settle = "1s"

[strategy.naive]
kind = "dual-write"
order = "commit-then-publish"
publish_timeout = "500ms"

[strategy.polling]
kind = "polling"

[consumer.payments]
effect = "insert"
idempotency = "inbox"

[expect.naive]
lost = 0

[expect.polling]
lost = 0
"#;

#[test]
fn given_a_run_on_a_stack_of_its_own_when_it_is_interrupted_then_it_tears_down_and_exits_3() {
    let phases = [
        ("stack (local): starting", Signal::SIGINT),
        ("stack up", Signal::SIGTERM),
        ("load:", Signal::SIGINT),
        // Between strategies: the first one's verdict.
        ("]   naive: ", Signal::SIGTERM),
    ];
    try_each(&phases, |&(phase, signal)| {
        let home = tempfile::tempdir().unwrap();
        let mut run = Run::start(home.path(), &[]);
        run.until_said(phase);
        run.signal(signal);
        let (code, said) = run.ended();
        assert_eq!(code, Some(3), "{signal} at `{phase}`:\n{said}");
        nothing_left(home.path());
    });
}

#[test]
fn given_a_run_when_it_is_killed_in_a_phase_then_nothing_survives_it() {
    let phases = ["stack (local): starting", "load:", "fence 6 of 8"];
    try_each(&phases, |phase| {
        let home = tempfile::tempdir().unwrap();
        let mut run = Run::start(home.path(), &[]);
        run.until_said(phase);
        run.signal(Signal::SIGKILL);
        let (code, said) = run.ended();
        assert_eq!(code, None, "SIGKILL at `{phase}`:\n{said}");
        nothing_left(home.path());
    });
}

/// What a step of the fence waits for, and does not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Withheld {
    /// Nothing: the step is over in a moment.
    Nothing,
    /// The order service's requests do not end before it gives them up itself: nobody may write.
    Writing,
    /// Somebody may still write `orders`.
    Reading,
    /// The relay is stopped.
    Relay,
    /// A transaction on the topic does not end.
    Transaction,
}

impl Withheld {
    fn outlasts_an_interruption(self) -> bool {
        match self {
            Self::Nothing | Self::Writing => false,
            Self::Reading | Self::Relay | Self::Transaction => true,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_somebodys_stack_when_a_run_is_interrupted_in_each_phase_then_nothing_of_it_is_left()
{
    if !all::is_asked_for() {
        return;
    }
    let turn = beside_another();
    let theirs = AsFound::look(&turn).await;
    for (number, (phase, withheld)) in [
        ("stack (external): starting", Withheld::Nothing),
        ("polling: setting up", Withheld::Nothing),
        ("load:", Withheld::Nothing),
        ("fence 1 of 8", Withheld::Nothing),
        ("fence 2 of 8", Withheld::Nothing),
        ("fence 3 of 8", Withheld::Writing),
        ("fence 4 of 8", Withheld::Reading),
        ("fence 5 of 8", Withheld::Relay),
        ("fence 6 of 8", Withheld::Nothing),
        ("fence 7 of 8", Withheld::Transaction),
        ("fence 8 of 8", Withheld::Nothing),
    ]
    .into_iter()
    .enumerate()
    {
        let signal = [Signal::SIGINT, Signal::SIGTERM][number % 2];
        let home = tempfile::tempdir().unwrap();
        let mut run = Run::start(home.path(), &theirs.arguments("polling"));
        let held = run.withhold(withheld, &theirs, home.path()).await;
        run.until_said(phase);
        run.signal(signal);
        let (code, said) = run.ended();
        assert_eq!(code, Some(3), "{signal} at `{phase}`:\n{said}");
        if withheld.outlasts_an_interruption() {
            let step: u32 = phase[6..7].parse().unwrap();
            assert!(was_interrupted(home.path(), step), "`{phase}`:\n{said}");
        }
        drop(held);
        until("nothing of it is left", async || theirs.is_as_found().await).await;
        nothing_left(home.path());
    }

    // Once more, while a step waits: it ends at once.
    let home = tempfile::tempdir().unwrap();
    let mut run = Run::start(home.path(), &theirs.arguments("polling"));
    let _held = run.withhold(Withheld::Reading, &theirs, home.path()).await;
    run.until_said("fence 4 of 8");
    run.signal(Signal::SIGINT);
    run.until_said("once more ends it at once");
    run.signal(Signal::SIGTERM);
    let (code, said) = run.ended();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("terminated again: ending at once"), "{said}");
    until("nothing of it is left", async || theirs.is_as_found().await).await;
    nothing_left(home.path());
}

/// Whether the run's history says that this step was cut off by the user.
fn was_interrupted(home: &Path, step: u32) -> bool {
    let run = super::only_run(home);
    let loaded = history::load(&run.join("history/polling")).unwrap();
    let steps = loaded.history.fences.iter().filter(|s| s.number == step);
    steps.clone().count() == 1
        && steps
            .clone()
            .all(|s| !s.ok && s.detail.starts_with("interrupted"))
}

/// What is held open for as long as it lives.
enum Held {
    Nothing,
    Session(#[allow(dead_code)] PgConnection),
    Producer(#[allow(dead_code)] Box<ThreadedProducer<rdkafka::producer::DefaultProducerContext>>),
}

/// A run under way.
pub(super) struct Run {
    harness: Child,
    said: BufReader<std::process::ChildStderr>,
    heard: String,
}

impl Run {
    fn start(home: &Path, more: &[String]) -> Self {
        Self::start_with(home, SCENARIO, more)
    }

    pub(super) fn start_with(home: &Path, scenario: &str, more: &[String]) -> Self {
        let file = home.join("scenario.toml");
        std::fs::write(&file, scenario).unwrap();
        let mut command: Command = program();
        let mut harness = command
            .arg("run")
            .arg(&file)
            .arg("--out")
            .arg(home.join("runs"))
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            said: BufReader::new(harness.stderr.take().unwrap()),
            harness,
            heard: String::new(),
        }
    }

    /// Reads on until it has said this.
    pub(super) fn until_said(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.heard.contains(text) {
            let read = self.said.read_line(&mut self.heard).unwrap();
            assert!(read > 0, "it ended without `{text}`:\n{}", self.heard);
            assert!(Instant::now() < deadline, "no `{text}` in {}", self.heard);
        }
    }

    pub(super) fn pid(&self) -> i32 {
        self.harness.id() as i32
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Its exit code, and all it said.
    pub(super) fn ended(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.harness.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.harness.kill();
                panic!("it did not end within {PATIENCE:?}:\n{}", self.heard);
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        self.said.read_to_string(&mut self.heard).unwrap();
        (status.code(), self.heard)
    }

    /// Withholds it as soon as the load is under way.
    async fn withhold(&mut self, what: Withheld, theirs: &AsFound, home: &Path) -> Held {
        if what == Withheld::Nothing {
            return Held::Nothing;
        }
        self.until_said("load:");
        match what {
            Withheld::Nothing => Held::Nothing,
            Withheld::Writing => Held::Session(lock_orders(theirs, "SHARE").await),
            Withheld::Reading => Held::Session(lock_orders(theirs, "ROW EXCLUSIVE").await),
            Withheld::Relay => {
                let relay = processes_of(home)
                    .into_iter()
                    .find(|(_, arguments)| arguments.split(' ').nth(1) == Some("relay"));
                let pid = relay.unwrap().0;
                kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
                Held::Nothing
            }
            Withheld::Transaction => Held::Producer(Box::new(open_transaction(theirs).await)),
        }
    }
}

async fn lock_orders(theirs: &AsFound, mode: &str) -> PgConnection {
    let mut session = theirs.session().await;
    let schema: String =
        sqlx::query_scalar("SELECT schemaname::text FROM pg_tables WHERE tablename = 'orders'")
            .fetch_one(&mut session)
            .await
            .unwrap();
    let lock = format!("BEGIN; LOCK TABLE \"{schema}\".orders IN {mode} MODE");
    sqlx::raw_sql(AssertSqlSafe(lock))
        .execute(&mut session)
        .await
        .unwrap();
    session
}

async fn open_transaction(
    theirs: &AsFound,
) -> ThreadedProducer<rdkafka::producer::DefaultProducerContext> {
    let topics = theirs.topics().await;
    let topic = topics.iter().find(|t| t.ends_with(".polling")).unwrap();
    let producer: ThreadedProducer<_> = ClientConfig::new()
        .set("bootstrap.servers", &theirs.info().kafka().unwrap().address)
        .set("transactional.id", topic)
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    let record = BaseRecord::<str, str>::to(topic).key("nobody").payload("x");
    producer.send(record).map_err(|(e, _)| e).unwrap();
    producer.flush(PATIENCE).unwrap();
    producer
}

/// No process of the run lives any more.
pub(super) fn nothing_left(home: &Path) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = processes_of(home);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left: {left:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Processes whose command line, working folder or open log is in the run's folder.
fn processes_of(home: &Path) -> Vec<(i32, String)> {
    let home = home.display().to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let process = entry.ok()?.path();
            let pid: i32 = process.file_name()?.to_str()?.parse().ok()?;
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
            named.then_some((pid, arguments))
        })
        .collect()
}
