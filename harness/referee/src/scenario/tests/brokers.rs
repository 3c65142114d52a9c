//! `broker` of a strategy, and faults on a broker.

use super::*;
use contract::broker::BrokerKind;

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
        .filter(|link| link.server().is_broker());
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
