//! Provider `docker`, on a real engine, with the image that `make images` builds: only `make test-docker` asks for these.

use crate::busy::{TRIES, was_too_busy};
use crate::local::connect;
use crate::not_done::not_done;
use crate::patience::PATIENCE;
use crate::process::eventually;
use crate::{HARNESS, reaper};
use harness::process::{Child, stillness};
use harness::scenario::Victim;
use harness::stack::{Jit, Provider, ServerSettings, Stack, docker_is_usable};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reports::record::{Record, Verdict};
use sqlx::Executor;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;
use tokio::sync::{Mutex, MutexGuard};

/// Set by `make test-docker`.
const ASKED_FOR: &str = "OUTBOX_HARNESS_DOCKER";

/// Little load, and one fault of each kind that servers in containers can have.
const SCENARIO: &str = r#"
name = "containers"

[workload]
rate = 60
duration = "11s"
request_timeout = "3s"
min_committed_per_phase = 0

[[fault]]
target = "kafka"
kind = "down"
at = "1s"
for = "1s"

[[fault]]
target = "postgres-server"
kind = "kill"
at = "3s"
for = "1s"

[[fault]]
target = "kafka-server"
kind = "pause"
at = "8s"
for = "1s"

[strategy.polling]
kind = "polling"

[expect.polling]
lost = 0
"#;

/// Containers are counted, and docker-compose.yml has ports of its own, so one test has the engine to itself. `None` where
/// the test is not asked for, or there is nothing to ask: then it is named as not done.
async fn engine() -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::const_new(());
    if std::env::var_os(ASKED_FOR).is_none() {
        not_done("is run by `make test-docker`");
        return None;
    }
    let turn = TURN.lock().await;
    match docker_is_usable() {
        Ok(()) => Some(turn),
        Err(reason) => {
            not_done(&reason.replace('\n', ": "));
            None
        }
    }
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// The names of all containers of stacks, whatever their state.
fn containers() -> BTreeSet<String> {
    let mut docker = Command::new("docker");
    let listed = docker.args(["ps", "--all", "--format", "{{.Names}}"]);
    let listed = listed.output().unwrap();
    assert!(listed.status.success(), "{}", said(&listed));
    let names = String::from_utf8(listed.stdout).unwrap();
    let of_stacks = names
        .lines()
        .filter(|name| name.starts_with("outbox-harness-"));
    of_stacks.map(str::to_owned).collect()
}

/// A stack of containers below `folder`.
fn docker(folder: &Path) -> Provider {
    Provider::Docker {
        data: folder.join("data"),
        logs: folder.join("logs"),
        programs: None,
        jit: Jit::C1,
        settings: ServerSettings::default(),
    }
}

/// The addresses at which processes of this tree listen, as /proc has them.
fn listening(child: &Child) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for pid in child.tree() {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let files = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        let sockets: BTreeSet<PathBuf> = files.collect();
        for table in ["tcp", "tcp6"] {
            let table = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap();
            for line in table.lines().skip(1) {
                let fields: Vec<&str> = line.split_ascii_whitespace().collect();
                let socket = PathBuf::from(format!("socket:[{}]", fields[9]));
                if fields[3] == "0A" && sockets.contains(&socket) {
                    found.insert(fields[1].rsplit_once(':').unwrap().0.to_owned());
                }
            }
        }
    }
    found
}

/// Has the program run a scenario, again where the machine was too busy for what it says of that.
fn run(folder: &Path, scenario: &str, options: &[&str]) -> (Output, Record) {
    let (file, record) = (folder.join("scenario.toml"), folder.join("record.json"));
    std::fs::write(&file, scenario).unwrap();
    let mut tries = 0;
    loop {
        let mut command = Command::new(HARNESS);
        command.arg("run").arg(&file).args(options);
        command.arg("--out").arg(folder.join("runs"));
        let output = command.arg("--json").arg(&record).output().unwrap();
        assert!(record.exists(), "{}", said(&output));
        let text = std::fs::read(&record).unwrap();
        let record: Record = serde_json::from_slice(&text).unwrap();
        tries += 1;
        if tries == TRIES || !was_too_busy(&record) {
            return (output, record);
        }
    }
}

