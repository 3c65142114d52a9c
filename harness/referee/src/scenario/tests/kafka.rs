//! A Kafka of several brokers, what a strategy wants of its producer, and faults on one of them.

use super::*;
use contract::config::Acks;

const THREE: &str = "[stack]\nkafka = { brokers = 3 }\n";

/// A file with these lines in `[stack]`.
fn of_stack(lines: &str) -> String {
    file(&[HEAD, LOAD, "[stack]\n", lines, "\n", CDC])
}

/// A file of three brokers with a fault of this kind on this target.
fn on_three(target: &str, kind: &str) -> String {
    let fault = fault(&format!("target = \"{target}\"\nkind = \"{kind}\""));
    file(&[HEAD, LOAD, THREE, &fault, CDC, NAIVE])
}

#[test]
fn given_what_kafka_is_to_be_like_when_read_then_what_is_left_out_is_safe() {
    let of = |lines: &str| parse("s.toml", &of_stack(lines)).unwrap();
    let cluster = |brokers, replication, min_insync_replicas| KafkaCluster {
        brokers,
        replication,
        min_insync_replicas,
    };
    for (lines, expected) in [
        ("", cluster(1, 1, 1)),
        ("kafka = {}", cluster(1, 1, 1)),
        ("kafka = { brokers = 1 }", cluster(1, 1, 1)),
        ("kafka = { brokers = 3 }", cluster(3, 3, 2)),
        (
            "kafka = { brokers = 3, min_insync_replicas = 1 }",
            cluster(3, 3, 1),
        ),
        ("kafka = { brokers = 3, replication = 1 }", cluster(3, 1, 1)),
        ("kafka = { brokers = 3, replication = 2 }", cluster(3, 2, 2)),
    ] {
        let scenario = of(lines);
        assert_eq!(scenario.stack.kafka, expected, "{lines}");
        let own = scenario.stack.own_server_key();
        assert_eq!(own, (expected.brokers > 1).then_some("kafka"));
        let topology = scenario.strategies[0].topology();
        assert_eq!(topology.has_nodes(), expected.brokers > 1);
    }
}

#[test]
fn given_a_mistake_about_the_brokers_when_read_then_the_error_says_what_would_be_right() {
    for (lines, marked, said) in [
        ("kafka = { brokers = 2 }", "2", "`brokers = 3`"),
        ("kafka = { brokers = 4 }", "4", "3"),
        ("kafka = { replication = 3 }", "3", "there is 1"),
        (
            "kafka = { brokers = 3, replication = 2, min_insync_replicas = 3 }",
            "3 }",
            "more than there are (2)",
        ),
        ("kafka = { broker = 3 }", "broker", "brokers"),
        ("kafka = 3", "3", "table"),
    ] {
        refused(&of_stack(lines), marked, &[said]);
    }
    let acks = file(&[HEAD, LOAD, CDC, "kafka = { acks = \"0\" }\n"]);
    refused(&acks, "\"0\"", &["all", "1"]);
    let nats = file(&[
        HEAD,
        LOAD,
        CDC,
        "broker = \"nats\"\nkafka = { acks = \"1\" }\n",
    ]);
    refused(&nats, "{ acks", &["its events go to NATS"]);
}

