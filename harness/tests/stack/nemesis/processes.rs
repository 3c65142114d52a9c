//! Kill and pause of real processes, and a Toxiproxy that no longer answers.

use super::LINK;
use super::bench::{Bench, echo, fault, history, load_from, request, strategy};
use crate::patience::PATIENCE;
use crate::{programs, reaper};
use futures::FutureExt;
use harness::bite::Bite;
use harness::bite::bites;
use harness::clock::RunClock;
use harness::history::{Life, Outcome, Request};
use harness::nemesis::{FaultTargets, campaign, heal_all};
use harness::process::supervised::ReadinessProbe;
use harness::process::{Child, ChildSpec, Ready, Stop};
use harness::scenario::{Fault, FaultKind, Start, StrategyKind, Target, Victim};
use harness::stack::Route;
use harness::toxiproxy::ToxiproxyClient;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// A process and its child, both busy all the time; what it is asked for is told by the test.
pub(super) async fn busy(name: &str, folder: &Path) -> Child {
    busy_once(name, folder, Arc::new(|| async { Ok(()) }.boxed())).await
}

async fn busy_once(name: &str, folder: &Path, ready: ReadinessProbe) -> Child {
    let script = "sh -c 'while :; do sleep 0.01; done' & while :; do sleep 0.01; done";
    running(script, name, folder, ready).await
}

async fn running(script: &str, name: &str, folder: &Path, ready: ReadinessProbe) -> Child {
    let spec = ChildSpec {
        name: name.into(),
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: Vec::new(),
        user: None,
        folder: Some(folder.to_owned()),
        log: folder.join("log"),
        ready: Ready::Answers(ready),
        ready_within: PATIENCE,
    };
    Child::start(spec, &reaper()).await.unwrap()
}

pub(super) fn targets(victim: Victim, child: &Child) -> FaultTargets {
    FaultTargets {
        strategy: strategy().topology(),
        toxiproxy: ToxiproxyClient::new("http://127.0.0.1:1").unwrap(),
        toxiproxy_process: None,
        proxies: BTreeMap::new(),
        databases: BTreeMap::new(),
        processes: BTreeMap::from([(victim, child.clone())]),
        stops: BTreeMap::new(),
        brokers: BTreeMap::new(),
        topic: String::new(),
        reader: None,
        admin: None,
        hot_standby: None,
        clock: RunClock::start(),
        announce: std::sync::Arc::new(|_| {}),
    }
}

fn on_process(victim: Victim, kind: FaultKind) -> Fault {
    Fault {
        target: Target::Process(victim),
        ..fault(kind)
    }
}

/// Runs one fault on a busy process and judges it with these requests, which are made from the
/// moments of injection and healing.
async fn hit(
    kind: FaultKind,
    requests: impl Fn(i64, i64) -> Vec<Request>,
) -> (Vec<Bite>, Vec<Life>) {
    let folder = tempfile::tempdir().unwrap();
    let victim = Victim::OrderService;
    let child = busy(victim.name(), folder.path()).await;
    let targets = targets(victim, &child);
    let (_stop, stopped) = watch::channel(false);
    let faults = [on_process(victim, kind)];
    let from_ns = targets.clock.now_ns();

    let campaign = campaign(&faults, &targets, load_from(from_ns), stopped).await;

    assert!(child.is_alive());
    assert!(campaign.errors.is_empty(), "{:?}", campaign.errors);
    let record = campaign.faults[0];
    let requests = requests(record.injected_ns.unwrap(), record.healed_ns.unwrap());
    let mut history = history(&targets, &faults, &campaign, requests);
    history.processes = child.events(&targets.clock);
    let lives = history.processes.iter().map(|e| e.life).collect();
    let bites = bites(&history);
    println!("{}", bites[0].evidence);
    (bites, lives)
}

