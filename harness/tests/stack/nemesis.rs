//! Each fault through the real Toxiproxy: it is in force, it bites real connections, the evidence
//! says so, and it is healed. The same fault with toxicity 0 does not bite.
#![allow(clippy::unwrap_used)]

mod bench;
mod processes;
mod snapshot;
mod triggers;

use crate::patience::PATIENCE;
use crate::stack;
use bench::{Bench, Traffic, echo, exchange, fault, history, load_from, toxic};
use harness::bite::Bite;
use harness::bite::bites;
use harness::nemesis::{Campaign, campaign, heal_all};
use harness::scenario::{Fault, FaultKind, Link, Start, Stream, Target, Toxic, Victim};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

const LINK: Link = Link::ORDERS_POSTGRES;

/// Echo traffic of messages of this size, one fault, judged.
async fn with_echo(bytes: usize, fault: Fault) -> (Campaign, Vec<Bite>) {
    let bench = Bench::to(&echo().await).await;
    let traffic = Traffic::start(&bench, vec![7; bytes], bytes);
    bench.suffer(&[fault], &traffic).await
}

#[tokio::test]
async fn down_bites() {
    let outcome = with_echo(100, fault(FaultKind::Down)).await;
    Bench::expect(&outcome, true);
}

#[tokio::test]
async fn latency_bites_and_with_toxicity_0_it_does_not() {
    let slow = Toxic::Latency {
        latency: 100,
        jitter: 20,
    };
    let (bites, spares) = tokio::join!(
        with_echo(100, toxic(slow, Stream::Downstream, 1.0)),
        with_echo(100, toxic(slow, Stream::Upstream, 0.0)),
    );
    Bench::expect(&bites, true);
    Bench::expect(&spares, false);
}

#[tokio::test]
async fn timeout_bites_in_both_directions_and_with_toxicity_0_it_does_not() {
    // Clients that wait for good send nothing more: what the last ones sent while the toxic was being
    // added would be all there is.
    let swallowed = async |stream, toxicity| {
        let bench = Bench::to(&echo().await).await;
        let patience = Duration::from_millis(500);
        let traffic = Traffic::start_with(&bench, vec![7; 100], 100, patience);
        let swallow = Toxic::Timeout { timeout: 0 };
        let fault = toxic(swallow, stream, toxicity);
        bench.suffer(&[fault], &traffic).await
    };
    let (up, down, spares) = tokio::join!(
        swallowed(Stream::Upstream, 1.0),
        swallowed(Stream::Downstream, 1.0),
        swallowed(Stream::Downstream, 0.0),
    );
    Bench::expect(&up, true);
    Bench::expect(&down, true);
    Bench::expect(&spares, false);
}

#[tokio::test]
async fn bandwidth_bites_in_both_directions_and_with_toxicity_0_it_does_not() {
    let narrow = Toxic::Bandwidth { rate: 50 };
    let (up, down, spares) = tokio::join!(
        with_echo(200_000, toxic(narrow, Stream::Upstream, 1.0)),
        with_echo(200_000, toxic(narrow, Stream::Downstream, 1.0)),
        with_echo(200_000, toxic(narrow, Stream::Downstream, 0.0)),
    );
    Bench::expect(&up, true);
    Bench::expect(&down, true);
    Bench::expect(&spares, false);
}

#[tokio::test]
async fn given_a_link_so_slow_that_every_request_is_given_up_when_judged_then_bandwidth_bit() {
    let bench = Bench::to(&echo().await).await;
    let patience = Duration::from_millis(250);
    let traffic = Traffic::start_with(&bench, vec![7; 200_000], 200_000, patience);
    let narrow = Toxic::Bandwidth { rate: 50 };
    let fault = toxic(narrow, Stream::Upstream, 1.0);
    let outcome = bench.suffer(&[fault], &traffic).await;
    Bench::expect(&outcome, true);
}

#[tokio::test]
async fn slicer_bites_in_both_directions_and_with_toxicity_0_it_does_not() {
    let slicer = Toxic::Slicer {
        average_size: 64,
        size_variation: 10,
        delay: 10,
    };
    let (up, down, spares) = tokio::join!(
        with_echo(2_000, toxic(slicer, Stream::Upstream, 1.0)),
        with_echo(2_000, toxic(slicer, Stream::Downstream, 1.0)),
        with_echo(2_000, toxic(slicer, Stream::Downstream, 0.0)),
    );
    Bench::expect(&up, true);
    Bench::expect(&down, true);
    Bench::expect(&spares, false);
}

#[tokio::test]
async fn limit_data_bites_in_both_directions_and_with_toxicity_0_it_does_not() {
    let limit = Toxic::LimitData { bytes: 3_000 };
    let (up, down, spares) = tokio::join!(
        with_echo(200, toxic(limit, Stream::Upstream, 1.0)),
        with_echo(200, toxic(limit, Stream::Downstream, 1.0)),
        with_echo(200, toxic(limit, Stream::Downstream, 0.0)),
    );
    Bench::expect(&up, true);
    Bench::expect(&down, true);
    Bench::expect(&spares, false);
}

