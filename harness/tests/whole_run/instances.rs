//! Two relays of one strategy in whole runs: faults on one of them by name, and on its links.

use super::{only_run, program, record, run_on_theirs};
use crate::all;
use reports::record::{Fault, Record};

/// The one that leads is killed; the one that took over hangs until it has lost its session.
const FAILOVER: &str = r#"
name = "failover"
description = "Of two relays one is killed, and the other hangs."
seed = 7

[workload]
rate = 200
duration = "12s"
min_committed_per_phase = 20

[[fault]]
id = "kill"
target = "relay"
kind = "kill"
when = { events = 200 }
for = "1s"

[[fault]]
target = "relay-2"
kind = "pause"
when = { fault = "kill", after = "2500ms" }
for = "5s"

[drain]
settle = "200ms"

[strategy.polling]
kind = "polling"
instances = 2

[strategy.cdc]
kind = "cdc"
instances = 2

[strategy.alone]
kind = "polling"

[expect.polling]
lost = 0
reordered = 0

[expect.cdc]
lost = 0
reordered = 0
"#;

/// Nobody misses a relay that stands by. Its links are links like any other.
const STANDBY: &str = r#"
name = "standby"
description = "The relay that stands by is killed, and cut off from Kafka."
seed = 7

[workload]
rate = 200
duration = "7s"
min_committed_per_phase = 20

[[fault]]
target = "relay-2->kafka"
kind = "down"
at = "1500ms"
for = "1s"

[[fault]]
target = "relay-2"
kind = "kill"
at = "4s"
for = "1s"

[drain]
settle = "200ms"

[strategy.cdc]
kind = "cdc"
instances = 2

[expect.cdc]
lost = 0
"#;

fn faults<'r>(record: &'r Record, strategy: &str) -> &'r [Fault] {
    let mut all = record.strategies.iter();
    &all.find(|s| s.name == strategy).unwrap().faults
}

#[test]
fn given_two_relays_when_one_is_killed_and_the_other_hangs_then_each_goes_on_for_the_other() {
    let home = tempfile::tempdir().unwrap();
    let output = run_on_theirs(home.path(), FAILOVER);
    let said = String::from_utf8_lossy(&output.stderr);
    let folder = only_run(home.path());
    let record = record(&folder);
    for strategy in &record.strategies {
        assert_eq!(
            output.status.code(),
            Some(0),
            "{:?}\n{said}",
            strategy.reasons
        );
        assert_eq!(
            (strategy.counts.lost, strategy.counts.reordered),
            (Some(0), Some(0))
        );
    }
    for strategy in ["polling", "cdc"] {
        let [killed, hung] = faults(&record, strategy) else {
            panic!("two faults: {:#?}", record.strategies);
        };
        assert!(
            killed.evidence.contains("and relay-2 took over"),
            "{killed:?}"
        );
        assert!(hung.evidence.contains("and relay took over"), "{hung:?}");
        // The server waits for three seconds until it ends the session of one that hangs
        let (after_kill, after_hang) = (killed.failover_s.unwrap(), hung.failover_s.unwrap());
        assert!(
            after_hang > 2.0 && after_kill < after_hang,
            "{after_kill} {after_hang}"
        );
    }
    // One relay alone has nobody who goes on for it, and no second one to be hit
    let [killed, hung] = faults(&record, "alone") else {
        panic!("two faults: {:#?}", record.strategies);
    };
    assert_eq!((killed.bit, killed.failover_s), (Some(true), None));
    assert_eq!((hung.bit, hung.failover_s), (None, None));
    assert!(
        hung.evidence.contains("with one relay has no relay-2"),
        "{hung:?}"
    );

    // Each relay has its costs, its log and its links
    let strategy = &record.strategies[0];
    for cost in ["relay cpu, s", "relay-2 cpu, s", "relay-2 peak memory, MiB"] {
        assert!(
            strategy.costs.get(cost).is_some_and(Option::is_some),
            "{cost}"
        );
    }
    assert_eq!(strategy.wiring["relay-2->kafka"], "direct");
    let log = folder.join("logs").join("polling.relay-2.log");
    assert!(log.is_file(), "{}", log.display());
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("fail-over after"), "{shown}");

    // And the history alone tells the same
    let checked = program().arg("check").arg(&folder).output().unwrap();
    let shown = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(0), "{shown}");
    let again = super::record(&folder);
    for (before, after) in record.strategies.iter().zip(&again.strategies) {
        assert_eq!(before.faults, after.faults);
    }
}

#[test]
fn given_a_relay_that_stands_by_when_it_is_killed_then_nobody_missed_it_and_nothing_is_proved() {
    if !all::is_asked_for() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let output = run_on_theirs(home.path(), STANDBY);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let record = record(&only_run(home.path()));
    let [cut, killed] = faults(&record, "cdc") else {
        panic!("two faults: {:#?}", record.strategies);
    };
    assert_eq!(cut.bit, Some(false), "{cut:?}");
    assert!(cut.evidence.contains("it stood by"), "{cut:?}");
    assert_eq!(
        (killed.bit, killed.failover_s),
        (Some(false), None),
        "{killed:?}"
    );
    assert!(killed.evidence.contains("it stood by"), "{killed:?}");
    let strategy = &record.strategies[0];
    assert_eq!(
        (strategy.counts.lost, strategy.counts.duplicated),
        (Some(0), Some(0))
    );
    assert_eq!(strategy.wiring["relay-2->kafka"], "proxied");
    assert_eq!(strategy.wiring["relay->kafka"], "direct");
    let told = strategy
        .reasons
        .iter()
        .any(|r| r.contains("`kill relay-2` did not bite"));
    assert!(told, "{:#?}", strategy.reasons);
}
