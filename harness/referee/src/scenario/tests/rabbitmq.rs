//! RabbitMQ as the broker of a strategy, and the settings that it alone has.

use super::*;
use crate::scenario::BrokerChoice;
use contract::config::{GroupQueues, OnFailure, QueueKind, RabbitMqGroup};

/// A cdc strategy that has these lines.
fn with(lines: &str) -> String {
    file(&[HEAD, LOAD, CDC, lines])
}

#[test]
fn given_rabbitmq_with_its_settings_or_without_when_read_then_nothing_is_left_to_chance_unless_asked_for()
 {
    for (lines, queue, confirms, mandatory) in [
        ("", QueueKind::Classic, true, true),
        (
            "rabbitmq = { queue = \"quorum\" }\n",
            QueueKind::Quorum,
            true,
            true,
        ),
        (
            "rabbitmq = { queue = \"stream\", confirms = false, mandatory = false }\n",
            QueueKind::Stream,
            false,
            false,
        ),
    ] {
        let text = with(&format!("broker = \"rabbitmq\"\n{lines}"));
        let scenario = parse("s.toml", &text).unwrap();
        let expected = BrokerChoice::RabbitMq {
            queue,
            confirms,
            mandatory,
        };
        assert_eq!(scenario.strategies[0].broker, expected);
    }
}

#[test]
fn given_a_mistake_about_rabbitmq_when_read_then_the_error_says_what_would_be_right() {
    refused(
        &with("rabbitmq = { confirms = false }\n"),
        "{ confirms = false }",
        &["its events go to Kafka", "broker = \"rabbitmq\""],
    );
    refused(
        &with("broker = \"rabbitmq\"\nrabbitmq = { queue = \"quorun\" }\n"),
        "\"quorun\"",
        &["quorum"],
    );
    refused(
        &with("broker = \"rabbitmq\"\nrabbitmq = { confirm = true }\n"),
        "confirm",
        &["confirms"],
    );
    refused(
        &with(
            "broker = \"rabbitmq\"\nrabbitmq = { queue = \"stream\" }\n[consumer.a]\neffect = \"insert\"\n",
        ),
        "consumer",
        &["would be streams", "queue = \"classic\""],
    );
}

#[test]
fn given_a_fault_on_rabbitmq_when_a_strategy_publishes_there_then_it_is_one_of_its_links_and_else_nobodys()
 {
    for target in ["rabbitmq", "relay->rabbitmq", "broker"] {
        let cut = fault(&format!("target = \"{target}\"\n"));
        let text = file(&[HEAD, LOAD, &cut, CDC, "broker = \"rabbitmq\"\n"]);
        assert!(parse("s.toml", &text).is_ok(), "{target}");
    }
    let cut = fault("target = \"relay->rabbitmq\"\n");
    refused(
        &file(&[HEAD, LOAD, &cut, CDC]),
        "\"relay->rabbitmq\"",
        &["no strategy of this file publishes to RabbitMQ"],
    );
}

/// A consumer of a strategy on RabbitMQ, with these lines.
fn consumed(lines: &str) -> String {
    let consumer = format!("[consumer.a]\neffect = \"state\"\n{lines}");
    file(&[HEAD, LOAD, CDC, "broker = \"rabbitmq\"\n", &consumer])
}

#[test]
fn given_a_consumer_of_rabbitmq_when_read_then_its_group_is_as_it_says_or_as_usual() {
    let usual = RabbitMqGroup::default();
    for (lines, expected) in [
        ("", usual),
        (
            "rabbitmq = { on_failure = \"requeue\", prefetch = 7 }\n",
            RabbitMqGroup {
                on_failure: OnFailure::Requeue,
                prefetch: 7,
                ..usual
            },
        ),
        (
            "rabbitmq = { members = 3, queues = \"hashed\" }\n",
            RabbitMqGroup {
                members: 3,
                queues: GroupQueues::Hashed,
                ..usual
            },
        ),
    ] {
        let scenario = parse("s.toml", &consumed(lines)).unwrap();
        assert_eq!(scenario.consumers[0].rabbitmq_group(), expected);
    }
    assert_eq!(usual.queues_of("g"), ["g"]);
    let hashed = RabbitMqGroup {
        members: 2,
        queues: GroupQueues::Hashed,
        ..usual
    };
    assert_eq!(hashed.queues_of("g"), ["g.1", "g.2"]);
    assert_eq!(hashed.queue_of("g", 1), "g.2");
}

