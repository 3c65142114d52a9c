//! Good files: every value arrives as it was written.

use super::*;
use contract::config::Housekeeping;

#[test]
fn the_shortest_file_gets_the_defaults() {
    let s = parse("s.toml", &file(&[HEAD, LOAD, CDC])).unwrap();
    let w = &s.workload;
    assert_eq!(s.name, "x");
    assert_eq!((w.rate, w.duration), (500.0, Duration::from_secs(6)));
    assert_eq!(
        (w.changes_per_order, w.payload_bytes, w.connections),
        (3, 256, 1_064)
    );
    assert_eq!(w.clients, None);
    assert_eq!(w.request_timeout, Duration::from_secs(2));
    assert_eq!((w.rollback_ratio, w.hold_ratio), (0.02, 0.01));
    assert_eq!(w.hold, Duration::from_millis(20));
    assert_eq!((w.retries, w.skew, w.ramp), (0, 0.0, Duration::ZERO));
    assert_eq!((w.partitions, w.database_connections), (3, 16));
    assert_eq!(w.min_committed_per_phase, 100);
    assert_eq!(s.drain.within, Duration::from_secs(30));
    assert_eq!(s.drain.late_after, Duration::from_secs(15));
    assert_eq!(s.drain.settle, Duration::from_secs(2));
    assert_eq!(s.strategies[0].linger_ms, 0.0);
    assert!(!s.stack.synchronous_standby);
}

#[test]
fn every_key_is_read() {
    let text = r#"
name = "all"
description = "d"
seed = 7
[workload]
rate = 12.5
duration = "1m"
changes_per_order = 4
payload_bytes = 10
connections = 5
request_timeout = "1500ms"
rollback_ratio = 0.5
hold_ratio = 0
hold = "5ms"
retries = 2
skew = 1.1
ramp = "2s"
partitions = 6
postgres_connections = 7
min_committed_per_phase = 0
[[fault]]
target = "postgres"
kind = "slicer"
average_size = "2KiB"
size_variation = 10
delay = "20us"
toxicity = 0.5
stream = "upstream"
at = "20s"
for = "5s"
[[fault]]
target = "order-service"
kind = "kill"
at = "10s"
for = "5s"
[strategy.second]
kind = "polling"
after_publish = "mark"
interval = "7ms"
batch = 9
notify = true
synchronous_commit = "on"
linger = "1500us"
[strategy.first]
kind = "dual-write"
order = "publish-then-commit"
publish_timeout = "3s"
[expect.first]
phantom = ">= 1"
[expect.second]
lost = "<= 3"
drain = "<= 2500ms"
order_p999 = "<= 1s"
[drain]
within = "1m"
late_after = "2s"
settle = "1500ms"
[stack]
synchronous_standby = true
"#;
    let s = parse("s.toml", text).unwrap();
    let w = &s.workload;
    assert_eq!((s.seed, w.rate, w.changes_per_order), (7, 12.5, 4));
    assert_eq!((w.payload_bytes, w.connections, w.retries), (10, 5, 2));
    assert_eq!((w.hold_ratio, w.rollback_ratio, w.skew), (0.0, 0.5, 1.1));
    assert_eq!(
        (w.hold, w.ramp),
        (Duration::from_millis(5), Duration::from_secs(2))
    );
    assert_eq!(
        (
            w.partitions,
            w.database_connections,
            w.min_committed_per_phase
        ),
        (6, 7, 0)
    );
    assert_eq!(w.planned(), 12.5 * 59.0);
    assert_eq!(s.drain.settle, Duration::from_millis(1500));
    assert!(s.stack.synchronous_standby);
    // Faults by time, strategies as in the file.
    assert_eq!(s.faults[0].kind, FaultKind::Kill);
    assert_eq!(s.faults[0].target, Target::Process(Victim::OrderService));
    assert_eq!(
        s.faults[1].kind,
        FaultKind::Toxic {
            toxic: Toxic::Slicer {
                average_size: 2048,
                size_variation: 10,
                delay: 20
            },
            stream: Stream::Upstream,
            toxicity: 0.5,
        }
    );
    assert_eq!(s.faults[1].ends(), Some(Duration::from_secs(25)));
    let names: Vec<&str> = s.strategies.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["second", "first"]);
    assert_eq!(s.strategies[0].linger_ms, 1.5);
    assert_eq!(
        s.strategies[0].relay_commit,
        contract::config::CommitMode::On
    );
    assert_eq!(
        s.strategies[0].kind,
        StrategyKind::Polling {
            after_publish: AfterPublish::Mark,
            housekeeping: Housekeeping::None,
            interval: Duration::from_millis(7),
            batch: 9,
            notify: true,
        }
    );
    // What the file says of a relay, then the zeros that it does not override.
    let polling = &s.strategies[0].expectations;
    let said: Vec<(String, Comparison, f64, bool)> = polling
        .iter()
        .map(|e| (e.metric.name(), e.comparison, e.value, e.implicit))
        .collect();
    assert_eq!(said.len(), 3 + implicit().len() - 1);
    assert!(said.contains(&("lost".into(), Comparison::AtMost, 3.0, false)));
    assert!(said.contains(&("drain".into(), Comparison::AtMost, 2.5, false)));
    assert!(said.contains(&("order_p999".into(), Comparison::AtMost, 1000.0, false)));
    assert!(said.contains(&("phantom".into(), Comparison::Equal, 0.0, true)));
    assert_eq!(s.strategies[1].expectations.len(), 1);
    assert_eq!(s.strategies[1].expectations[0].text, ">= 1");
    assert_eq!(s.text, text);
}

