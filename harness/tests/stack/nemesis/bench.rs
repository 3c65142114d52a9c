//! A proxied link with real traffic on it, faults on it, and their judgement.

use super::LINK;
use crate::stack;
use harness::bite::Bite;
use harness::bite::bites;
use harness::clock::RunClock;
use harness::history::{History, Intent, Outcome, PartOf, Request, Rows, RunMeta};
use harness::identity::RunKey;
use harness::nemesis::{Campaign, Counts, FaultTargets, LoadWindow, Turn, campaign};
use harness::scenario::{
    BrokerChoice, Drain, Fault, FaultKind, Scenario, Start, Strategy, StrategyKind, Stream, Target,
    Toxic, Workload,
};
use harness::stack::Route;
use harness::toxiproxy::ToxiproxyClient;
use relays::config::{CommitMode, WriteOrder};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How long an exchange may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// A proxied link of its own, with its clock.
pub struct Bench {
    pub targets: FaultTargets,
    pub proxy: String,
    pub connect: String,
    announced: watch::Receiver<Vec<Turn>>,
}

impl Bench {
    pub async fn to(upstream: &str) -> Self {
        let toxiproxy = ToxiproxyClient::new(&stack().await.toxiproxy_url).unwrap();
        let proxy = format!("test.{}.{}", uuid::Uuid::new_v4().simple(), LINK.name());
        let listen = toxiproxy
            .create(&proxy, "127.0.0.1:0", upstream)
            .await
            .unwrap();
        let route = Route {
            listen: listen.clone(),
            upstream: upstream.to_owned(),
            connect: listen.clone(),
        };
        let (announcing, announced) = watch::channel(Vec::new());
        let targets = FaultTargets {
            strategy: strategy().topology(),
            toxiproxy,
            toxiproxy_process: None,
            proxies: BTreeMap::from([(LINK, (proxy.clone(), route))]),
            databases: BTreeMap::new(),
            processes: BTreeMap::new(),
            stops: BTreeMap::new(),
            brokers: BTreeMap::new(),
            topic: String::new(),
            reader: None,
            admin: None,
            hot_standby: None,
            clock: RunClock::start(),
            announce: Arc::new(move |said| {
                let turns = said.turn.into_iter().map(|(_, turn)| turn);
                announcing.send_modify(|all: &mut Vec<Turn>| all.extend(turns));
            }),
        };
        Self {
            targets,
            proxy,
            connect: listen,
            announced,
        }
    }

    /// Until the first fault is in force.
    pub async fn injected(&self) {
        self.announced(Turn::Injected).await;
    }

    /// Until the first fault is healed.
    pub async fn healed(&self) {
        self.announced(Turn::Healed).await;
    }

    async fn announced(&self, turn: Turn) {
        let mut announced = self.announced.clone();
        announced.wait_for(|all| all.contains(&turn)).await.unwrap();
    }

    /// Runs the faults from now on, judges them, checks that all is healed, and cleans up. They are
    /// judged as if every connection were meant: then toxicity 0 is what does not bite.
    pub async fn suffer(&self, faults: &[Fault], traffic: &Traffic) -> (Campaign, Vec<Bite>) {
        let (_stop, stopped) = watch::channel(false);
        let from_ns = self.targets.clock.now_ns();
        let campaign = campaign(faults, &self.targets, load_from(from_ns), stopped).await;
        let healed = self
            .targets
            .toxiproxy
            .assert_healed(std::slice::from_ref(&self.proxy))
            .await;
        self.targets.toxiproxy.delete(&self.proxy).await.unwrap();
        healed.unwrap();
        let mut meant = faults.to_vec();
        for fault in &mut meant {
            if let FaultKind::Toxic { toxicity, .. } = &mut fault.kind {
                *toxicity = 1.0;
            }
        }
        let history = history(&self.targets, &meant, &campaign, traffic.requests());
        let bites = bites(&history);
        (campaign, bites)
    }

    #[track_caller]
    pub fn expect(outcome: &(Campaign, Vec<Bite>), bit: bool) {
        let (campaign, bites) = outcome;
        assert!(campaign.errors.is_empty(), "{:?}", campaign.errors);
        let record = campaign.faults[0];
        assert!(record.injected_ns.unwrap() < record.healed_ns.unwrap());
        println!("{}", bites[0].evidence);
        assert_eq!(bites[0].bit, bit, "{}", bites[0].evidence);
    }
}

/// A load of an hour of which nothing comes.
pub fn load_from(from_ns: i64) -> LoadWindow {
    struct Nothing;
    impl Counts for Nothing {
        fn committed(&self) -> u64 {
            0
        }
        fn events(&self) -> u64 {
            0
        }
    }
    LoadWindow {
        from_ns,
        until_ns: from_ns + 3_600_000_000_000,
        counts: Arc::new(Nothing),
    }
}

pub fn strategy() -> StrategyKind {
    StrategyKind::DualWrite {
        order: WriteOrder::CommitThenPublish,
        publish_timeout: None,
        policy: relays::publish::PublishPolicy::default(),
    }
}

/// One fault on the link: after a second, since of some the link is looked at before, and for long enough that
/// a busy machine gets to it.
pub fn fault(kind: FaultKind) -> Fault {
    Fault {
        target: Target::Link(LINK),
        kind,
        id: None,
        start: Start::At(Duration::from_secs(1)),
        lasts: Duration::from_millis(2500),
    }
}

pub fn toxic(toxic: Toxic, stream: Stream, toxicity: f32) -> Fault {
    fault(FaultKind::Toxic {
        toxic,
        stream,
        toxicity,
    })
}

