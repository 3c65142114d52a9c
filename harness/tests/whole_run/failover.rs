//! PostgreSQL is killed and its standby takes its place, in a whole run: with a slot that the standby has nothing is lost,
//! and without one the relay says so and ends, and what is lost is found.

use super::{only_run, programs, record, run};
use crate::all;
use crate::not_done::not_done;
use harness::stack::hot_standby_can_be;
use reports::record::{Strategy, Verdict};

const FAILOVER: &str = r#"
name = "failover"
description = "PostgreSQL's standby takes its place."
seed = 7

[stack]
hot_standby = true

[workload]
rate = 200
duration = "7s"
min_committed_per_phase = 0

[[fault]]
target = "postgres-server"
kind = "failover"
at = "2s"
for = "500ms"

[drain]
within = "10s"
settle = "200ms"

[strategy.with]
kind = "cdc"
failover_slot = true

[strategy.without]
kind = "cdc"

[strategy.message-without]
kind = "logical-message"

[strategy.events-without]
kind = "event-sourcing"
publish = "cdc"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn given_a_failover_when_the_standby_has_not_the_slot_then_what_is_lost_is_found_and_else_nothing_is()
 {
    if !all::is_asked_for() {
        return;
    }
    if let Err(lacking) = hot_standby_can_be(&programs()).await {
        return not_done(&lacking);
    }
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), FAILOVER, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    let record = record(&only_run(home.path()));
    let strategy = |name: &str| -> &Strategy {
        let mut all = record.strategies.iter();
        all.find(|s| s.name == name).unwrap()
    };
    for strategy in &record.strategies {
        let fault = &strategy.faults[0];
        let evidence = &fault.evidence;
        assert_eq!(fault.bit, Some(true), "{}: {evidence}", strategy.name);
        assert!(evidence.contains("that is the standby"), "{evidence}");
        // What was acknowledged, the standby has.
        assert_eq!(strategy.counts.missing, Some(0), "{}", strategy.name);
    }

    let with = strategy("with");
    assert_ne!(with.verdict, Verdict::Fail, "{:?}", with.reasons);
    let counts = &with.counts;
    let wrong = [counts.lost, counts.undrained, counts.phantom];
    assert_eq!(wrong, [Some(0); 3], "{counts:?}");

    // A table has it all; of messages nothing is left.
    let (without, events) = (strategy("without"), strategy("events-without"));
    for kept in [without, events] {
        assert!(kept.counts.undrained > Some(0), "{:?}", kept.counts);
        assert_eq!(kept.counts.lost, Some(0));
    }
    let messages = strategy("message-without");
    assert!(messages.counts.lost > Some(0), "{:?}", messages.counts);
    for strategy in [without, events, messages] {
        assert_eq!(strategy.verdict, Verdict::Fail, "{said}");
        let reasons = strategy.reasons.join("\n");
        assert!(reasons.contains("it exited with code 4"), "{reasons}");
        assert!(reasons.contains("SQLSTATE 42704"), "{reasons}");
    }
}
