//! Whole runs with Debezium as the relay: clean without a fault, and killed in the middle.

use super::{only_run, record, run, run_in, secrets};
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
/// dies with events under way. A JVM needs seconds to come back, hence the long tail.
const KILLED: &str = r#"
name = "debezium-killed"
description = "The relay is killed while it waits for the broker."
seed = 7

[workload]
rate = 200
duration = "20s"

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

[strategy.debezium]
kind = "debezium"

[expect.debezium]
lost = 0
"#;

/// With this variable set, the run with large events is made as well; a minute and a half.
const LARGE_EVENTS: &str = "OUTBOX_HARNESS_LARGE_EVENTS";

/// What arrives while the broker is away does not fit the heap of 512 MiB.
const LARGE: &str = r#"
name = "debezium-large-events"
description = "Events of 700 KB, and Kafka is unreachable for 25 s."
seed = 7

[workload]
rate = 20
duration = "35s"
payload_bytes = 700_000
connections = 32

[[fault]]
target = "relay->kafka"
kind = "down"
at = "3s"
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
fn given_debezium_when_it_is_killed_while_it_waits_for_the_broker_then_nothing_is_lost() {
    let home = tempfile::tempdir().unwrap();

    let output = run(home.path(), KILLED, &[]);

    let strategy = passed(home.path(), &output);
    let counts = strategy.counts;
    let harms = (counts.lost, counts.undrained, counts.reordered);
    assert_eq!(harms, (Some(0), Some(0), Some(0)));
    let kill = strategy.faults.iter().find(|f| f.kind == "kill").unwrap();
    assert_eq!(kill.bit, Some(true), "{}", kill.evidence);
}

#[test]
fn given_debezium_and_large_events_when_the_broker_is_away_then_its_memory_suffices() {
    if std::env::var_os(LARGE_EVENTS).is_none() {
        eprintln!("left out: {LARGE_EVENTS} is not set");
        return;
    }
    let home = tempfile::tempdir().unwrap();

    let output = run(home.path(), LARGE, &[]);

    let strategy = passed(home.path(), &output);
    let counts = strategy.counts;
    assert_eq!((counts.lost, counts.undrained), (Some(0), Some(0)));
}
