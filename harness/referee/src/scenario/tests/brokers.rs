//! `broker` of a strategy, and faults on a broker.

use super::*;
use crate::scenario::{BrokerChoice, EventBridgeSettings, Metric, NatsSettings, NatsSync};
use contract::broker::BrokerKind;
use contract::config::LooksAt;

#[test]
fn given_nothing_said_of_a_broker_then_it_is_kafka_and_its_links_are_kafkas() {
    for said in ["", "broker = \"kafka\"\n"] {
        let text = file(&[HEAD, LOAD, CDC, said]);
        let s = parse("s.toml", &text).unwrap();
        let topology = s.strategies[0].topology();
        assert_eq!(topology.broker, BrokerKind::Kafka);
        assert!(topology.uses(Link::RELAY_KAFKA) && !topology.uses(Link::ORDERS_KAFKA));
        assert!(topology.has_server(Server::KAFKA));
    }
}

#[test]
fn given_a_fault_on_the_broker_then_it_is_on_every_link_to_any_and_every_strategy_feels_it() {
    let s = parse("s.toml", &with_fault("target = \"broker\"")).unwrap();
    assert_eq!(s.faults[0].target, Target::Broker);
    let links = s.faults[0].target.links();
    let brokers = Link::ALL
        .into_iter()
        .filter(|link| link.server().is_broker() && !link.is_of_consumers());
    assert_eq!(links, brokers.collect::<Vec<_>>());
    assert!(
        s.strategies
            .iter()
            .all(|x| s.faults[0].concerns(x.topology()))
    );
}

#[test]
fn given_a_target_when_it_is_saved_then_it_is_read_again_as_it_was_also_as_earlier_versions_saved_it()
 {
    for (_, target) in faults::known_targets() {
        let saved = serde_json::to_string(&target).unwrap();
        assert_eq!(
            serde_json::from_str::<Target>(&saved).unwrap(),
            target,
            "{saved}"
        );
    }
    for (saved, target) in [
        ("\"Kafka\"", Target::KAFKA),
        ("\"Postgres\"", Target::POSTGRES),
        ("\"Redis\"", Target::REDIS),
        (
            "{\"Link\":\"relay->kafka\"}",
            Target::Link(Link::RELAY_KAFKA),
        ),
    ] {
        assert_eq!(serde_json::from_str::<Target>(saved).unwrap(), target);
    }
}

#[test]
fn given_a_broker_that_there_is_not_or_a_strategy_that_knows_kafka_alone_then_the_line_is_refused()
{
    refused(
        &file(&[HEAD, LOAD, CDC, "broker = \"kafak\"\n"]),
        "\"kafak\"",
        &["kafka"],
    );
    refused(
        &file(&[HEAD, LOAD, DEBEZIUM, "broker = \"kafka\"\n"]),
        "broker",
        &["belongs to dual-write", "`debezium` is debezium"],
    );
}

/// A cdc strategy that has these lines.
fn with(lines: &str) -> String {
    file(&[HEAD, LOAD, CDC, lines])
}

fn broker(lines: &str) -> BrokerChoice {
    parse("s.toml", &with(lines)).unwrap().strategies[0]
        .broker
        .clone()
}

#[test]
fn given_nats_with_its_settings_or_without_when_read_then_what_is_left_out_is_the_servers_own() {
    assert_eq!(broker(""), BrokerChoice::default());
    let usual = NatsSettings {
        message_id: true,
        duplicate_window_ms: 120_000,
    };
    assert_eq!(broker("broker = \"nats\"\n"), BrokerChoice::Nats(usual));
    let said = "broker = \"nats\"\nnats = { message_id = false, duplicate_window = \"500ms\" }\n";
    let said = broker(said);
    assert_eq!(
        said,
        BrokerChoice::Nats(NatsSettings {
            message_id: false,
            duplicate_window_ms: 500,
        })
    );
    let stack = "broker = \"nats\"\n[stack]\nnats_sync_interval = \"always\"\n";
    let stack = parse("s.toml", &with(stack)).unwrap().stack;
    assert_eq!(stack.nats_sync, NatsSync::Always);
    assert_eq!(stack.own_server_key(), Some("nats_sync_interval"));
}

#[test]
fn given_a_mistake_about_nats_when_read_then_the_error_says_what_would_be_right() {
    refused(
        &with("nats = { message_id = true }\n"),
        "{ message_id",
        &["its events go to Kafka", "broker = \"nats\""],
    );
    refused(
        &with("broker = \"nats\"\nnats = { duplicate_window = \"10ms\" }\n"),
        "\"10ms\"",
        &["100ms"],
    );
    refused(
        &with("broker = \"nats\"\nnats = { window = \"2m\" }\n"),
        "window",
        &["duplicate_window"],
    );
    refused(
        &with("broker = \"nats\"\nlinger = \"5ms\"\n"),
        "linger",
        &["of Kafka's producer", "go to NATS"],
    );
    refused(
        &with("broker = \"nats\"\n[consumer.a]\neffect = \"insert\"\n"),
        "consumer",
        &["do not know NATS"],
    );
}

