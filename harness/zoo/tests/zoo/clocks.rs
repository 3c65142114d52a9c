//! Clocks: a broker with another one says nothing of the observer, and an observer that is late is
//! noticed whatever the broker's clock says.

use super::bench::ZOO;
use super::busy;
use super::case::{Case, USUAL};
use super::stacks;
use super::turn::{self, Turn};
use harness::history;
use harness::scenario::Link;
use relays::config::BrokerKind;
use reports::record::{Record, Verdict};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// What the broker's wall clock is behind ours.
const BEHIND_S: i64 = 2;
/// What the referee's answers from the broker are late.
const LATE: Duration = Duration::from_millis(300);
/// The client id of the referee's readers, as it stands in each of their requests.
const READER: &[u8] = b"outbox-harness-referee";
const BUFFER_BYTES: usize = 1 << 16;
/// Answers under way.
const UNDER_WAY: usize = 1_024;

#[test]
fn given_a_broker_with_another_clock_when_run_then_a_clean_run_passes_and_nothing_is_told_by_it() {
    let home = tempfile::tempdir().unwrap();
    let java_home = java_with_another_clock(home.path());
    let mut ran = run(&home.path().join("1"), &java_home, turn::beside_another());
    for again in 1..busy::TRIES {
        if !busy::was_too_busy(&ran.record) {
            break;
        }
        println!("the machine was too busy: {}", ran.said);
        let place = home.path().join(format!("{}", again + 1));
        ran = run(&place, &java_home, turn::alone());
    }
    let CleanRun {
        folder,
        record,
        said,
    } = ran;
    let reasons = &record.strategies[0].reasons;
    assert_eq!(record.verdict, Verdict::Pass, "{reasons:?}\n{said}");
    // The broker's clock was really behind
    let history = history::load(&folder.join("history/zoo")).unwrap().history;
    let row = history.log.at(0);
    let sighted = |s: &history::Sighting| (s.partition, s.offset) == (row.partition, row.offset);
    let seen_ns = history.sightings.iter().find(sighted).unwrap().seen_ns;
    let appended_ns = i128::from(row.append_ms) * 1_000_000 - history.meta.clock.origin_unix_ns;
    let behind_s = (i128::from(seen_ns) - appended_ns) as f64 / 1e9;
    assert!(
        (behind_s - BEHIND_S as f64).abs() < 0.5,
        "{behind_s} s behind"
    );
}

/// A run on a stack of its own.
struct CleanRun {
    folder: PathBuf,
    record: Record,
    said: String,
}

/// Runs a clean strategy on a stack whose broker is started with this Java.
fn run(home: &Path, java_home: &Path, _turn: Turn) -> CleanRun {
    let case = Case {
        strategy: "kind = \"cdc\"",
        more: "[expect.zoo]\nlate = 0\n\n[drain]\nlate_after = \"1500ms\"",
        ..USUAL
    };
    std::fs::create_dir_all(home).unwrap();
    let file = home.join("scenario.toml");
    std::fs::write(&file, case.scenario()).unwrap();
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.stack");
    let output = Command::new(ZOO)
        .arg("run")
        .arg(&file)
        .arg("--out")
        .arg(home.join("runs"))
        .env("OUTBOX_HARNESS_PROGRAMS", programs.canonicalize().unwrap())
        .env("JAVA_HOME", java_home)
        .env(zoo::DEFECT, "honest")
        .env(zoo::CONFESSION, home.join("confession"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut runs = std::fs::read_dir(home.join("runs")).unwrap();
    let folder = runs.next().expect(&said).unwrap().path();
    let record = std::fs::read(folder.join("record.json")).expect(&said);
    CleanRun {
        record: reports::json::parse(&record).unwrap(),
        folder,
        said,
    }
}

#[test]
fn given_an_observer_that_is_late_when_run_then_the_run_measured_the_observer() {
    let turn = turn::beside_another();
    let mut stack = stacks::of(&turn).clone();
    // The address that a listener of the broker advertises, so that clients stay on this way. Its
    // own link is not used here, and gets the other one's route.
    let own = stack.routes[&Link::ORDERS_KAFKA].clone();
    let other = stack.routes[&Link::RELAY_KAFKA].clone();
    stack.routes.insert(Link::ORDERS_KAFKA, other);
    stack.brokers.get_mut(&BrokerKind::Kafka).unwrap().address = own.connect;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind(&own.listen)).unwrap();
    runtime.spawn(accept(listener, own.upstream));

    let ran = turn.run_on(&stack, "honest", &USUAL.scenario(), |_| {});

    let strategy = ran.strategy();
    assert_eq!(strategy.verdict, Verdict::Unknown, "{:?}", strategy.reasons);
    let late = |reason: &String| reason.contains("ms after they were there at p99");
    assert!(strategy.reasons.iter().any(late), "{:?}", strategy.reasons);
}

/// The wall clock of whoever loads it is behind, and nothing else of it. (libfaketime moves timed waits
/// as well: a JVM takes a minute to start with it.) A C compiler is here, since Rust links with it.
fn another_clock(home: &Path) -> PathBuf {
    let (source, library) = (home.join("clock.c"), home.join("clock.so"));
    std::fs::write(&source, CLOCK).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1"])
        .arg(format!("-DBEHIND_S={BEHIND_S}"))
        .arg("-o")
        .args([&library, &source])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{said}");
    library
}

const CLOCK: &str = r"
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec -= BEHIND_S;
    return result;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    int result = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return result;
}
";

/// A Java home whose `java` is the one of this machine, with another wall clock.
fn java_with_another_clock(home: &Path) -> PathBuf {
    let library = another_clock(home);
    let java = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    let java = java.filter(|java| java.is_file()).unwrap_or_else(|| {
        let path = std::env::var_os("PATH").unwrap();
        let mut programs = std::env::split_paths(&path).map(|folder| folder.join("java"));
        programs
            .find(|java| java.is_file())
            .expect("there is a java")
    });
    let bin = home.join("java/bin");
    std::fs::create_dir_all(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\nLD_PRELOAD='{}' exec '{}' \"$@\"\n",
        library.display(),
        java.display()
    );
    let file = bin.join("java");
    std::fs::write(&file, script).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    home.join("java")
}

/// Forwards, and what comes back to the referee's readers comes late.
async fn accept(listener: TcpListener, upstream: String) {
    while let Ok((near, _)) = listener.accept().await {
        tokio::spawn(forward(near, upstream.clone()));
    }
}

async fn forward(near: TcpStream, upstream: String) -> io::Result<()> {
    let far = TcpStream::connect(upstream).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (mut from_client, mut to_client) = near.into_split();
    let (mut from_broker, mut to_broker) = far.into_split();
    let mut request = vec![0; BUFFER_BYTES];
    let length = from_client.read(&mut request).await?;
    request.truncate(length);
    let reader = request.windows(READER.len()).any(|part| part == READER);
    to_broker.write_all(&request).await?;
    let late = if reader { LATE } else { Duration::ZERO };
    let (answer, mut answers) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    tokio::spawn(async move {
        let mut buffer = vec![0; BUFFER_BYTES];
        while let Ok(length @ 1..) = from_broker.read(&mut buffer).await {
            let due = Instant::now() + late;
            if answer.send((due, buffer[..length].to_vec())).await.is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Some((due, bytes)) = answers.recv().await {
            sleep_until(due).await;
            if to_client.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    tokio::io::copy(&mut from_client, &mut to_broker)
        .await
        .map(drop)
}