#[test]
fn given_a_mistake_about_a_group_of_rabbitmq_when_read_then_the_error_says_what_would_be_right() {
    let group = |text: &str| consumed(&format!("rabbitmq = {{ {text} }}\n"));
    refused(&group("members = 9"), "9", &["1", "8"]);
    refused(&group("queues = \"hash\""), "\"hash\"", &["hashed"]);
    refused(&group("prefetch = 0"), "0", &["1", "500"]);
    refused(&group("member = 2"), "member", &["members"]);
    refused(
        &consumed("commit = \"before\"\nrabbitmq = { on_failure = \"requeue\" }\n"),
        "\"requeue\"",
        &["cannot be given back", "commit = \"after\""],
    );
    refused(
        &with("[consumer.a]\neffect = \"insert\"\nrabbitmq = { members = 2 }\n"),
        "{ members = 2 }",
        &["no strategy of this file has", "broker = \"rabbitmq\""],
    );
}

#[test]
fn given_groups_of_rabbitmq_when_read_then_only_a_hash_that_gives_nothing_back_is_held_to_order() {
    for (lines, is_held) in [
        ("", false),
        ("rabbitmq = { members = 3 }\n", false),
        ("rabbitmq = { queues = \"hashed\" }\n", true),
        ("rabbitmq = { members = 3, queues = \"hashed\" }\n", true),
        (
            "rabbitmq = { queues = \"hashed\", on_failure = \"requeue\" }\n",
            false,
        ),
    ] {
        let text = consumed(&format!("idempotency = \"inbox\"\n{lines}"));
        let scenario = parse("s.toml", &text).unwrap();
        let all = &scenario.strategies[0].of_consumers[0].expectations;
        let metrics: Vec<String> = all.iter().map(|e| e.metric.name()).collect();
        let is_told = metrics.iter().any(|m| m == "applied_out_of_order");
        assert_eq!(is_told, is_held, "{lines}: {metrics:?}");
        assert_eq!(metrics.len(), 3 + usize::from(is_held), "{lines}");
    }
}

#[test]
fn given_a_fault_on_a_link_of_consumers_when_there_are_any_then_it_is_theirs_alone_and_else_nobodys()
 {
    let cut = |target: &str| fault(&format!("target = \"{target}\"\n"));
    for target in ["consumer->postgres", "consumer->rabbitmq"] {
        let text = consumed("").replace(CDC, &format!("{}{CDC}", cut(target)));
        let scenario = parse("s.toml", &text).unwrap();
        let hit = &scenario.faults[0];
        assert!(hit.is_of_consumers() && hit.consumer().is_none());
        assert!(hit.concerns(scenario.strategies[0].topology()), "{target}");
        assert_eq!(hit.target.links().len(), 1);
    }
    // A fault on a whole side is about how events come to be published
    for target in ["postgres", "rabbitmq", "broker"] {
        let text = consumed("").replace(CDC, &format!("{}{CDC}", cut(target)));
        let scenario = parse("s.toml", &text).unwrap();
        let links = scenario.faults[0].target.links();
        assert!(links.iter().all(|link| !link.is_of_consumers()), "{target}");
    }
    refused(
        &file(&[HEAD, LOAD, &cut("consumer->postgres"), CDC]),
        "\"consumer->postgres\"",
        &["the file has no consumers", "[consumer.payments]"],
    );
    refused(
        &file(&[HEAD, LOAD, &cut("consumer->rabbitmq"), CDC, CONSUMER]),
        "\"consumer->rabbitmq\"",
        &["no strategy of this file publishes to RabbitMQ"],
    );
}
