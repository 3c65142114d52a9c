//! The load generator against an order service that answers, refuses, resets and keeps silent.

#![allow(clippy::unwrap_used)]

mod fake_service;
#[path = "../shared/patience.rs"]
mod patience;

use fake_service::{FakeService, Reaction, Seen};
use harness::clock::RunClock;
use harness::history::{Intent, NONE, Outcome, Request, Rows};
use harness::identity::{Identity, RunKey};
use harness::scenario::Workload;
use harness::workload::{self, Load, Offered, Progress};
use patience::PATIENCE;
use relays::order::{ChangeType, Directive};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

fn workload(rate: f64, duration: Duration) -> Workload {
    Workload {
        rate,
        duration,
        changes_per_order: 3,
        payload_bytes: 100,
        connections: 8,
        clients: None,
        request_timeout: Duration::from_secs(5),
        rollback_ratio: 0.0,
        hold_ratio: 0.0,
        hold: Duration::from_millis(20),
        retries: 0,
        skew: 0.0,
        ramp: Duration::ZERO,
        partitions: 1,
        database_connections: 1,
        min_committed_per_phase: 100,
        read_share: 0.0,
    }
}

fn load(service: SocketAddr, workload: Workload) -> Load {
    Load {
        service,
        workload,
        seed: 42,
        identity: Arc::new(RunKey::random().identity().unwrap()),
        clock: RunClock::start(),
        progress: Arc::new(Progress::default()),
    }
}