#[tokio::test]
async fn a_kill_bites_when_something_was_in_flight_and_the_successor_worked() {
    // Long before its own time was up
    let cut_off = |at| request(at - 100_000_000, at, false);
    let later = |at| request(at + 1, at + 2, true);
    let (bites, lives) = hit(FaultKind::Kill, |injected, healed| {
        vec![cut_off(injected), later(healed)]
    })
    .await;
    assert!(bites[0].bit, "{}", bites[0].evidence);
    assert_eq!(lives, [Life::Exited, Life::Started, Life::Ready]);

    let (bites, _) = hit(FaultKind::Kill, |_, healed| vec![later(healed)]).await;
    assert!(!bites[0].bit, "{}", bites[0].evidence);
}

#[tokio::test]
async fn a_pause_bites_when_somebody_waited() {
    let waited = |injected: i64, healed: i64| vec![request(injected + 1, healed + 1, true)];
    let (bites, lives) = hit(FaultKind::Pause, waited).await;
    assert!(bites[0].bit, "{}", bites[0].evidence);
    assert_eq!(lives, [Life::Paused, Life::Resumed]);

    let (bites, _) = hit(FaultKind::Pause, |_, _| Vec::new()).await;
    assert!(!bites[0].bit, "{}", bites[0].evidence);
}

#[tokio::test]
async fn a_restart_bites_when_it_was_missed_and_the_successor_worked() {
    // It was refused until the successor was there
    let refused = |at| Request {
        outcome: Outcome::NotSent,
        ..request(at + 1, at + 2, false)
    };
    let later = |at| request(at + 1, at + 2, true);
    let (bites, lives) = hit(FaultKind::Restart, |injected, healed| {
        vec![refused(injected), later(healed)]
    })
    .await;
    assert!(bites[0].bit, "{}", bites[0].evidence);
    for told in [
        "ended by signal 15 ",
        " s after it was told to end, 1 request refused until",
    ] {
        assert!(bites[0].evidence.contains(told), "{}", bites[0].evidence);
    }
    let expected = [Life::Terminating, Life::Exited, Life::Started, Life::Ready];
    assert_eq!(lives, expected);

    let (bites, _) = hit(FaultKind::Restart, |_, healed| vec![later(healed)]).await;
    assert!(!bites[0].bit, "{}", bites[0].evidence);
}

/// Runs a restart on a process that runs this, with so long to end.
async fn restart(script: &str, folder: &Path, within: Duration) -> (Child, Vec<(Life, i32)>) {
    let victim = Victim::RELAY;
    let ready: ReadinessProbe = Arc::new(|| async { Ok(()) }.boxed());
    let child = running(script, victim.name(), folder, ready).await;
    let mut targets = targets(victim, &child);
    targets.strategy = StrategyKind::Cdc {}.topology();
    // SIGINT is ignored by all that a job in the background starts, and a shell cannot trap what is.
    let signal = Signal::SIGUSR1;
    targets.stops.insert(victim, Stop { signal, within });
    let (_stop, stopped) = watch::channel(false);
    // Its trap is set once it says so.
    while std::fs::read_to_string(child.log()).is_ok_and(|log| log.is_empty()) {
        sleep(Duration::from_millis(10)).await;
    }
    let faults = [on_process(victim, FaultKind::Restart)];
    let from_ns = targets.clock.now_ns();
    let campaign = campaign(&faults, &targets, load_from(from_ns), stopped).await;
    assert!(campaign.errors.is_empty(), "{:?}", campaign.errors);
    let events = child.events(&targets.clock);
    let lives = events.iter().map(|e| (e.life, e.exit)).collect();
    (child, lives)
}

#[tokio::test]
async fn given_a_process_with_a_signal_of_its_own_when_restarted_then_it_is_told_by_that_one() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap 'exit 7' USR1; echo up; while :; do sleep 0.01; done";
    let (child, lives) = restart(script, folder.path(), PATIENCE).await;
    assert_eq!(lives[..2], [(Life::Terminating, 0), (Life::Exited, -8)]);
    assert!(child.is_alive() && !child.is_to_return());
    assert_eq!(child.own_end(), None, "it ended because it was told to");
}

