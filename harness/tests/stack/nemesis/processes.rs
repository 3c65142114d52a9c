//! Kill and pause of real processes, and a Toxiproxy that no longer answers.

use super::LINK;
use super::bench::{Bench, echo, fault, history, load_from, request, strategy};
use crate::{programs, reaper};
use futures::FutureExt;
use harness::bite::Bite;
use harness::bite::bites;
use harness::clock::RunClock;
use harness::history::{Life, Request};
use harness::nemesis::{Battlefield, campaign, heal_all};
use harness::process::supervised::Probe;
use harness::process::{Child, ChildSpec, Ready};
use harness::scenario::{Fault, FaultKind, Start, StrategyKind, Target, Victim};
use harness::stack::Route;
use harness::toxiproxy::Toxiproxy;
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
    busy_once(name, folder, Arc::new(|| async { true }.boxed())).await
}

async fn busy_once(name: &str, folder: &Path, ready: Probe) -> Child {
    let spec = ChildSpec {
        name: name.into(),
        program: "/bin/sh".into(),
        args: vec![
            "-c".into(),
            "sh -c 'while :; do sleep 0.01; done' & while :; do sleep 0.01; done".into(),
        ],
        env: Vec::new(),
        user: None,
        folder: Some(folder.to_owned()),
        log: folder.join("log"),
        ready: Ready::Answers(ready),
        ready_within: Duration::from_secs(10),
    };
    Child::start(spec, &reaper()).await.unwrap()
}

pub(super) fn field(victim: Victim, child: &Child) -> Battlefield {
    Battlefield {
        strategy: strategy(),
        toxiproxy: Toxiproxy::new("http://127.0.0.1:1").unwrap(),
        toxiproxy_process: None,
        proxies: BTreeMap::new(),
        processes: BTreeMap::from([(victim, child.clone())]),
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
    let field = field(victim, &child);
    let (_stop, stopped) = watch::channel(false);
    let faults = [on_process(victim, kind)];
    let from_ns = field.clock.now_ns();

    let campaign = campaign(&faults, &field, load_from(from_ns), stopped).await;

    assert!(child.is_alive());
    assert!(campaign.errors.is_empty(), "{:?}", campaign.errors);
    let record = campaign.faults[0];
    let requests = requests(record.injected_ns.unwrap(), record.healed_ns.unwrap());
    let mut history = history(&field, &faults, &campaign, requests);
    history.processes = child.events(&field.clock);
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
async fn a_fault_whose_task_panics_is_healed_all_the_same() {
    // given a link that is down while a restart panics
    let bench = Bench::to(&echo().await).await;
    let folder = tempfile::tempdir().unwrap();
    let victim = Victim::OrderService;
    let asked = Arc::new(AtomicU32::new(0));
    let ready: Probe = Arc::new(move || {
        let time = asked.fetch_add(1, Ordering::Relaxed);
        async move {
            assert_ne!(time, 1, "the second start panics, as this test wants it to");
            true
        }
        .boxed()
    });
    let child = busy_once(victim.name(), folder.path(), ready).await;
    let mut field = bench.field.clone();
    field.processes.insert(victim, child.clone());
    let (_stop, stopped) = watch::channel(false);
    let faults = [on_process(victim, FaultKind::Kill), fault(FaultKind::Down)];
    let from_ns = field.clock.now_ns();

    // when
    let campaign = campaign(&faults, &field, load_from(from_ns), stopped).await;

    // then
    assert!(
        campaign.errors[0].contains("ended early"),
        "{:?}",
        campaign.errors
    );
    assert!(child.is_alive());
    let proxies = [bench.proxy.clone()];
    field.toxiproxy.assert_healed(&proxies).await.unwrap();
    field.toxiproxy.delete(&bench.proxy).await.unwrap();
}

#[tokio::test]
async fn overlapping_kills_and_pauses_of_one_process_end_with_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let victim = Victim::Relay;
    let child = busy(victim.name(), folder.path()).await;
    let mut field = field(victim, &child);
    field.strategy = StrategyKind::Cdc {};
    let (_stop, stopped) = watch::channel(false);
    let at = |kind, at, lasts| Fault {
        start: Start::At(Duration::from_millis(at)),
        lasts: Duration::from_millis(lasts),
        ..on_process(victim, kind)
    };
    let faults = [
        at(FaultKind::Pause, 0, 300),
        at(FaultKind::Pause, 100, 500),
        at(FaultKind::Kill, 800, 300),
        at(FaultKind::Kill, 900, 400),
    ];
    let from_ns = field.clock.now_ns();
    let campaign = campaign(&faults, &field, load_from(from_ns), stopped).await;

    assert!(campaign.errors.is_empty(), "{:?}", campaign.errors);
    let lives: Vec<Life> = child.events(&field.clock).iter().map(|e| e.life).collect();
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

#[tokio::test]
async fn healing_all_resumes_the_paused_and_restarts_the_killed_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let victim = Victim::OrderService;
    let child = busy(victim.name(), folder.path()).await;
    let field = field(victim, &child);

    child.pause().await.unwrap();
    heal_all(&field).await.unwrap();
    heal_all(&field).await.unwrap();
    let lives: Vec<Life> = child.events(&field.clock).iter().map(|e| e.life).collect();
    assert_eq!(lives, [Life::Paused, Life::Resumed]);

    child.kill().await.unwrap();
    heal_all(&field).await.unwrap();
    assert!(child.is_alive());

    child.terminate(Duration::from_secs(5)).await.unwrap();
    heal_all(&field).await.unwrap();
    assert!(!child.is_alive(), "one that was told to end stays ended");
}

#[tokio::test]
async fn a_toxiproxy_that_does_not_answer_is_restarted_with_its_proxies() {
    // given a Toxiproxy of our own, with a proxy that is down
    let folder = tempfile::tempdir().unwrap();
    let port = free_port().await;
    let url = format!("http://127.0.0.1:{port}");
    let asked = Toxiproxy::new(&url).unwrap();
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
            async move { asked.version().await.is_ok() }.boxed()
        })),
        ready_within: Duration::from_secs(10),
    };
    let server = Child::start(spec, &reaper()).await.unwrap();
    let toxiproxy = Toxiproxy::with_timeout(&url, Duration::from_millis(500)).unwrap();
    let upstream = echo().await;
    let listen = format!("127.0.0.1:{}", free_port().await);
    toxiproxy.create("p", &listen, &upstream).await.unwrap();
    let route = Route {
        listen: listen.clone(),
        upstream,
        connect: listen.clone(),
    };
    let field = Battlefield {
        strategy: strategy(),
        toxiproxy: toxiproxy.clone(),
        toxiproxy_process: Some(server.clone()),
        proxies: BTreeMap::from([(LINK, ("p".to_owned(), route))]),
        processes: BTreeMap::new(),
        clock: RunClock::start(),
        announce: std::sync::Arc::new(|_| {}),
    };
    let (stop, stopped) = watch::channel(false);
    let long = Fault {
        start: Start::At(Duration::ZERO),
        lasts: Duration::from_secs(600),
        ..fault(FaultKind::Down)
    };
    let from_ns = field.clock.now_ns();
    let faults = [long];

    // when it stops answering while the fault is in force
    let running = campaign(&faults, &field, load_from(from_ns), stopped);
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