#[test]
fn toxics_are_in_toxiproxys_units() {
    for (lines, expected) in [
        (
            "kind = \"latency\"\nlatency = \"1.5s\"\njitter = \"20ms\"",
            Toxic::Latency {
                latency: 1500,
                jitter: 20,
            },
        ),
        (
            "kind = \"bandwidth\"\nrate = \"2MB/s\"",
            Toxic::Bandwidth { rate: 2000 },
        ),
        (
            "kind = \"bandwidth\"\nrate = 64",
            Toxic::Bandwidth { rate: 64 },
        ),
        (
            "kind = \"slow_close\"\ndelay = \"1s\"",
            Toxic::SlowClose { delay: 1000 },
        ),
        ("kind = \"timeout\"", Toxic::Timeout { timeout: 0 }),
        (
            "kind = \"reset_peer\"\ntimeout = \"5ms\"",
            Toxic::ResetPeer { timeout: 5 },
        ),
        (
            "kind = \"limit_data\"\nbytes = \"64KB\"",
            Toxic::LimitData { bytes: 64_000 },
        ),
    ] {
        let s = parse("s.toml", &with_fault(lines)).unwrap();
        let expected = FaultKind::Toxic {
            toxic: expected,
            stream: Stream::Downstream,
            toxicity: 1.0,
        };
        assert_eq!(s.faults[0].kind, expected);
    }
}

#[test]
fn given_a_closed_loop_when_it_is_read_then_it_has_clients_and_no_rate() {
    let load = "[workload]\nduration = \"6s\"\nload = \"closed\"\nclients = 8\n";
    let s = parse("s.toml", &file(&[HEAD, load, CDC])).unwrap();
    let w = &s.workload;
    assert_eq!((w.clients, w.connections, w.rate), (Some(8), 8, 0.0));
    assert_eq!(w.planned(), 6.0 * 8.0 * 2_500.0);
}

#[test]
fn given_no_ceiling_when_a_load_is_read_then_it_is_what_rate_and_timeout_ask_for_within_bounds() {
    for (lines, expected) in [
        ("rate = 500\nrequest_timeout = \"2s\"", 1_064),
        ("rate = 33.3\nrequest_timeout = \"1s\"", 34 + 64),
        ("rate = 20000\nrequest_timeout = \"2s\"", 10_000),
        (
            "rate = 2000\nrequest_timeout = \"10s\"\npayload_bytes = 900000",
            1_193,
        ),
    ] {
        let load = format!("[workload]\nduration = \"6s\"\n{lines}\n");
        let s = parse("s.toml", &file(&[HEAD, &load, CDC])).unwrap();
        assert_eq!(s.workload.connections, expected, "{lines}");
    }
}

#[test]
fn given_events_that_are_the_truth_when_read_then_they_are_polled_unless_the_file_says_that_the_log_is()
 {
    let kind = |lines: &str| {
        let s = parse("s.toml", &file(&[HEAD, LOAD, EVENTS, lines])).unwrap();
        let topology = s.strategies[0].topology();
        assert!(topology.has_relay() && topology.has_outbox && topology.tells_pending);
        (s.strategies[0].kind.clone(), topology.reads_log)
    };
    let polled = |interval_ms, batch| {
        let publish = Publishing::Polling {
            interval: Duration::from_millis(interval_ms),
            batch,
        };
        (StrategyKind::EventSourcing { publish }, false)
    };
    assert_eq!(kind(""), polled(5, 500));
    let all = "publish = \"polling\"\ninterval = \"20ms\"\nbatch = 7\n";
    assert_eq!(kind(all), polled(20, 7));
    let publish = Publishing::Cdc;
    let logged = (StrategyKind::EventSourcing { publish }, true);
    assert_eq!(kind("publish = \"cdc\"\n"), logged);
}
