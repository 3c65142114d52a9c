//! Whole runs on a stack that is not ours: what a run makes there is gone after it, also when the
//! harness is killed.

use super::theirs::{Theirs, inventory, theirs};
use super::turn::{Turn, alone};
use super::{OUTAGE, program, until_it_tells};
use crate::patience::PATIENCE;
use harness::database::postgres::fence;
use harness::stack::StackInfo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use relays::config::BrokerKind;
use sqlx::PgConnection;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn given_somebodys_stack_when_runs_end_or_are_killed_on_it_then_it_is_left_as_it_was_found() {
    // What is made again is made in this turn, beside nobody.
    let turn = alone();
    let home = tempfile::tempdir().unwrap();
    let theirs = AsFound::look(&turn).await;

    // When a run ends by itself
    let whole = || run(home.path(), &theirs).output().unwrap();
    let output = until_it_tells(home.path(), whole(), whole);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(theirs.is_as_found().await);

    // When the session that says that it is alive is ended under it
    let harness = run(home.path(), &theirs)
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
    let mut harness = run(home.path(), &theirs)
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

/// Somebody's stack, and what was there when a test came.
pub struct AsFound {
    theirs: &'static Theirs,
    found: Vec<String>,
}

impl AsFound {
    /// Looks at the stack of this turn.
    pub async fn look(turn: &Turn) -> Self {
        let theirs = theirs(turn);
        let found = inventory(theirs.stack.info()).await;
        Self { theirs, found }
    }

    /// Its stack file.
    pub fn file(&self) -> &Path {
        &self.theirs.file
    }

    pub fn info(&self) -> &StackInfo {
        self.theirs.stack.info()
    }

    /// For a run of one strategy on it.
    pub fn arguments(&self, strategy: &str) -> Vec<String> {
        let stack = self.theirs.arguments();
        let stack = stack.map(|argument| argument.to_str().unwrap().to_owned());
        let strategy = ["--strategy", strategy].map(str::to_owned);
        [strategy.as_slice(), &stack].concat()
    }

    /// Whether nothing is there that was not there at first.
    pub async fn is_as_found(&self) -> bool {
        inventory(self.info()).await == self.found
    }

    pub async fn session(&self) -> PgConnection {
        let postgres = &self.info().postgres;
        fence::connect(postgres, Instant::now() + PATIENCE)
            .await
            .unwrap()
    }

    pub async fn topics(&self) -> Vec<String> {
        self.info()
            .broker(BrokerKind::Kafka)
            .unwrap()
            .topics()
            .await
            .unwrap()
    }
}

pub async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn run(home: &Path, theirs: &AsFound) -> Command {
    let scenario = home.join("scenario.toml");
    std::fs::write(&scenario, OUTAGE).unwrap();
    let mut command = program();
    command.arg("run").arg(scenario);
    command.args(theirs.arguments("cdc"));
    command.arg("--out").arg(home.join("runs"));
    command
}