#[tokio::test]
async fn reset_peer_bites_in_both_directions_and_with_toxicity_0_it_does_not() {
    let reset = Toxic::ResetPeer { timeout: 0 };
    let (up, down, spares) = tokio::join!(
        with_echo(100, toxic(reset, Stream::Upstream, 1.0)),
        with_echo(100, toxic(reset, Stream::Downstream, 1.0)),
        with_echo(100, toxic(reset, Stream::Downstream, 0.0)),
    );
    Bench::expect(&up, true);
    Bench::expect(&down, true);
    Bench::expect(&spares, false);
}

#[tokio::test]
async fn slow_close_bites_when_the_system_closes_and_with_toxicity_0_it_does_not() {
    let close = Toxic::SlowClose { delay: 800 };
    for (toxicity, bit) in [(1.0, true), (0.0, false)] {
        let bench = Bench::to(&echo().await).await;
        let traffic = Traffic::start(&bench, vec![7; 10], 10);
        let mut closing = Vec::new();
        for _ in 0..4 {
            closing.push(TcpStream::connect(&bench.connect).await.unwrap());
        }
        let close_them = async {
            bench.injected().await;
            for stream in closing {
                sleep(Duration::from_millis(200)).await;
                drop(stream);
            }
        };
        let fault = [toxic(close, Stream::Upstream, toxicity)];
        let (outcome, ()) = tokio::join!(bench.suffer(&fault, &traffic), close_them);
        Bench::expect(&outcome, bit);
    }
}

