//! Whole runs on a stack that is not ours: what a run makes there is gone after it, also when the
//! harness is killed.

use super::{OUTAGE, TURN, program, programs, until_it_tells};
use crate::patience::PATIENCE;
use harness::fence::database;
use harness::process::reaper::Reaper;
use harness::stack::external::stack_file;
use harness::stack::{Jit, Provider, Stack, StackInfo};
use harness::topic::Topic;
use harness::toxiproxy::ToxiproxyClient;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::PgConnection;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn given_somebodys_stack_when_runs_end_or_are_killed_on_it_then_it_is_left_as_it_was_found() {
    let _turn = TURN.lock().await;
    let home = tempfile::tempdir().unwrap();
    let theirs = Theirs::start().await;
    let file = theirs.file.clone();

    // When a run ends by itself
    let output = until_it_tells(home.path(), || run(home.path(), &file).output().unwrap());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(theirs.is_as_found().await);

    // When the session that says that it is alive is ended under it
    let harness = run(home.path(), &file)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("the run has made something", async || {
        !theirs.is_as_found().await
    })
    .await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'";
    until("its lock is found", async || {
        let ended = sqlx::query(end).execute(&mut theirs.session().await).await;
        ended.unwrap().rows_affected() > 0
    })
    .await;
    let output = harness.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(
        text.contains("the stack failed: keep the stack for this run"),
        "{text}"
    );
    assert!(theirs.is_as_found().await, "{text}");

    // When a run is killed as soon as it has made something
    let mut harness = run(home.path(), &file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the run has made something", async || {
        !theirs.is_as_found().await
    })
    .await;
    kill(Pid::from_raw(harness.id() as i32), Signal::SIGKILL).unwrap();
    harness.wait().unwrap();

    // Then its reaper drops it; what it could not, the next run would
    until("nothing of it is left", async || theirs.is_as_found().await).await;
}

/// A stack that plays somebody's.
pub struct Theirs {
    /// Its stack file.
    pub file: PathBuf,
    found: Vec<String>,
    stack: Stack,
    _reaper: Arc<Reaper>,
    _home: tempfile::TempDir,
}

impl Theirs {
    pub async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let reaper =
            Arc::new(Reaper::start_with(Path::new(env!("CARGO_BIN_EXE_outbox-harness"))).unwrap());
        let provider = Provider::Local {
            data: home.path().join("data"),
            logs: home.path().to_owned(),
            programs: programs(),
            jit: Jit::C1,
            synchronous_standby: false,
        };
        let stack = Stack::start(provider, &reaper).await.unwrap();
        Self {
            file: describe(stack.info(), home.path()),
            found: inventory(stack.info()).await,
            stack,
            _reaper: reaper,
            _home: home,
        }
    }

    pub fn info(&self) -> &StackInfo {
        self.stack.info()
    }

    /// For a run of one strategy on it.
    pub fn arguments(&self, strategy: &str) -> Vec<String> {
        let file = self.file.display().to_string();
        let all = [
            "--strategy",
            strategy,
            "--stack",
            "external",
            "--external",
            &file,
        ];
        all.map(str::to_owned).to_vec()
    }

    /// Whether nothing is there that was not there at first.
    pub async fn is_as_found(&self) -> bool {
        inventory(self.info()).await == self.found
    }

    pub async fn session(&self) -> PgConnection {
        let postgres = &self.info().postgres;
        database::connect(postgres, Instant::now() + PATIENCE)
            .await
            .unwrap()
    }

    pub async fn topics(&self) -> Vec<String> {
        let any = Topic::new(&self.info().kafka_bootstrap, "any", 1);
        any.all().await.unwrap()
    }
}

/// Schemas, databases, roles, slots, topics and proxies.
async fn inventory(info: &StackInfo) -> Vec<String> {
    let mut connection = database::connect(&info.postgres, Instant::now() + PATIENCE)
        .await
        .unwrap();
    let sql = "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'oh\\_%' \
               UNION ALL SELECT datname::text FROM pg_database \
               UNION ALL SELECT rolname::text FROM pg_roles \
               UNION ALL SELECT slot_name::text FROM pg_replication_slots";
    let mut all: Vec<String> = sqlx::query_scalar(sql)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let topics = Topic::new(&info.kafka_bootstrap, "any", 1)
        .all()
        .await
        .unwrap();
    // Kafka makes its own when a consumer first asks.
    all.extend(topics.into_iter().filter(|name| !name.starts_with("__")));
    all.extend(
        ToxiproxyClient::new(&info.toxiproxy_url)
            .unwrap()
            .list()
            .await
            .unwrap()
            .into_iter()
            .map(|p| format!("{p:?}")),
    );
    all.sort();
    all
}

pub async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn run(home: &Path, stack: &Path) -> Command {
    let scenario = home.join("scenario.toml");
    std::fs::write(&scenario, OUTAGE).unwrap();
    let mut command = program();
    command.arg("run").arg(scenario).args([
        "--strategy",
        "cdc",
        "--stack",
        "external",
        "--external",
    ]);
    command.arg(stack).arg("--out").arg(home.join("runs"));
    command
}

fn describe(info: &StackInfo, home: &Path) -> PathBuf {
    let file = home.join("external.toml");
    std::fs::write(&file, stack_file(info)).unwrap();
    file
}