#[tokio::test]
async fn given_a_stack_of_containers_when_servers_are_killed_and_paused_then_it_is_as_with_processes()
 {
    let Some(_turn) = engine().await else { return };
    // Given a stack, with a row in its database
    let (folder, before) = (tempfile::tempdir().unwrap(), containers());
    let stack = Stack::start(docker(folder.path()), &reaper())
        .await
        .unwrap();
    assert_eq!(stack.info().provider, "docker");
    assert_eq!(containers().difference(&before).count(), 3);
    let mut session = connect(&stack.info().postgres).await;
    session
        .execute("create table kept as select 1 as one")
        .await
        .unwrap();
    // Then nobody but this machine can reach it
    let loopback = ["0100007F", "0000000000000000FFFF00000100007F"].map(str::to_owned);
    let (postgres, kafka) = (
        stack.server(Victim::POSTGRES).unwrap(),
        stack.server(Victim::KAFKA).unwrap(),
    );
    for server in [postgres, kafka, stack.toxiproxy().unwrap()] {
        let listens = listening(server);
        assert!(!listens.is_empty(), "{}", server.name());
        assert!(
            listens.is_subset(&loopback.clone().into()),
            "{}: {listens:?}",
            server.name()
        );
    }

    // When the database is killed and started again, then the row is there
    postgres.kill().await.unwrap();
    assert!(!postgres.is_alive());
    assert_eq!(postgres.exit_code(), None, "it was ended by a signal");
    assert!(postgres.own_end().is_none());
    postgres.restart().await.unwrap();
    let mut session = connect(&stack.info().postgres).await;
    let one: i32 = sqlx::query_scalar("select one from kept")
        .fetch_one(&mut session)
        .await
        .unwrap();
    assert_eq!(one, 1);

    // When Kafka is paused, then all of it stands still until it goes on
    kafka.pause().await.unwrap();
    let still = stillness::threads(&kafka.tree());
    assert!(still.total > 5 && still.stopped == still.total, "{still:?}");
    kafka.resume().await.unwrap();
    assert_eq!(stillness::threads(&kafka.tree()).stopped, 0);
    // And one that is paused can be killed as well
    kafka.pause().await.unwrap();
    kafka.kill().await.unwrap();
    kafka.restart().await.unwrap();

    // When it is stopped, then only its logs are left
    stack.stop().await.unwrap();
    assert_eq!(containers(), before);
    let left = std::fs::read_dir(folder.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["logs"]);
}

#[tokio::test]
async fn given_faults_on_servers_in_containers_when_run_then_each_bites_and_an_outbox_loses_nothing()
 {
    let Some(_turn) = engine().await else { return };
    let (folder, before) = (tempfile::tempdir().unwrap(), containers());

    let (output, record) = run(folder.path(), SCENARIO, &["--stack", "docker"]);

    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(record.verdict, Verdict::Pass);
    assert_eq!(record.stack.provider, "docker");
    let faults = &record.strategies[0].faults;
    assert_eq!(faults.len(), 3);
    assert!(
        faults.iter().all(|fault| fault.bit == Some(true)),
        "{faults:?}"
    );
    assert_eq!(containers(), before);
}

#[tokio::test]
async fn given_a_harness_that_is_killed_when_its_containers_run_then_they_are_gone_soon() {
    let Some(_turn) = engine().await else { return };
    let (folder, before) = (tempfile::tempdir().unwrap(), containers());
    let file = folder.path().join("scenario.toml");
    std::fs::write(&file, SCENARIO).unwrap();
    // As soon as one is made, and when all of them run
    for made in [1, 3] {
        let mut harness = Command::new(HARNESS)
            .arg("run")
            .arg(&file)
            .args(["--stack", "docker", "--out"])
            .arg(folder.path().join("runs"))
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let since = Instant::now();
        while containers().difference(&before).count() < made {
            assert!(since.elapsed() < PATIENCE, "no container was made");
        }

        kill(Pid::from_raw(harness.id() as i32), Signal::SIGKILL).unwrap();
        harness.wait().unwrap();

        eventually("its containers are removed", || containers() == before);
    }
}

#[tokio::test]
async fn given_docker_compose_up_when_run_on_as_the_file_says_then_its_verdict_comes() {
    let Some(_turn) = engine().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let compose = |arguments: &[&str]| {
        let mut docker = Command::new("docker");
        docker
            .current_dir(top())
            .args(["compose", "--project-name", "outbox-harness-tests"])
            .args(arguments);
        docker.output().unwrap()
    };
    let up = compose(&["up", "--detach", "--wait", "--no-build"]);
    // Given the stack of docker-compose.yml
    assert!(up.status.success(), "{}", said(&up));
    let link_fault = SCENARIO.split("[[fault]]").take(2).collect::<Vec<_>>();
    let (_, strategies) = SCENARIO.split_once("[strategy.polling]").unwrap();
    let scenario = format!(
        "{}[strategy.polling]{strategies}",
        link_fault.join("[[fault]]")
    );
    let external = top().join("external.toml");

    let (output, record) = run(
        folder.path(),
        &scenario,
        &[
            "--stack",
            "external",
            "--external",
            external.to_str().unwrap(),
        ],
    );

    let down = compose(&["down", "--volumes", "--timeout", "0"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(record.strategies[0].faults[0].bit, Some(true));
    assert!(down.status.success(), "{}", said(&down));
}