#[test]
fn given_acks_when_read_then_they_are_the_strategys_own_and_survive_the_history() {
    let text = file(&[HEAD, LOAD, THREE, CDC, "kafka = { acks = \"1\" }\n", NAIVE]);
    let scenario = parse("s.toml", &text).unwrap();
    let acks = |strategy: &Strategy| match &strategy.broker {
        BrokerChoice::Kafka(settings) => (settings.acks, settings.brokers),
        other => panic!("{other:?}"),
    };
    let read: Vec<_> = scenario.strategies.iter().map(acks).collect();
    assert_eq!(read, [(Acks::Leader, 3), (Acks::All, 3)]);
    let saved = serde_json::to_string(&scenario.strategies[0].broker).unwrap();
    let again: BrokerChoice = serde_json::from_str(&saved).unwrap();
    assert_eq!(again, scenario.strategies[0].broker);
    // And a history of before says nothing of it
    let old: BrokerChoice = serde_json::from_str(r#"{"kind":"kafka"}"#).unwrap();
    assert_eq!(old, BrokerChoice::default());
}

#[test]
fn given_one_broker_or_three_then_a_strategy_uses_the_links_to_the_one_or_to_each() {
    let links = |stack: &str| {
        let s = parse("s.toml", &file(&[HEAD, LOAD, stack, NAIVE, CDC])).unwrap();
        let topology = s.strategies.iter().map(Strategy::topology);
        let used = topology.flat_map(|topology| {
            let all = Link::ALL.into_iter();
            let own = all.filter(|link| !link.is_of_consumers());
            own.filter(move |link| topology.uses(*link) && link.server().is_broker())
        });
        used.map(Link::name).collect::<Vec<_>>()
    };
    assert_eq!(links(""), ["orders->kafka", "relay->kafka"]);
    assert_eq!(
        links(THREE),
        [
            "orders->kafka-1",
            "orders->kafka-2",
            "orders->kafka-3",
            "relay->kafka-1",
            "relay->kafka-2",
            "relay->kafka-3"
        ]
    );
}

#[test]
fn given_a_target_then_it_is_on_all_brokers_or_on_one_and_every_strategy_has_its_part() {
    let hit = |target: &str, kind: &str| {
        let s = parse("s.toml", &on_three(target, kind)).unwrap();
        let fault = &s.faults[0];
        assert_eq!(fault.target.name(), target);
        let cdc = s.strategies[0].topology();
        assert!(fault.concerns(cdc), "{target}");
        let links = fault.target.links().into_iter();
        let links = links.filter(|link| cdc.uses(*link)).map(Link::name);
        let processes = fault.target.processes_of(cdc).into_iter();
        links.chain(processes.map(Victim::name)).collect::<Vec<_>>()
    };
    let all = ["relay->kafka-1", "relay->kafka-2", "relay->kafka-3"];
    for target in ["kafka", "broker", "relay->kafka"] {
        assert_eq!(hit(target, "down"), all, "{target}");
    }
    for target in ["kafka-2", "relay->kafka-2"] {
        assert_eq!(hit(target, "down"), ["relay->kafka-2"], "{target}");
    }
    let servers = ["kafka-server-1", "kafka-server-2", "kafka-server-3"];
    for target in [
        "kafka-server",
        "kafka-leader-server",
        "kafka-followers-server",
    ] {
        assert_eq!(hit(target, "kill"), servers, "{target}");
    }
    assert_eq!(hit("kafka-server-3", "pause"), ["kafka-server-3"]);
    // With one broker the server is itself
    let one = on_three("kafka-server", "kill").replace(THREE, "");
    let s = parse("s.toml", &one).unwrap();
    let hit = s.faults[0].target.processes_of(s.strategies[0].topology());
    assert_eq!(hit, [Victim::KAFKA]);
}

#[test]
fn given_a_fault_on_one_of_three_brokers_when_there_is_one_then_the_error_says_how_to_have_three() {
    for (target, kind) in [
        ("kafka-2", "down"),
        ("relay->kafka-2", "down"),
        ("kafka-server-2", "kill"),
        ("kafka-leader-server", "kill"),
        ("kafka-followers-server", "pause"),
    ] {
        let text = on_three(target, kind).replace(THREE, "");
        let marked = format!("\"{target}\"");
        refused(&text, &marked, &["one broker", "kafka = { brokers = 3 }"]);
    }
    let kind = on_three("kafka-leader-server", "down");
    refused(&kind, "\"down\"", &["does not work on a process"]);
}

#[test]
fn given_two_faults_on_brokers_when_they_are_certainly_on_the_same_one_then_they_must_not_meet() {
    let both = |a: &str, b: &str| {
        let fault = |target| fault(&format!("target = \"{target}\"\nkind = \"kill\""));
        file(&[HEAD, LOAD, THREE, &fault(a), &fault(b), CDC])
    };
    for (a, b) in [
        ("kafka-server", "kafka-server-2"),
        ("kafka-leader-server", "kafka-server"),
        ("kafka-followers-server", "kafka-followers-server"),
        ("kafka-server-2", "kafka-server-2"),
    ] {
        refused(&both(a, b), "[[fault]]", &["one fault at a time"]);
    }
    for (a, b) in [
        ("kafka-leader-server", "kafka-followers-server"),
        ("kafka-leader-server", "kafka-server-2"),
        ("kafka-server-1", "kafka-server-2"),
    ] {
        let accepted = parse("s.toml", &both(a, b));
        assert!(accepted.is_ok(), "{a} {b}: {accepted:?}");
    }
}

#[test]
fn given_one_of_several_brokers_when_a_target_is_saved_then_it_is_read_again_as_it_was() {
    let names = faults::targets(false)
        .into_iter()
        .chain(faults::targets(true));
    let mut of_nodes = 0;
    for name in names.filter(|name| name.contains("kafka-")) {
        let kind = match name.contains("server") {
            true => "kill",
            false => "down",
        };
        // One relay has links; those of others are written like these.
        if name.starts_with("relay-") && !name.starts_with("relay->") {
            continue;
        }
        let s = parse("s.toml", &on_three(name, kind)).unwrap();
        let saved = serde_json::to_string(&s.faults[0].target).unwrap();
        let again: Target = serde_json::from_str(&saved).unwrap();
        assert_eq!(again, s.faults[0].target, "{saved}");
        of_nodes += 1;
    }
    assert_eq!(of_nodes, 3 * 4 + 3);
}