#[tokio::test]
async fn latency_is_seen_by_crossings_in_the_protocols_of_both_servers() {
    let slow = Toxic::Latency {
        latency: 100,
        jitter: 0,
    };
    let postgres = &stack().await.postgres;
    // What the probes send as well: it asks the server for nothing but a sign of life.
    let ssl_request = vec![0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
    let bench = Bench::to(&format!("{}:{}", postgres.host, postgres.port)).await;
    let mut client = TcpStream::connect(&bench.connect).await.unwrap();
    let traffic = Traffic {
        requests: Arc::default(),
        clients: Vec::new(),
    };
    let ask = async {
        bench.injected().await;
        exchange(&mut client, &ssl_request, 1).await;
    };
    let slow_upstream = [toxic(slow, Stream::Upstream, 1.0)];
    let (outcome, ()) = tokio::join!(bench.suffer(&slow_upstream, &traffic), ask);
    Bench::expect(&outcome, true);

    let mut bench = Bench::to(&stack().await.kafka_bootstrap).await;
    let (proxy, route) = bench.targets.proxies.remove(&LINK).unwrap();
    bench
        .targets
        .proxies
        .insert(Link::ORDERS_KAFKA, (proxy, route));
    let api_versions = vec![0, 0, 0, 12, 0, 18, 0, 0, 0, 0, 0, 1, 0, 2, b'o', b'h'];
    let traffic = Traffic::start(&bench, api_versions, 8);
    let on_kafka = Fault {
        target: Target::KAFKA,
        ..toxic(slow, Stream::Downstream, 1.0)
    };
    let outcome = bench.suffer(&[on_kafka], &traffic).await;
    Bench::expect(&outcome, true);
}

#[tokio::test]
async fn several_faults_on_one_link_end_each_at_its_own_time() {
    // given two downs that overlap and two toxics of one kind
    let bench = Bench::to(&echo().await).await;
    let traffic = Traffic::start(&bench, vec![7; 100], 100);
    let down = |at, lasts| Fault {
        start: Start::At(Duration::from_millis(at)),
        lasts: Duration::from_millis(lasts),
        ..fault(FaultKind::Down)
    };
    let slow = Toxic::Latency {
        latency: 30,
        jitter: 0,
    };
    let slow_for_long = Fault {
        start: Start::At(Duration::from_millis(400)),
        lasts: Duration::from_millis(2_200),
        ..toxic(slow, Stream::Downstream, 1.0)
    };
    let faults = [
        down(400, 600),
        down(800, 1_800),
        slow_for_long.clone(),
        slow_for_long,
    ];

    // when
    let (watched, toxiproxy) = (bench.proxy.clone(), bench.targets.toxiproxy.clone());
    let between = async {
        bench.healed().await;
        toxiproxy.inspect(&watched).await.unwrap().unwrap()
    };
    let ((campaign, bites), (enabled, toxics)) =
        tokio::join!(bench.suffer(&faults, &traffic), between);

    // then the first one's end did not end the second
    assert!(campaign.errors.is_empty(), "{:?}", campaign.errors);
    assert!(!enabled);
    assert_eq!(toxics.len(), 2);
    assert!(campaign.faults[0].healed_ns < campaign.faults[1].healed_ns);
    assert!(bites[0].bit, "{}", bites[0].evidence);
}

#[tokio::test]
async fn stopping_heals_at_once() {
    let bench = Bench::to(&echo().await).await;
    let (stop, stopped) = watch::channel(false);
    let long = Fault {
        lasts: Duration::from_secs(600),
        start: Start::At(Duration::ZERO),
        ..fault(FaultKind::Down)
    };
    let never = Fault {
        start: Start::At(Duration::from_secs(600)),
        ..fault(FaultKind::Down)
    };
    let from_ns = bench.targets.clock.now_ns();
    let faults = [long, never];
    let running = campaign(&faults, &bench.targets, load_from(from_ns), stopped);
    let stopping = async {
        while bench.targets.toxiproxy.inspect(&bench.proxy).await.unwrap() != Some((false, vec![]))
        {
            sleep(Duration::from_millis(10)).await;
        }
        stop.send(true).unwrap();
    };
    let (campaign, ()) = timeout(PATIENCE, async { tokio::join!(running, stopping) })
        .await
        .unwrap();

    assert!(campaign.errors.is_empty(), "{:?}", campaign.errors);
    assert!(campaign.faults[0].healed_ns.is_some());
    assert_eq!(campaign.faults[1].injected_ns, None);
    let proxies = [bench.proxy.clone()];
    bench
        .targets
        .toxiproxy
        .assert_healed(&proxies)
        .await
        .unwrap();
    bench.targets.toxiproxy.delete(&bench.proxy).await.unwrap();
}

#[tokio::test]
async fn a_campaign_that_is_dropped_half_way_heals_all_the_same() {
    let bench = Bench::to(&echo().await).await;
    let (_stop, stopped) = watch::channel(false);
    let long = Fault {
        lasts: Duration::from_secs(600),
        start: Start::At(Duration::ZERO),
        ..fault(FaultKind::Down)
    };
    let from_ns = bench.targets.clock.now_ns();
    let faults = [long];
    let toxiproxy = bench.targets.toxiproxy.clone();
    let in_force = async {
        while toxiproxy.inspect(&bench.proxy).await.unwrap() != Some((false, vec![])) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        _ = campaign(&faults, &bench.targets, load_from(from_ns), stopped) => panic!("it must not end"),
        () = in_force => {}
    }

    let healed = async {
        while toxiproxy.inspect(&bench.proxy).await.unwrap() != Some((true, vec![])) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, healed).await.unwrap();
    toxiproxy.delete(&bench.proxy).await.unwrap();
}

#[tokio::test]
async fn healing_all_is_idempotent_and_makes_lost_proxies_again() {
    let bench = Bench::to(&echo().await).await;
    let toxiproxy = &bench.targets.toxiproxy;
    let proxies = [bench.proxy.clone()];
    let slow = Toxic::Latency {
        latency: 10,
        jitter: 0,
    };
    toxiproxy
        .add_toxic(&bench.proxy, "left", slow, Stream::Upstream, 1.0)
        .await
        .unwrap();
    toxiproxy.set_enabled(&bench.proxy, false).await.unwrap();
    for _ in 0..2 {
        heal_all(&bench.targets).await.unwrap();
        toxiproxy.assert_healed(&proxies).await.unwrap();
    }
    toxiproxy.delete(&bench.proxy).await.unwrap();
    heal_all(&bench.targets).await.unwrap();
    assert!(TcpStream::connect(&bench.connect).await.is_ok());
    toxiproxy.delete(&bench.proxy).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_hit_is_an_error_and_what_is_not_there_is_left_alone() {
    let bench = Bench::to(&echo().await).await;
    let (_stop, stopped) = watch::channel(false);
    let at = |target, kind| Fault {
        id: None,
        target,
        start: Start::At(Duration::ZERO),
        lasts: Duration::from_millis(10),
        kind,
    };
    let faults = [
        at(Target::Link(Link::RELAY_KAFKA), FaultKind::Down),
        at(Target::Process(Victim::RELAY), FaultKind::Kill),
        at(Target::Link(Link::ORDERS_KAFKA), FaultKind::Down),
        at(Target::Process(Victim::KAFKA), FaultKind::Pause),
    ];
    let from_ns = bench.targets.clock.now_ns();
    let campaign = campaign(&faults, &bench.targets, load_from(from_ns), stopped).await;
    bench.targets.toxiproxy.delete(&bench.proxy).await.unwrap();

    assert!(campaign.faults.iter().all(|f| f.injected_ns.is_none()));
    let mut errors = campaign.errors.clone();
    errors.sort();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].contains("fault 2 (down on orders->kafka)"));
    assert!(errors[0].contains("does not go through a proxy"));
    assert!(errors[1].contains("--stack local"), "{errors:?}");
    let bites = bites(&history(&bench.targets, &faults, &campaign, Vec::new()));
    let bit: Vec<bool> = bites.iter().map(|b| b.bit).collect();
    assert_eq!(bit, [true, true, false, false]);
    assert!(
        bites[0]
            .evidence
            .starts_with("does not concern this strategy")
    );
}
