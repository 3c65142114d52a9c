//! Whole runs with Debezium as the relay: clean without a fault, and killed in the middle.

use super::{all, only_run, record, run, run_in, secrets};
use reports::record::{Strategy, Verdict};
use std::path::Path;
use std::process::Output;

const STEADY: &str = r#"
name = "debezium-steady"
description = "No fault."
seed = 7

[workload]
rate = 300
duration = "3s"

[strategy.debezium]
kind = "debezium"

[expect.debezium]
lost = 0
duplicated = 0
unacknowledged = 0
"#;

/// As in relay-crash: the broker's acknowledgements take longer when the relay is killed, so that it
/// dies with events under way. A JVM needs seconds to come back; then it is paused, and each of its
/// servers dies.
const KILLED: &str = r#"
name = "debezium-killed"
description = "The relay is killed while it waits for the broker, and paused; broker and database crash."
seed = 7

[workload]
rate = 200
duration = "30s"
connections = 256
min_committed_per_phase = 0

[[fault]]
target = "relay->kafka"
kind = "latency"
latency = "600ms"
stream = "downstream"
at = "1500ms"
for = "1400ms"

[[fault]]
target = "relay"
kind = "kill"
at = "2400ms"
for = "600ms"

[[fault]]
target = "relay"
kind = "pause"
at = "12s"
for = "1s"

[[fault]]
target = "kafka-server"
kind = "kill"
at = "14s"
for = "500ms"

[[fault]]
target = "postgres-server"
kind = "kill"
at = "24s"
for = "500ms"

[drain]
within = "60s"
late_after = "60s"

[strategy.debezium]
kind = "debezium"

[expect.debezium]
lost = 0
undrained = 0
"#;

/// What arrives while the broker is away does not fit the heap of 512 MiB. Takes a minute and a half.
const LARGE: &str = r#"
name = "debezium-large-events"
description = "Events of 700 KB, and Kafka is unreachable for 25 s."
seed = 7

[workload]
rate = 20
duration = "38s"
payload_bytes = 700_000
connections = 32

[[fault]]
target = "relay->kafka"
kind = "down"
at = "6s"
for = "25s"

[strategy.debezium]
kind = "debezium"

[expect.debezium]
lost = 0
undrained = 0

[drain]
within = "60s"
late_after = "120s"
"#;

fn passed(home: &Path, output: &Output) -> Strategy {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let mut record = record(&only_run(home));
    assert_eq!(record.verdict, Verdict::Pass, "{text}");
    record.strategies.remove(0)
}

#[test]
fn given_no_fault_when_debezium_relays_then_every_event_comes_once_and_exactly() {
    let home = tempfile::tempdir().unwrap();

    // And surroundings whose proxy is not there: loopback needs none.
    let surroundings = [
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("http_proxy", "http://127.0.0.1:9"),
    ];
    let output = run_in(&surroundings, home.path(), STEADY, &[]);

    let strategy = passed(home.path(), &output);
    let secrets = secrets::files_with_passwords(&only_run(home.path()));
    assert!(
        secrets.contains(&"connect/debezium/connector.properties".to_owned()),
        "{secrets:?}"
    );
    let counts = strategy.counts;
    assert!(counts.committed >= Some(500), "{counts:?}");
    assert_eq!(counts.observed, counts.committed);
    assert_eq!(
        (
            counts.corrupted,
            counts.foreign,
            counts.reordered,
            counts.split
        ),
        (Some(0), Some(0), Some(0), Some(0))
    );
}

#[test]
fn given_debezium_when_it_is_killed_and_paused_and_its_servers_crash_then_each_fault_bit_and_nothing_is_lost()
 {
    if !all::is_asked_for() {
        return;
    }
    let home = tempfile::tempdir().unwrap();

    let output = run(home.path(), KILLED, &[]);

    let strategy = passed(home.path(), &output);
    let counts = strategy.counts;
    let harms = (counts.lost, counts.undrained, counts.reordered);
    assert_eq!(harms, (Some(0), Some(0), Some(0)));
    let unbitten = strategy.faults.iter().find(|f| f.bit != Some(true));
    assert!(unbitten.is_none(), "{unbitten:#?}");
    assert_eq!(strategy.faults.len(), 5);
}

#[test]
fn given_debezium_and_large_events_when_the_broker_is_away_then_its_memory_suffices() {
    if !all::is_asked_for() {
        return;
    }
    let home = tempfile::tempdir().unwrap();

    let output = run(home.path(), LARGE, &[]);

    // Some 350 MB come at once when the broker is back. Where the observer is seconds behind them, which it says, the
    // run is unknown; what is asked here does not depend on when anything was seen.
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{text}");
    let record = record(&only_run(home.path()));
    let strategy = &record.strategies[0];
    let counts = &strategy.counts;
    let harms = (counts.lost, counts.undrained, counts.duplicated);
    assert_eq!(harms, (Some(0), Some(0), Some(0)), "{text}");
    assert_eq!(counts.observed, counts.committed);
    assert_eq!(strategy.faults[0].bit, Some(true));
}
