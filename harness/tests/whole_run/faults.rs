//! Faults of every kind in whole runs, a few runs with many of them: each is judged to have bitten.

use super::{all, only_run, record, run};
use reports::record::{Fault, Record};

/// What a relay strategy can meet, one after the other.
const EVERY_KIND: &str = r#"
name = "every-kind"
description = "Faults of every kind on links and processes."
seed = 7

[workload]
rate = 150
duration = "28s"
connections = 128
request_timeout = "1s"
min_committed_per_phase = 0

[[fault]]
target = "relay"
kind = "pause"
at = "1500ms"
for = "700ms"

[[fault]]
target = "relay->kafka"
kind = "bandwidth"
rate = "10KB/s"
stream = "upstream"
at = "3500ms"
for = "1s"

[[fault]]
target = "relay->kafka"
kind = "slicer"
average_size = 64
size_variation = 10
delay = "10us"
stream = "upstream"
at = "5500ms"
for = "700ms"

[[fault]]
target = "relay->kafka"
kind = "limit_data"
bytes = 5000
stream = "upstream"
at = "7s"
for = "800ms"

[[fault]]
target = "orders->postgres"
kind = "timeout"
stream = "downstream"
at = "9s"
for = "800ms"

[[fault]]
target = "orders->postgres"
kind = "reset_peer"
stream = "upstream"
at = "11500ms"
for = "700ms"

[[fault]]
target = "order-service"
kind = "pause"
at = "13500ms"
for = "700ms"

[[fault]]
target = "orders->postgres"
kind = "slow_close"
delay = "300ms"
stream = "upstream"
at = "15500ms"
for = "1200ms"

[[fault]]
target = "order-service"
kind = "kill"
at = "15900ms"
for = "500ms"

[[fault]]
target = "postgres-server"
kind = "kill"
at = "18s"
for = "700ms"

[strategy.polling]
kind = "polling"

[expect.polling]
lost = 0
"#;

/// A deployment of everything, one after the other.
const RESTARTS: &str = r#"
name = "restarts"
description = "Everything is restarted once, as it is told to."
seed = 7

[workload]
rate = 100
duration = "22s"
connections = 128
request_timeout = "1s"
min_committed_per_phase = 0

[[fault]]
target = "relay"
kind = "restart"
at = "1500ms"
for = "500ms"

[[fault]]
target = "order-service"
kind = "restart"
at = "5s"
for = "500ms"

[[fault]]
target = "postgres-server"
kind = "restart"
at = "9s"
for = "500ms"

[[fault]]
target = "kafka-server"
kind = "restart"
at = "13s"
for = "500ms"

[strategy.cdc]
kind = "cdc"

[expect.cdc]
lost = 0
"#;

/// What a dual write can meet that publishes first.
const PUBLISH_FIRST: &str = r#"
name = "publish-first"
description = "Publish, then commit, while the broker is slow, and gone."
seed = 7

[workload]
rate = 100
duration = "17s"
connections = 128
request_timeout = "1s"
min_committed_per_phase = 0

[[fault]]
target = "orders->kafka"
kind = "latency"
latency = "200ms"
stream = "downstream"
at = "13s"
for = "1700ms"

[[fault]]
target = "kafka-server"
kind = "kill"
at = "4s"
for = "500ms"

# While answers of the broker are on their way: what was published cannot be committed.
[[fault]]
target = "orders->postgres"
kind = "down"
at = "14s"
for = "700ms"

[strategy.naive]
kind = "dual-write"
order = "publish-then-commit"
publish_timeout = "500ms"

[expect.naive]
phantom = ">= 1"
"#;

/// A reader of the log with hardly anything to do, but with a third of the transactions open.
const HELD_OPEN: &str = r#"
name = "held-open"
description = "The relay is killed while transactions are open in the log that it reads."
seed = 7

[workload]
rate = 20
duration = "7s"
connections = 128
postgres_connections = 48
hold_ratio = 0.34
hold = "3s"
request_timeout = "6s"
min_committed_per_phase = 0

[[fault]]
target = "relay"
kind = "kill"
at = "3500ms"
for = "200ms"

[strategy.cdc]
kind = "cdc"

[expect.cdc]
lost = 0
"#;

/// Runs it, and gives the faults of its one strategy; all of them bit.
#[track_caller]
fn all_bit(scenario: &str) -> (Record, Vec<Fault>) {
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), scenario, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_ne!(output.status.code(), Some(4), "{said}");
    let record = record(&only_run(home.path()));
    let faults = record.strategies[0].faults.clone();
    let unbitten: Vec<&Fault> = faults.iter().filter(|f| f.bit != Some(true)).collect();
    assert!(unbitten.is_empty(), "{unbitten:#?}\n{said}");
    for fault in &faults {
        println!("{} {}: {}", fault.kind, fault.target, fault.evidence);
    }
    (record, faults)
}

#[test]
fn given_faults_of_every_kind_when_run_whole_then_each_bit_and_nothing_is_lost() {
    let (record, faults) = all_bit(EVERY_KIND);
    assert_eq!(faults.len(), 10);
    assert_eq!(record.strategies[0].counts.lost, Some(0));
}

#[test]
fn given_restarts_of_everything_when_run_whole_then_each_ended_as_told_and_nothing_is_lost() {
    if !all::is_asked_for() {
        return;
    }
    let (record, faults) = all_bit(RESTARTS);
    assert_eq!(faults.len(), 4);
    for fault in &faults {
        let evidence = &fault.evidence;
        assert!(evidence.contains("after it was told to end"), "{evidence}");
    }
    assert_eq!(record.strategies[0].counts.lost, Some(0));
    assert_eq!(record.strategies[0].counts.missing, Some(0));
}

#[test]
fn given_publish_then_commit_when_the_broker_is_slow_and_killed_then_each_fault_bit() {
    if !all::is_asked_for() {
        return;
    }
    let (record, faults) = all_bit(PUBLISH_FIRST);
    assert_eq!(faults.len(), 3);
    assert!(record.strategies[0].counts.phantom >= Some(1));
}

#[test]
fn given_transactions_open_in_the_log_when_its_reader_is_killed_then_it_was_missed_by_them() {
    let (_, faults) = all_bit(HELD_OPEN);
    let evidence = &faults[0].evidence;
    assert!(
        evidence.contains("open in the log that it read"),
        "{evidence}"
    );
}
