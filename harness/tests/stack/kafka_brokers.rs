//! A Kafka of three brokers: each its own, a leader that is replaced when it dies, all of them dead and back together.

use crate::patience::PATIENCE;
use crate::process::{eventually, identify, lives};
use crate::{programs, reaper};
use futures::future::join_all;
use harness::broker::kafka;
use harness::process::Child;
use harness::scenario::{BrokerNode, KafkaCluster, Link, Server, Victim};
use harness::stack::{Jit, Provider, ServerSettings, Stack, leader_of};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::path::Path;

const TOPIC: &str = "led";

fn three(folder: &Path) -> Provider {
    Provider::Local {
        data: folder.join("data"),
        logs: folder.join("logs"),
        programs: programs(),
        jit: Jit::C1,
        settings: ServerSettings {
            kafka: KafkaCluster {
                brokers: 3,
                replication: 3,
                min_insync_replicas: 2,
            },
            ..ServerSettings::default()
        },
    }
}

fn consumer(bootstrap: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).create().unwrap()
}

fn child(stack: &Stack, node: BrokerNode) -> &Child {
    let victim = Victim::Server(Server::BrokerNode(node));
    assert!(stack.stop_of_server(victim).is_some());
    stack.server(victim).unwrap()
}

/// Publishes a record that every replica in sync has.
async fn publish(bootstrap: &str) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    let producer: FutureProducer = config.set("acks", "all").create().unwrap();
    let record = FutureRecord::to(TOPIC).key("k").payload("v");
    producer.send(record, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn given_three_brokers_when_the_leader_dies_and_then_all_then_what_was_acknowledged_is_there()
{
    // Given three, each with a process, a log and listeners of its own
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(three(folder.path()), &reaper()).await.unwrap();
    let info = stack.info().clone();
    let bootstrap = info.kafka().unwrap().address.clone();
    assert_eq!(bootstrap.split(',').count(), 3);
    for (name, value) in [
        ("kafka_brokers", "3"),
        ("replication_factor", "3"),
        ("min_insync_replicas", "2"),
    ] {
        assert_eq!(info.environment[name], value, "{name}");
    }
    assert!(stack.server(Victim::KAFKA).is_none());
    assert!(!info.routes.contains_key(&Link::RELAY_KAFKA));
    let servers: Vec<Server> = BrokerNode::ALL.map(Server::BrokerNode).to_vec();
    let connects = |link: fn(Server) -> Link| -> Vec<String> {
        let links = servers.iter().map(|server| link(*server));
        let mut all: Vec<String> = links.map(|l| info.routes[&l].connect.clone()).collect();
        all.sort();
        all
    };
    // Then each listener of a link says the proxies of that link, and no others
    for link in [Link::Orders as fn(Server) -> Link, |server| {
        Link::Relay(harness::scenario::Instance::ALL[1], server)
    }] {
        for server in &servers {
            let upstream = &info.routes[&link(*server)].upstream;
            let metadata = consumer(upstream).fetch_metadata(None, PATIENCE).unwrap();
            let brokers = metadata.brokers().iter();
            let mut said: Vec<String> = brokers
                .map(|broker| format!("{}:{}", broker.host(), broker.port()))
                .collect();
            said.sort();
            assert_eq!(said, connects(link));
        }
    }

    // When the leader of a topic dies
    let topic = kafka::replicated(&bootstrap, 3).topic(TOPIC, 1);
    topic.create().await.unwrap();
    publish(&bootstrap).await;
    let first = leader_of(&info.broker_nodes, TOPIC).await.unwrap();
    let metadata = consumer(&bootstrap)
        .fetch_metadata(Some(TOPIC), PATIENCE)
        .unwrap();
    let partition = &metadata.topics()[0].partitions()[0];
    assert_eq!(
        (partition.leader(), partition.replicas().len()),
        (first.id(), 3)
    );
    let trees: Vec<_> = BrokerNode::ALL
        .into_iter()
        .flat_map(|node| identify(&child(&stack, node).tree()))
        .collect();
    child(&stack, first).kill().await.unwrap();

    // Then another one leads, and has what was acknowledged
    let deadline = std::time::Instant::now() + PATIENCE;
    let second = loop {
        match leader_of(&info.broker_nodes, TOPIC).await {
            Ok(node) if node != first => break node,
            said => assert!(std::time::Instant::now() < deadline, "{said:?}"),
        }
    };
    assert_ne!(second, first);
    publish(&bootstrap).await;

    // And when all are dead, they come back together
    let others = BrokerNode::ALL.into_iter().filter(|node| *node != first);
    let killed = others.map(|node| child(&stack, node).kill());
    assert!(
        join_all(killed)
            .await
            .into_iter()
            .all(|killed| killed.is_ok())
    );
    eventually("all are gone", || !trees.iter().any(|id| lives(*id)));
    let started = BrokerNode::ALL.map(|node| child(&stack, node).restart());
    for started in join_all(started).await {
        started.unwrap();
    }
    // A leader that was just elected does not say yet where its partition ends, rather than to name an earlier end.
    let reader = consumer(&bootstrap);
    eventually("both records are there", || {
        let known = reader.fetch_watermarks(TOPIC, 0, PATIENCE);
        let early = known.as_ref().is_ok_and(|ends| *ends != (0, 2));
        assert!(!early, "{known:?}");
        known.is_ok()
    });
    let trees: Vec<_> = BrokerNode::ALL
        .into_iter()
        .flat_map(|node| identify(&child(&stack, node).tree()))
        .collect();
    stack.stop().await.unwrap();
    assert!(!trees.iter().any(|id| lives(*id)));
    assert!(!folder.path().join("data").exists());
    for node in BrokerNode::ALL {
        let log = format!("logs/kafka-server-{}.log", node.id());
        assert!(folder.path().join(&log).exists(), "{log}");
    }
}
