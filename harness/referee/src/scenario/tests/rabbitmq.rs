//! RabbitMQ as the broker of a strategy, and the settings that it alone has.

use super::*;
use crate::scenario::BrokerChoice;
use contract::config::QueueKind;

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
        &with("broker = \"rabbitmq\"\n[consumer.a]\neffect = \"insert\"\n"),
        "consumer",
        &["do not know RabbitMQ"],
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
