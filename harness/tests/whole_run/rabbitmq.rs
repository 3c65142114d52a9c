//! RabbitMQ in a whole run: the dual write and the outboxes on it, while the link is cut, with a queue of each kind; and what
//! is said where it is not installed. Its death is in scenarios/rabbitmq-lessons.toml, and in the tests of the stack.

use super::{all, passed_on, says_what_brings};
use harness::scenario::Server;

const CUT: &str = r#"
name = "rabbitmq-cut"
description = "RabbitMQ is cut off."
seed = 7

[workload]
rate = 100
duration = "5s"
min_committed_per_phase = 10

[[fault]]
target = "broker"
kind = "down"
at = "1500ms"
for = "1500ms"

[drain]
settle = "200ms"

[strategy.naive]
kind = "dual-write"
order = "commit-then-publish"
publish_timeout = "500ms"
broker = "rabbitmq"
rabbitmq = { queue = "stream" }

[strategy.polling]
kind = "polling"
broker = "rabbitmq"
rabbitmq = { queue = "quorum" }

[strategy.cdc]
kind = "cdc"
broker = "rabbitmq"

[expect.naive]
lost = ">= 1"
phantom = 0

[expect.polling]
lost = 0
reordered = 0

[expect.cdc]
lost = 0
reordered = 0
"#;

#[test]
fn given_rabbitmq_that_is_cut_off_when_it_is_run_then_the_dual_write_alone_loses() {
    let Some((record, said)) = passed_on(Server::RABBITMQ, CUT) else {
        return;
    };
    for strategy in &record.strategies {
        for fault in &strategy.faults {
            assert_eq!(fault.bit, Some(true), "{}: {fault:?}", strategy.name);
        }
        let loses = strategy.counts.lost.is_some_and(|lost| lost > 0);
        assert_eq!(loses, strategy.name == "naive", "{said}");
    }
    assert!(
        said.contains("RabbitMQ 3") || said.contains("RabbitMQ 4"),
        "{said}"
    );
}

/// What scenarios/rabbitmq-consumers.toml has, but shorter, and without a relay that repeats itself.
const CONSUMED: &str = r#"
name = "rabbitmq-consumed"
description = "Consumers of RabbitMQ lose their database, then their acknowledgements."
seed = 7

[workload]
rate = 150
duration = "6s"
min_committed_per_phase = 10

[[fault]]
target = "consumer->postgres"
kind = "down"
at = "1s"
for = "1500ms"

[[fault]]
target = "consumer->rabbitmq"
kind = "timeout"
stream = "upstream"
at = "3500ms"
for = "1s"

[drain]
settle = "200ms"

[strategy.polling]
kind = "polling"
broker = "rabbitmq"

[consumer.payments]
effect = "insert"

[consumer.payments-inbox]
effect = "insert"
idempotency = "inbox"

[consumer.notifications]
effect = "call"

[consumer.shipping-requeue]
effect = "state"
idempotency = "inbox"
rabbitmq = { on_failure = "requeue" }

[consumer.shipping-hashed]
effect = "state"
idempotency = "inbox"
rabbitmq = { members = 2, queues = "hashed" }

[expect.polling]
lost = 0
consumer-payments.applied_twice = ">= 1"
consumer-payments.unapplied = 0
consumer-notifications.unapplied = 0
consumer-shipping-requeue.applied_out_of_order = ">= 1"
"#;

#[test]
fn given_consumers_of_rabbitmq_when_run_then_a_requeue_alone_breaks_the_order_and_an_inbox_knows_what_comes_again()
 {
    if !all::is_asked_for() {
        return;
    }
    let Some((record, _)) = passed_on(Server::RABBITMQ, CONSUMED) else {
        return;
    };
    let strategy = &record.strategies[0];
    for fault in &strategy.faults {
        assert_eq!(fault.bit, Some(true), "{fault:?}");
    }
    let committed = strategy.counts.committed.unwrap();
    let twice = strategy.counts.duplicated.unwrap();
    for consumer in &strategy.consumers {
        // Each group has read to the end of its queues, whatever was given back in between.
        assert_eq!(consumer.unapplied, Some(0), "{consumer:?}");
        assert_eq!(consumer.copies, Some(twice), "{consumer:?}");
        let again = consumer.applied_twice.unwrap();
        assert_eq!(consumer.effects, Some(committed + again), "{consumer:?}");
        if consumer.idempotency == "inbox" {
            assert_eq!(again, 0, "{consumer:?}");
        }
    }
    assert_eq!(strategy.consumers[4].applied_out_of_order, Some(0));
    // A hash with a single active consumer is held to it, and who gives back is not.
    let implicit = strategy.expectations.iter().filter(|e| e.implicit);
    let ordered: Vec<&str> = implicit
        .map(|e| e.metric.as_str())
        .filter(|metric| metric.ends_with("applied_out_of_order"))
        .collect();
    assert_eq!(ordered, ["consumer-shipping-hashed.applied_out_of_order"]);
}

#[test]
fn given_no_rabbitmq_when_a_strategy_publishes_to_it_then_the_stack_says_what_brings_it() {
    says_what_brings("rabbitmq", CUT);
}