/// A server that sends everything back.
pub async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

/// Clients that exchange messages over the link for as long as they live, and connect again when
/// they lose it. An exchange is what a request is to the order service. After it they rest, the
/// longer the more it was: a link that is always full shows no fault that fills it.
pub struct Traffic {
    pub requests: Arc<Mutex<Vec<Request>>>,
    pub clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Traffic {
    pub fn start(bench: &Bench, message: Vec<u8>, reply_bytes: usize) -> Self {
        Self::start_with(bench, message, reply_bytes, PATIENCE)
    }

    /// The same with clients that give an exchange up after so long, and connect again.
    pub fn start_with(
        bench: &Bench,
        message: Vec<u8>,
        reply_bytes: usize,
        patience: Duration,
    ) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let rest = Duration::from_millis(5 + message.len() as u64 / 4_000);
        let clients = (0..3)
            .map(|_| {
                let (address, clock) = (bench.connect.clone(), bench.targets.clock);
                let (message, requests) = (message.clone(), requests.clone());
                tokio::spawn(async move {
                    loop {
                        let connected = TcpStream::connect(&address).await;
                        let Ok(mut stream) = connected else {
                            sleep(Duration::from_millis(10)).await;
                            continue;
                        };
                        loop {
                            let sent_ns = clock.now_ns();
                            let exchanged = exchange(&mut stream, &message, reply_bytes);
                            let answered = timeout(patience, exchanged).await == Ok(true);
                            let row = request(sent_ns, clock.now_ns(), answered);
                            requests.lock().unwrap().push(row);
                            if !answered {
                                break;
                            }
                            sleep(rest).await;
                        }
                    }
                })
            })
            .collect();
        Self { requests, clients }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.clients.iter().for_each(|c| c.abort());
    }
}

pub async fn exchange(stream: &mut TcpStream, message: &[u8], reply_bytes: usize) -> bool {
    let mut reply = vec![0; reply_bytes];
    let work = async {
        stream.write_all(message).await?;
        stream.read_exact(&mut reply).await
    };
    matches!(timeout(PATIENCE, work).await, Ok(Ok(_)))
}

pub fn request(sent_ns: i64, ended_ns: i64, answered: bool) -> Request {
    Request {
        change: 0,
        order: 0,
        change_type: 0,
        intent: Intent::Commit,
        outcome: if answered {
            Outcome::Committed
        } else {
            Outcome::Unknown
        },
        status: 0,
        told_version: 0,
        intended_ns: sent_ns,
        sent_ns,
        ended_ns,
        lag_ns: 0,
        held_back: false,
    }
}

pub fn history(
    targets: &FaultTargets,
    faults: &[Fault],
    campaign: &Campaign,
    requests: Vec<Request>,
) -> History {
    let scenario = Scenario {
        name: "nemesis".into(),
        description: String::new(),
        seed: 0,
        workload: Workload {
            rate: 1.0,
            duration: Duration::from_secs(1),
            changes_per_order: 1,
            payload_bytes: 1,
            connections: 1,
            clients: None,
            request_timeout: Duration::from_secs(1),
            rollback_ratio: 0.0,
            hold_ratio: 0.0,
            hold: Duration::ZERO,
            retries: 0,
            skew: 0.0,
            ramp: Duration::ZERO,
            partitions: 1,
            database_connections: 1,
            min_committed_per_phase: 0,
            read_share: 0.0,
        },
        faults: faults.to_vec(),
        strategies: vec![Strategy {
            name: "s".into(),
            kind: strategy(),
            linger_ms: 0.0,
            relay_commit: CommitMode::default(),
            failover_slot: false,
            instances: 1,
            broker: BrokerChoice::default(),
            database: Default::default(),
            cache: None,
            expectations: Vec::new(),
            of_consumers: Vec::new(),
        }],
        drain: Drain {
            within: Duration::ZERO,
            late_after: Duration::ZERO,
            settle: Duration::ZERO,
        },
        order: Default::default(),
        consumers: Vec::new(),
        stack: Default::default(),
        text: String::new(),
    };
    History {
        meta: RunMeta {
            format: 1,
            scenario,
            strategy: "s".into(),
            part_of: PartOf::default(),
            key: RunKey::random(),
            clock: targets.clock,
            started_at: String::new(),
            topic: String::new(),
            topics: Vec::new(),
            made_of: None,
            schema: String::new(),
            proxied: vec![LINK],
            load_from_ns: 0,
            load_until_ns: 0,
            unoffered: 0,
            truth_lsn: None,
            wall_drift_ns: 0,
            uncommitted_records: 0,
            service_killed_at_teardown: false,
            interrupted: false,
            remarks: Vec::new(),
            heuristic: Vec::new(),
            trigger_notes: campaign.trigger_notes.clone(),
            stray_topics: Vec::new(),
            trace_cut_ns: None,
            consumers: Vec::new(),
            cache: None,
            deaths: Vec::new(),
            trace_dropped: 0,
            environment: BTreeMap::new(),
            sha256: BTreeMap::new(),
        },
        requests: requests.into_iter().collect(),
        truth: Rows::new(),
        log: Rows::new(),
        raw: Vec::new(),
        sightings: Rows::new(),
        partitions: Vec::new(),
        pending: Vec::new(),
        faults: campaign.faults.clone(),
        observations: campaign.observations.clone(),
        processes: Vec::new(),
        samples: Vec::new(),
        fences: Vec::new(),
        trace: Rows::new(),
        effects: Rows::new(),
        reads: Rows::new(),
        cached: Rows::new(),
    }
}