/// Offers a load from now on, to its end.
async fn offer(load: &Load) -> Offered {
    let (_keep, stop) = watch::channel(false);
    let from = load.clock.now_ns() + 20_000_000;
    let offered = workload::offer(load.clone(), from, stop).await;
    assert!(
        offered.requests.iter().all(|r| r.order != NONE),
        "attempts are dense"
    );
    for r in &offered.requests {
        assert!(r.sent_ns >= r.intended_ns && r.ended_ns >= r.sent_ns && r.lag_ns >= 0);
    }
    offered
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn count(offered: &Offered, outcome: Outcome) -> usize {
    offered
        .requests
        .iter()
        .filter(|r| r.outcome == outcome)
        .count()
}

/// Each request on the wire is what its row says.
fn assert_rows_match(identity: &Identity, requests: &Rows<Request>, seen: &[Seen], payload: usize) {
    for s in seen {
        let number = identity.attempt_number(s.body.attempt).unwrap();
        let row = requests.at(number as usize);
        assert_eq!(identity.order_index(s.order), Some(row.order));
        assert_eq!(identity.change_number(s.body.change_id), Some(row.change));
        assert!(identity.content_matches(number, payload, s.body.content.as_bytes()));
        let first = row.change_type == ChangeType::Placed.code();
        assert_eq!(first, s.path == "/orders");
        assert_eq!(
            s.body.to.map(ChangeType::code),
            (!first).then_some(row.change_type)
        );
        let intent = match s.body.directive {
            Directive::Commit => Intent::Commit,
            Directive::HoldMs(20) => Intent::Hold,
            Directive::HoldMs(other) => panic!("held for {other} ms"),
            Directive::Veto => Intent::Veto,
        };
        assert_eq!(intent, row.intent);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_service_gets_the_whole_schedule_and_each_order_its_versions_in_turn() {
    let service = FakeService::start(|_, _| Reaction::Commit).await;
    let load = load(
        service.address,
        Workload {
            hold_ratio: 0.1,
            ..workload(500.0, Duration::from_secs(1))
        },
    );
    let offered = offer(&load).await;

    assert_eq!((offered.requests.len(), offered.unoffered), (500, 0));
    assert_eq!(count(&offered, Outcome::Committed), 500);
    assert_eq!(workload::planned(&load.workload), 500);
    assert_eq!(load.progress.acknowledged.load(Ordering::Relaxed), 500);
    let mut intended: Vec<i64> = offered.requests.iter().map(|r| r.intended_ns).collect();
    intended.sort_unstable();
    assert!(
        intended.windows(2).all(|w| w[1] - w[0] == 2_000_000),
        "2 ms apart"
    );
    assert_eq!(
        offered.until_ns,
        offered.requests.iter().map(|r| r.ended_ns).max().unwrap()
    );

    let seen = service.seen();
    assert_eq!(seen.len(), 500);
    assert!(
        !seen.iter().any(|s| s.overlaps),
        "v+1 only after v's answer"
    );
    assert_rows_match(&load.identity, &offered.requests, &seen, 100);
    assert!(offered.requests.iter().any(|r| r.intent == Intent::Hold));
    let mut versions: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut by_time: Vec<Request> = offered.requests.iter().collect();
    by_time.sort_by_key(|r| r.sent_ns);
    for r in by_time {
        versions.entry(r.order).or_default().push(r.told_version);
    }
    assert!(versions.values().all(|v| [1, 2, 3].starts_with(v)));
    assert!(versions.values().filter(|v| v.len() == 3).count() >= 150);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_answer_has_its_outcome() {
    let kinds: [(Reaction, Outcome, u16); 10] = [
        (Reaction::Commit, Outcome::Committed, 201),
        (
            Reaction::Answer(200, r#"{"outcome":"committed","version":7}"#),
            Outcome::Committed,
            200,
        ),
        (
            Reaction::Answer(422, r#"{"outcome":"rejected","reason":"r"}"#),
            Outcome::Rejected,
            422,
        ),
        (
            Reaction::Answer(503, r#"{"error":"no database"}"#),
            Outcome::Unknown,
            503,
        ),
        (Reaction::Answer(404, ""), Outcome::Unknown, 404),
        (Reaction::Answer(201, "created"), Outcome::Unknown, 201),
        (
            Reaction::Bytes("HTTP/1.1 201 x\r\ncontent-length: 99\r\n\r\n{\"out"),
            Outcome::Unknown,
            201,
        ),
        (Reaction::Bytes("220 smtp ready\r\n"), Outcome::Unknown, 0),
        (Reaction::Bytes(""), Outcome::Unknown, 0),
        (Reaction::Reset, Outcome::Unknown, 0),
    ];
    for (reaction, outcome, status) in kinds {
        let once = std::sync::Mutex::new(Some(reaction));
        let service =
            FakeService::start(move |_, _| once.lock().unwrap().take().unwrap_or(Reaction::Commit))
                .await;
        // Given one connection, and a second tick that shows what became of the order
        let load = load(
            service.address,
            Workload {
                connections: 1,
                ..workload(20.0, ms(100))
            },
        );
        let offered = offer(&load).await;
        let both: Vec<Request> = offered.requests.iter().collect();
        let [first, second] = both[..] else {
            panic!("{} requests", both.len());
        };
        assert_eq!((first.outcome, first.status), (outcome, status));
        let goes_on = outcome != Outcome::Unknown;
        assert_eq!(second.order == first.order, goes_on, "{outcome:?} {status}");
        assert_eq!(second.outcome, Outcome::Committed);
        if first.told_version == 7 {
            assert_eq!(
                second.change_type,
                ChangeType::Amended.code(),
                "follows what it was told"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_is_not_sent_and_the_order_stays_usable() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let load = load(
        address,
        Workload {
            connections: 1,
            ..workload(200.0, ms(200))
        },
    );
    let offered = offer(&load).await;
    assert_eq!((offered.requests.len(), offered.unoffered), (40, 0));
    assert_eq!(count(&offered, Outcome::NotSent), 40);
    assert!(
        offered
            .requests
            .iter()
            .all(|r| r.order == 0 && r.status == 0)
    );
    let changes: HashSet<u32> = offered.requests.iter().map(|r| r.change).collect();
    assert_eq!(changes.len(), 40, "each is a change of its own");
    assert_eq!(load.progress.sent.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_unknown_after_the_timeout_and_the_order_is_left_alone() {
    let service = FakeService::start(|_, n| match n {
        0 => Reaction::Silence,
        _ => Reaction::Commit,
    })
    .await;
    let load = load(
        service.address,
        Workload {
            request_timeout: ms(150),
            ..workload(100.0, ms(300))
        },
    );
    let offered = offer(&load).await;
    let unknown: Vec<Request> = offered
        .requests
        .iter()
        .filter(|r| r.outcome == Outcome::Unknown)
        .collect();
    let [unknown] = unknown[..] else {
        panic!("{unknown:?}");
    };
    assert!(unknown.ended_ns - unknown.sent_ns >= 150_000_000);
    let of_the_order = offered.requests.iter().filter(|r| r.order == unknown.order);
    assert_eq!(of_the_order.count(), 1);
    assert_eq!(count(&offered, Outcome::Committed), 29);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_repeats_the_change_under_a_new_attempt_until_it_is_answered() {
    let tries = std::sync::Mutex::new(HashMap::new());
    let service = FakeService::start(move |seen, _| {
        let mut tries = tries.lock().unwrap();
        let n: &mut u32 = tries.entry(seen.body.change_id).or_default();
        *n += 1;
        // The first is lost before it is committed, the second after.
        match *n {
            1 => Reaction::Reset,
            2 => Reaction::Answer(503, ""),
            _ => Reaction::Commit,
        }
    })
    .await;
    let load = load(
        service.address,
        Workload {
            retries: 3,
            ..workload(50.0, ms(200))
        },
    );
    let offered = offer(&load).await;
    assert_eq!(offered.requests.len(), 30, "10 changes, 3 attempts each");
    let mut changes: HashMap<u32, Vec<Request>> = HashMap::new();
    for r in &offered.requests {
        changes.entry(r.change).or_default().push(r);
    }
    assert_eq!(changes.len(), 10);
    for attempts in changes.values() {
        let outcomes: Vec<Outcome> = attempts.iter().map(|r| r.outcome).collect();
        assert_eq!(
            outcomes,
            [Outcome::Unknown, Outcome::Unknown, Outcome::Committed]
        );
        assert!(attempts.windows(2).all(|w| {
            w[1].intended_ns > w[0].ended_ns
                && w[0].order == w[1].order
                && w[0].intent == w[1].intent
        }));
    }
    let ids: HashSet<_> = service.seen().iter().map(|s| s.body.attempt).collect();
    assert_eq!(ids.len(), 30);
    assert_rows_match(&load.identity, &offered.requests, &service.seen(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_repeated_at_most_so_many_times() {
    let service = FakeService::start(|_, _| Reaction::Answer(503, "")).await;
    let load = load(
        service.address,
        Workload {
            retries: 1,
            ..workload(50.0, ms(100))
        },
    );
    let offered = offer(&load).await;
    assert_eq!(offered.requests.len(), 10, "5 changes, 2 attempts each");
    assert_eq!(count(&offered, Outcome::Unknown), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_closed_by_the_service_costs_no_outcome() {
    let service = FakeService::start(|_, _| Reaction::CommitAndClose).await;
    let load = load(
        service.address,
        Workload {
            connections: 2,
            ..workload(50.0, ms(600))
        },
    );
    let offered = offer(&load).await;
    assert_eq!(count(&offered, Outcome::Committed), 30);
    assert_eq!(service.seen().len(), 30, "nothing is sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_service_makes_requests_late_but_not_the_generator() {
    // Given a service with half the capacity that the load asks of it
    let service = FakeService::start(|_, _| Reaction::CommitAfter(ms(20))).await;
    let load = load(
        service.address,
        Workload {
            connections: 1,
            ..workload(100.0, ms(500))
        },
    );
    let offered = offer(&load).await;
    // Then every tick is sent all the same, and its waiting counts from its intended start
    assert_eq!((offered.requests.len(), offered.unoffered), (50, 0));
    let last = offered.requests.last().unwrap();
    assert!(last.ended_ns - last.intended_ns > 400_000_000);
    let mut lags: Vec<i64> = offered.requests.iter().map(|r| r.lag_ns).collect();
    lags.sort_unstable();
    assert!(
        lags[25] < 50_000_000,
        "the generator itself was on time: {lags:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn vetoes_are_sent_as_such() {
    let service = FakeService::start(|seen, _| match seen.body.directive {
        Directive::Veto => Reaction::Answer(422, r#"{"outcome":"rejected","reason":"rule"}"#),
        _ => Reaction::Commit,
    })
    .await;
    let load = load(
        service.address,
        Workload {
            rollback_ratio: 0.3,
            ..workload(400.0, ms(500))
        },
    );
    let offered = offer(&load).await;
    let vetoed = offered
        .requests
        .iter()
        .filter(|r| r.intent == Intent::Veto)
        .count();
    assert!((30..90).contains(&vetoed), "{vetoed} of 200");
    assert!(
        offered
            .requests
            .iter()
            .all(|r| (r.intent == Intent::Veto) == (r.outcome == Outcome::Rejected))
    );
    assert_rows_match(&load.identity, &offered.requests, &service.seen(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_stopped_nothing_new_is_offered_and_what_was_sent_gets_its_outcome() {
    let service = FakeService::start(|_, _| Reaction::CommitAfter(ms(50))).await;
    let load = load(service.address, workload(100.0, Duration::from_secs(600)));
    let (fire, stop) = watch::channel(false);
    let running = tokio::spawn(workload::offer(load.clone(), load.clock.now_ns(), stop));
    while load.progress.acknowledged.load(Ordering::Relaxed) < 10 {
        tokio::task::yield_now().await;
    }
    fire.send(true).unwrap();
    let offered = tokio::time::timeout(PATIENCE, running)
        .await
        .unwrap()
        .unwrap();
    let sent = service.seen().len();
    assert_eq!(count(&offered, Outcome::Committed), sent);
    assert_eq!(offered.requests.len(), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_generator_that_is_late_while_every_connection_is_busy_when_it_has_ended_then_each_late_change_says_so()
 {
    let service = FakeService::start(|_, _| Reaction::CommitAfter(ms(2))).await;
    let one = Workload {
        connections: 1,
        ..workload(100.0, Duration::from_secs(1))
    };
    let load = load(service.address, one);
    let (_keep, stop) = watch::channel(false);

    // Its first half second is over before it begins.
    let began_ns = load.clock.now_ns();
    let from_ns = began_ns - 500_000_000;
    let offered = workload::offer(load, from_ns, stop).await;

    let late = offered.requests.iter().filter(|r| r.intended_ns < began_ns);
    let late: Vec<Request> = late.collect();
    assert_eq!(late.len(), 50);
    for request in late {
        assert!(request.lag_ns >= began_ns - request.intended_ns);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_answers_that_never_come_when_later_changes_are_due_then_they_are_sent_in_their_time()
{
    // Given a service that takes a change in silence for longer than the whole load lasts
    let service = FakeService::start(|_, _| Reaction::Silence).await;
    let load = load(
        service.address,
        Workload {
            connections: 1_000,
            request_timeout: Duration::from_secs(3),
            ..workload(200.0, Duration::from_secs(1))
        },
    );
    let offered = offer(&load).await;
    // Then all of them were outstanding together, none held back, and each sent when it was due
    assert_eq!((offered.requests.len(), offered.unoffered), (200, 0));
    assert_eq!(count(&offered, Outcome::Unknown), 200);
    assert_eq!(service.most_in_flight(), 200);
    assert!(offered.requests.iter().all(|r| !r.held_back));
    let mut late: Vec<i64> = offered
        .requests
        .iter()
        .map(|r| r.sent_ns - r.intended_ns)
        .collect();
    late.sort_unstable();
    assert!(late[100] < 100_000_000, "sent late: {late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_ceiling_when_more_are_due_then_it_holds_and_exactly_those_that_waited_say_so() {
    // Given room for three, and a service that keeps each of them for longer than the load lasts
    let service = FakeService::start(|_, _| Reaction::CommitAfter(ms(900))).await;
    let load = load(
        service.address,
        Workload {
            connections: 3,
            ..workload(20.0, ms(500))
        },
    );
    let offered = offer(&load).await;
    // Then three are sent when they are due, and the seven others when one of them is answered
    assert_eq!((offered.requests.len(), offered.unoffered), (10, 0));
    assert_eq!(service.most_in_flight(), 3);
    assert_eq!(service.opened(), 3);
    let held: Vec<bool> = offered.requests.iter().map(|r| r.held_back).collect();
    let expected: Vec<bool> = (0..10).map(|n| n >= 3).collect();
    assert_eq!(held, expected);
    for request in offered.requests.iter().filter(|r| r.held_back) {
        assert!(request.sent_ns - request.intended_ns >= 300_000_000);
        assert!(request.lag_ns < 300_000_000, "the generator was not late");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_service_that_is_slow_for_a_while_when_it_is_quick_again_then_few_connections_remain()
 {
    // Given two hundred outstanding changes at once
    let service = FakeService::start(|_, n| match n {
        0..200 => Reaction::CommitAfter(ms(1_000)),
        _ => Reaction::Commit,
    })
    .await;
    let load = load(
        service.address,
        Workload {
            connections: 1_000,
            ..workload(200.0, Duration::from_secs(600))
        },
    );
    let (fire, stop) = watch::channel(false);
    let from = load.clock.now_ns();
    let running = tokio::spawn(workload::offer(load.clone(), from, stop));
    wait_for(|| service.most_in_flight() > 100).await;
    // When they are answered, then all but a few close
    wait_for(|| service.connections() <= 20).await;
    let opened = service.opened();
    // And those that are left do all the work
    let sent = load.progress.sent.load(Ordering::Relaxed);
    wait_for(|| load.progress.sent.load(Ordering::Relaxed) > sent + 200).await;
    assert!(service.opened() < opened + 20, "connections are reused");
    fire.send(true).unwrap();
    let offered = running.await.unwrap();
    assert!(offered.requests.iter().all(|r| !r.held_back));
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_closed_loop_when_the_service_is_slow_then_never_more_than_its_clients_are_outstanding()
 {
    let service = FakeService::start(|_, n| match n {
        0..5 => Reaction::CommitAfter(ms(300)),
        _ if n % 3 == 0 => Reaction::Answer(503, ""),
        _ => Reaction::CommitAfter(ms(20)),
    })
    .await;
    let load = load(
        service.address,
        Workload {
            rate: 0.0,
            clients: Some(5),
            connections: 5,
            retries: 1,
            ..workload(1.0, Duration::from_secs(1))
        },
    );
    let offered = offer(&load).await;
    assert_eq!(offered.unoffered, 0);
    assert_eq!(service.most_in_flight(), 5);
    assert_eq!(service.opened(), 5);
    assert!(offered.requests.len() > 50, "{}", offered.requests.len());
    // What was sent was not due before: its time is service time
    for request in &offered.requests {
        assert!(!request.held_back);
        assert!(request.sent_ns - request.intended_ns < 300_000_000);
    }
    // And the loop is over when its time is, but for what was under way
    let until = offered.requests.iter().map(|r| r.sent_ns).max().unwrap();
    let first = offered.requests.iter().map(|r| r.sent_ns).min().unwrap();
    assert!(until - first < 2_000_000_000);
    assert_rows_match(&load.identity, &offered.requests, &service.seen(), 100);
}

async fn wait_for(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(ms(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok());
}