#[test]
fn given_eventbridge_when_read_then_no_order_is_expected_and_its_throttle_is_of_own_servers() {
    let usual = broker("broker = \"eventbridge\"\n");
    assert_eq!(
        usual,
        BrokerChoice::EventBridge(EventBridgeSettings::default())
    );
    let lines = "broker = \"eventbridge\"\neventbridge = { looks_at = \"status\" }\n\
                 [stack]\neventbridge_throttle = 20\n";
    let scenario = parse("s.toml", &with(lines)).unwrap();
    let strategy = &scenario.strategies[0];
    let settings = EventBridgeSettings {
        looks_at: LooksAt::Status,
    };
    assert_eq!(strategy.broker, BrokerChoice::EventBridge(settings));
    assert_eq!(scenario.stack.eventbridge_throttle, Some(20));
    let own = scenario.stack.own_server_key();
    assert_eq!(own, Some("eventbridge_throttle"));
    // As of an external relay that promises none.
    let expects = |metric| strategy.expectations.iter().any(|e| e.metric == metric);
    assert!(expects(Metric::Lost) && !expects(Metric::Reordered));
}

#[test]
fn given_a_mistake_about_eventbridge_when_read_then_the_error_says_what_would_be_right() {
    let bus = "broker = \"eventbridge\"\n";
    refused(
        &with("eventbridge = { looks_at = \"status\" }\n"),
        "{ looks_at",
        &["its events go to Kafka", "broker = \"eventbridge\""],
    );
    refused(
        &with(&format!("{bus}eventbridge = {{ looks_at = \"entry\" }}\n")),
        "\"entry\"",
        &["entries"],
    );
    refused(
        &with(&format!("{bus}[stack]\neventbridge_throttle = 1\n")),
        "1",
        &["2"],
    );
    refused(
        &with("[stack]\neventbridge_throttle = 20\n"),
        "20",
        &[
            "no strategy of this file publishes there",
            "broker = \"eventbridge\"",
        ],
    );
    refused(
        &with(&format!("{bus}[consumer.a]\neffect = \"insert\"\n")),
        "consumer",
        &["do not know EventBridge"],
    );
}

#[test]
fn given_a_fault_on_the_emulator_when_it_would_lose_its_memory_then_it_is_refused_with_the_reason()
{
    let file_with = |lines: &str| {
        let fault = format!("[[fault]]\nat = \"1s\"\nfor = \"1s\"\n{lines}");
        file(&[HEAD, LOAD, &fault, CDC, "broker = \"eventbridge\"\n"])
    };
    for kind in ["kill", "restart"] {
        refused(
            &file_with(&format!(
                "target = \"eventbridge-server\"\nkind = \"{kind}\"\n"
            )),
            &format!("\"{kind}\""),
            &["all it has is in memory", "kind = \"pause\""],
        );
    }
    for lines in [
        "target = \"eventbridge-server\"\nkind = \"pause\"\n",
        "target = \"eventbridge\"\nkind = \"down\"\n",
    ] {
        assert!(parse("s.toml", &file_with(lines)).is_ok(), "{lines}");
    }
}

#[test]
fn given_a_fault_on_nats_when_a_strategy_publishes_there_then_it_is_one_of_its_links_and_else_nobodys()
 {
    for target in ["nats", "relay->nats", "broker"] {
        let cut = fault(&format!("target = \"{target}\"\n"));
        let text = file(&[HEAD, LOAD, &cut, CDC, "broker = \"nats\"\n"]);
        assert!(parse("s.toml", &text).is_ok(), "{target}");
    }
    let cut = fault("target = \"nats\"\n");
    refused(
        &file(&[HEAD, LOAD, &cut, CDC]),
        "\"nats\"",
        &["no strategy of this file publishes to NATS"],
    );
}

#[test]
fn given_a_line_that_no_strategys_broker_follows_when_read_then_it_is_refused_with_what_to_do() {
    let parted = format!("{LOAD}partitions = 4\n");
    let one_of_each =
        "broker = \"nats\"\n[strategy.other]\nkind = \"polling\"\nbroker = \"rabbitmq\"\n";
    for (brokers, said) in [
        (
            "broker = \"rabbitmq\"\n",
            "4 partitions: a topic of RabbitMQ has one",
        ),
        (
            "broker = \"nats\"\n",
            "4 partitions: a topic of NATS has one",
        ),
        (
            one_of_each,
            "4 partitions: topics of NATS and RabbitMQ have one",
        ),
    ] {
        refused(
            &file(&[HEAD, &parted, CDC, brokers]),
            "4",
            &[said, "remove the line"],
        );
    }
    for broker in ["rabbitmq", "nats"] {
        let lines = format!("broker = \"{broker}\"\n[expect.cdc]\nsplit = 0\n");
        refused(
            &with(&lines),
            "split",
            &["has one partition", "remove the line"],
        );
    }
    refused(
        &with("broker = \"rabbitmq\"\n[stack]\nnats_sync_interval = \"always\"\n"),
        "\"always\"",
        &[
            "no strategy of this file publishes there",
            "broker = \"nats\"",
        ],
    );
    // And where one of the strategies follows it, or nobody can tell
    let beside_kafka = file(&[HEAD, &parted, CDC, "broker = \"nats\"\n", NAIVE]);
    assert!(parse("s.toml", &beside_kafka).is_ok());
    let unread = file(&[
        HEAD,
        &parted,
        CDC,
        "broker = \"nats\"\n[strategy.b]\nkind = \"x\"\n",
    ]);
    let error = parse("s.toml", &unread).unwrap_err().to_string();
    assert!(!error.contains("partitions"), "{error}");
}