#[tokio::test]
async fn given_a_process_that_does_not_end_when_restarted_then_it_is_killed_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap '' USR1; echo up; while :; do sleep 0.01; done";
    let (child, lives) = restart(script, folder.path(), Duration::from_millis(100)).await;
    assert_eq!(lives[..2], [(Life::Terminating, 0), (Life::Exited, 9)]);
    assert!(child.is_alive());
}

#[tokio::test]
async fn given_a_process_that_was_told_to_end_when_all_is_healed_then_it_is_back_if_it_was_to_return()
 {
    let folder = tempfile::tempdir().unwrap();
    let child = busy(Victim::RELAY.name(), folder.path()).await;
    let targets = targets(Victim::RELAY, &child);
    child.end_for_now(&Stop::default()).await.unwrap();
    assert!(!child.is_alive());
    heal_all(&targets).await.unwrap();
    assert!(child.is_alive());
    // And not one that was told to end for good
    child.terminate(PATIENCE).await.unwrap();
    heal_all(&targets).await.unwrap();
    assert!(!child.is_alive());
}

#[tokio::test]
async fn a_fault_whose_task_panics_is_healed_all_the_same() {
    // given a link that is down while a restart panics
    let bench = Bench::to(&echo().await).await;
    let folder = tempfile::tempdir().unwrap();
    let victim = Victim::OrderService;
    let asked = Arc::new(AtomicU32::new(0));
    let ready: ReadinessProbe = Arc::new(move || {
        let time = asked.fetch_add(1, Ordering::Relaxed);
        async move {
            assert_ne!(time, 1, "the second start panics, as this test wants it to");
            Ok(())
        }
        .boxed()
    });
    let child = busy_once(victim.name(), folder.path(), ready).await;
    let mut targets = bench.targets.clone();
    targets.processes.insert(victim, child.clone());
    let (_stop, stopped) = watch::channel(false);
    let faults = [on_process(victim, FaultKind::Kill), fault(FaultKind::Down)];
    let from_ns = targets.clock.now_ns();

    // when
    let campaign = campaign(&faults, &targets, load_from(from_ns), stopped).await;

    // then
    assert!(
        campaign.errors[0].contains("ended early"),
        "{:?}",
        campaign.errors
    );
    assert!(child.is_alive());
    let proxies = [bench.proxy.clone()];
    targets.toxiproxy.assert_healed(&proxies).await.unwrap();
    targets.toxiproxy.delete(&bench.proxy).await.unwrap();
}

#[tokio::test]
async fn overlapping_kills_and_pauses_of_one_process_end_with_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let victim = Victim::RELAY;
    let child = busy(victim.name(), folder.path()).await;
    let mut targets = targets(victim, &child);
    targets.strategy = StrategyKind::Cdc {}.topology();
    let (_stop, stopped) = watch::channel(false);
    let at = |kind, at, lasts| Fault {
        start: Start::At(Duration::from_millis(at)),
        lasts: Duration::from_millis(lasts),
        ..on_process(victim, kind)
    };
    let faults = [
        at(FaultKind::Pause, 0, 300),
        at(FaultKind::Pause, 100, 500),
        // Long after them: a busy machine is late.
        at(FaultKind::Kill, 4_000, 300),
        at(FaultKind::Kill, 4_100, 400),
    ];
    let from_ns = targets.clock.now_ns();
    let campaign = campaign(&faults, &targets, load_from(from_ns), stopped).await;

    assert!(campaign.errors.is_empty(), "{:?}", campaign.errors);
    let lives: Vec<Life> = child
        .events(&targets.clock)
        .iter()
        .map(|e| e.life)
        .collect();
    assert_eq!(
        lives,
        [
            Life::Paused,
            Life::Resumed,
            Life::Exited,
            Life::Started,
            Life::Ready
        ]
    );
    assert!(child.is_alive());
}

/// A process that does not start while there is a file of this name in its folder.
const CLOSED: &str = "closed";

