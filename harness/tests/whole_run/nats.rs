//! NATS as the broker in a whole run: cut off, and killed; and what is said where there is none.

use super::{passed_on, says_what_brings};
use harness::scenario::Server;

/// A way of each sort to publish, none of which has Kafka.
const CUT_AND_KILLED: &str = r#"
name = "nats"
description = "NATS is cut off, then its server is killed."
seed = 7

[stack]
nats_sync_interval = "always"

[workload]
rate = 150
duration = "4s"
min_committed_per_phase = 20

[[fault]]
target = "broker"
kind = "down"
at = "1s"
for = "1s"

[[fault]]
target = "nats-server"
kind = "kill"
at = "2700ms"
for = "300ms"

[drain]
settle = "200ms"

[strategy.naive]
kind = "dual-write"
order = "commit-then-publish"
publish_timeout = "300ms"
broker = "nats"

[strategy.polling]
kind = "polling"
broker = "nats"

[strategy.cdc]
kind = "cdc"
broker = "nats"

[expect.naive]
unacknowledged = ">= 1"

[expect.polling]
duplicated = 0

[expect.cdc]
duplicated = 0
"#;

#[test]
fn given_nats_when_it_is_cut_off_and_killed_then_outboxes_lose_and_repeat_nothing_and_the_record_says_how_it_synced()
 {
    let Some((record, _)) = passed_on(Server::NATS, CUT_AND_KILLED) else {
        return;
    };
    assert_eq!(record.stack.environment["nats_sync_interval"], "always");
    let others = record.stack.others.iter();
    let others: Vec<&str> = others.map(|server| &*server.name).collect();
    assert_eq!(others, ["NATS"]);
    for strategy in &record.strategies {
        assert_eq!(strategy.broker, "nats");
        let bits = strategy.faults.iter().map(|fault| fault.bit);
        assert!(
            bits.eq([Some(true), Some(true)]),
            "{}: {:?}",
            strategy.name,
            strategy.faults
        );
    }
}

#[test]
fn given_no_nats_when_a_strategy_publishes_there_then_the_stack_says_what_brings_it() {
    says_what_brings("nats", CUT_AND_KILLED);
}