async fn gated(name: &str, folder: &Path) -> Child {
    let script = format!(
        "test -e {CLOSED} && echo no way in && exit 6; echo works; while :; do sleep 0.01; done"
    );
    let spec = ChildSpec {
        name: name.into(),
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script],
        env: Vec::new(),
        user: None,
        folder: Some(folder.to_owned()),
        log: folder.join("log"),
        ready: Ready::Says(Arc::new(regex::Regex::new("^works$").unwrap())),
        ready_within: PATIENCE,
    };
    Child::start(spec, &reaper()).await.unwrap()
}

/// Kills a process that cannot be started again by then; the test does something when so many starts
/// have failed. With its errors.
async fn kill_gated(
    child: &Child,
    folder: &Path,
    starts: u64,
    meanwhile: impl FnOnce(&watch::Sender<bool>),
) -> (FaultTargets, Vec<String>) {
    let targets = targets(Victim::RELAY, child);
    let targets = FaultTargets {
        strategy: StrategyKind::Cdc {}.topology(),
        ..targets
    };
    let (stop, stopped) = watch::channel(false);
    let faults = [on_process(Victim::RELAY, FaultKind::Kill)];
    std::fs::write(folder.join(CLOSED), "").unwrap();
    let load = load_from(targets.clock.now_ns());
    let running = campaign(&faults, &targets, load, stopped);
    let meanwhile = async {
        while child.failed_starts().count < starts {
            sleep(Duration::from_millis(10)).await;
        }
        meanwhile(&stop);
    };
    let (campaign, ()) = tokio::join!(running, meanwhile);
    assert!(campaign.faults[0].healed_ns.is_some());
    (targets, campaign.errors)
}

#[tokio::test]
async fn given_a_process_that_cannot_start_when_its_kill_is_healed_then_it_is_tried_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let child = gated("relay", folder.path()).await;
    let (_, errors) = kill_gated(&child, folder.path(), 2, |_| {
        std::fs::remove_file(folder.path().join(CLOSED)).unwrap();
    })
    .await;
    assert!(errors.is_empty(), "{errors:?}");
    assert!(child.is_alive());
    assert_eq!(child.own_end(), None, "a start that failed is no death");
    let failed = child.failed_starts();
    assert!(failed.count >= 2, "{failed:?}");
    assert_eq!(failed.reason, "it was not ready yet and exited with code 6");
}

#[tokio::test]
async fn given_a_process_that_never_starts_again_then_that_is_its_end_and_no_failure_to_heal() {
    let folder = tempfile::tempdir().unwrap();
    let child = gated("relay", folder.path()).await;
    let (targets, errors) = kill_gated(&child, folder.path(), 1, |_| {}).await;
    assert!(errors.is_empty(), "{errors:?}");
    assert!(!child.is_alive());
    let death = child.own_death(&targets.clock).unwrap();
    assert!(
        death.how.starts_with("never became ready again in "),
        "{death:?}"
    );
    assert!(death.how.ends_with("exited with code 6"), "{death:?}");
    assert_eq!((death.exit, death.last_words.as_str()), (-7, "no way in"));
    // And it is left as it is
    std::fs::remove_file(folder.path().join(CLOSED)).unwrap();
    heal_all(&targets).await.unwrap();
    assert!(!child.is_alive());
}

#[tokio::test]
async fn given_a_process_that_cannot_start_when_it_is_told_to_stop_then_the_last_healing_starts_it()
{
    let folder = tempfile::tempdir().unwrap();
    let child = gated("relay", folder.path()).await;
    let (targets, errors) =
        kill_gated(&child, folder.path(), 1, |stop| stop.send(true).unwrap()).await;
    assert!(errors.is_empty(), "{errors:?}");
    assert!(!child.is_alive());
    assert_eq!(child.own_end(), None);
    std::fs::remove_file(folder.path().join(CLOSED)).unwrap();
    heal_all(&targets).await.unwrap();
    assert!(child.is_alive());
}

#[tokio::test]
async fn healing_all_resumes_the_paused_and_restarts_the_killed_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let victim = Victim::OrderService;
    let child = busy(victim.name(), folder.path()).await;
    let targets = targets(victim, &child);

    child.pause().await.unwrap();
    heal_all(&targets).await.unwrap();
    heal_all(&targets).await.unwrap();
    let lives: Vec<Life> = child
        .events(&targets.clock)
        .iter()
        .map(|e| e.life)
        .collect();
    assert_eq!(lives, [Life::Paused, Life::Resumed]);

    child.kill().await.unwrap();
    heal_all(&targets).await.unwrap();
    assert!(child.is_alive());

    child.terminate(PATIENCE).await.unwrap();
    heal_all(&targets).await.unwrap();
    assert!(!child.is_alive(), "one that was told to end stays ended");
}

#[tokio::test]
async fn a_toxiproxy_that_does_not_answer_is_restarted_with_its_proxies() {
    // given a Toxiproxy of our own, with a proxy that is down
    let folder = tempfile::tempdir().unwrap();
    let port = free_port().await;
    let url = format!("http://127.0.0.1:{port}");
    let asked = ToxiproxyClient::new(&url).unwrap();
    let spec = ChildSpec {
        name: "toxiproxy".into(),
        program: programs().join("bin/toxiproxy-server"),
        args: vec!["-host=127.0.0.1".into(), format!("-port={port}")],
        env: Vec::new(),
        user: None,
        folder: Some(folder.path().to_owned()),
        log: folder.path().join("log"),
        ready: Ready::Answers(Arc::new(move || {
            let asked = asked.clone();
            async move { asked.version().await.map(drop).map_err(|e| e.to_string()) }.boxed()
        })),
        ready_within: PATIENCE,
    };
    let server = Child::start(spec, &reaper()).await.unwrap();
    let toxiproxy = ToxiproxyClient::with_timeout(&url, Duration::from_millis(500)).unwrap();
    let upstream = echo().await;
    let listen = format!("127.0.0.1:{}", free_port().await);
    toxiproxy.create("p", &listen, &upstream).await.unwrap();
    let route = Route {
        listen: listen.clone(),
        upstream,
        connect: listen.clone(),
    };
    let targets = FaultTargets {
        strategy: strategy().topology(),
        toxiproxy: toxiproxy.clone(),
        toxiproxy_process: Some(server.clone()),
        proxies: BTreeMap::from([(LINK, ("p".to_owned(), route))]),
        databases: BTreeMap::new(),
        processes: BTreeMap::new(),
        stops: BTreeMap::new(),
        brokers: BTreeMap::new(),
        topic: String::new(),
        reader: None,
        admin: None,
        hot_standby: None,
        clock: RunClock::start(),
        announce: std::sync::Arc::new(|_| {}),
    };
    let (stop, stopped) = watch::channel(false);
    let long = Fault {
        start: Start::At(Duration::ZERO),
        lasts: Duration::from_secs(600),
        ..fault(FaultKind::Down)
    };
    let from_ns = targets.clock.now_ns();
    let faults = [long];

    // when it stops answering while the fault is in force
    let running = campaign(&faults, &targets, load_from(from_ns), stopped);
    let wedge = async {
        while toxiproxy.inspect("p").await.unwrap() != Some((false, vec![])) {
            sleep(Duration::from_millis(10)).await;
        }
        server.pause().await.unwrap();
        stop.send(true).unwrap();
    };
    let (campaign, ()) = tokio::join!(running, wedge);

    // then the proxy is back, and the run says that it was not healed in the ordinary way
    assert_eq!(campaign.errors.len(), 1, "{:?}", campaign.errors);
    assert!(
        campaign.errors[0].contains("wedged"),
        "{:?}",
        campaign.errors
    );
    assert!(campaign.faults[0].healed_ns.is_some());
    toxiproxy.assert_healed(&["p".to_owned()]).await.unwrap();
    assert!(TcpStream::connect(&listen).await.is_ok());
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}
