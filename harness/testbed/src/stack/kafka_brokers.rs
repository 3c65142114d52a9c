//! A Kafka of several brokers: each a process, a folder, a log, listeners and proxies of its own, started side by side.

use super::kafka_client::{self, Topics};
use super::kafka_server::{KafkaPorts, KafkaServer, LINKS, Member, new_cluster};
use super::listening::Tries;
use super::ports::{self, ReservedPorts};
use super::{Jit, StackError};
use crate::process::Child;
use crate::process::reaper::Reaper;
use crate::scenario::{BrokerNode, Instance, KafkaCluster, Link, Server};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One node takes so many ports: for the referee, for its controller, and for each link a listener and a proxy.
const OF_A_NODE: usize = 2 + 2 * LINKS;
/// All must know of each other within this time of their starts.
const TOGETHER_WITHIN: Duration = Duration::from_secs(60);
/// So often it is asked whether they do.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// One that is stopped, or dead, answers nothing: it is not waited for any longer.
const SAY_WITHIN: Duration = Duration::from_secs(1);

/// These are the brokers of one Kafka.
pub(super) struct KafkaBrokers {
    nodes: Vec<(BrokerNode, KafkaServer, KafkaPorts)>,
    // Also between a node's death and its restart.
    _ports: ReservedPorts,
}

impl KafkaBrokers {
    /// Formats and starts all of them at once; returns when each knows of all.
    pub(super) async fn start(
        settings: KafkaCluster,
        places: (&Path, &Path, &Path),
        jit: Jit,
        reaper: &Arc<Reaper>,
    ) -> Result<Self, StackError> {
        let mut tries = Tries::first();
        loop {
            let count = usize::from(settings.brokers);
            let reserved = ports::reserve_many(OF_A_NODE * count).map_err(|reason| StackError {
                doing: "choose ports for Kafka".into(),
                reason,
            })?;
            let numbers = reserved.numbers.clone();
            match Self::try_start(settings, places, jit, reaper, reserved).await {
                Err(e) if tries.once_more(&e, &numbers) => {}
                result => return result,
            }
        }
    }

    async fn try_start(
        settings: KafkaCluster,
        places: (&Path, &Path, &Path),
        jit: Jit,
        reaper: &Arc<Reaper>,
        reserved: ReservedPorts,
    ) -> Result<Self, StackError> {
        let of_nodes: Vec<(BrokerNode, KafkaPorts)> = BrokerNode::ALL
            .into_iter()
            .zip(reserved.numbers.chunks_exact(OF_A_NODE))
            .filter_map(|(node, ports)| Some((node, assigned(ports)?)))
            .collect();
        let cluster = new_cluster();
        let controllers: Vec<u16> = of_nodes.iter().map(|(_, p)| p.controller).collect();
        let starting = of_nodes.iter().map(|(node, ports)| {
            let member = Member {
                node: *node,
                cluster: cluster.clone(),
                controllers: controllers.clone(),
                settings,
            };
            async move {
                let server = KafkaServer::start(&member, places, *ports, jit, reaper).await?;
                Ok((*node, server, *ports))
            }
        });
        // Were one failure returned at once, the others' starts would be cut off half way.
        let started = futures::future::join_all(starting).await;
        let brokers = Self {
            nodes: started.into_iter().collect::<Result<_, StackError>>()?,
            _ports: reserved,
        };
        brokers.are_together().await?;
        Ok(brokers)
    }

    /// Waits until each says that all are there.
    async fn are_together(&self) -> Result<(), StackError> {
        let deadline = Instant::now() + TOGETHER_WITHIN;
        let mut asked = self.nodes.iter();
        let mut next = asked.next();
        while let Some((_, _, ports)) = next {
            let said = kafka_client::describe(&address(ports.direct), Topics::None).await;
            if said.is_ok_and(|said| said.advertised.len() == self.nodes.len()) {
                next = asked.next();
                continue;
            }
            if Instant::now() > deadline {
                return Err(StackError {
                    doing: "start Kafka".into(),
                    reason: format!(
                        "its {} brokers do not know of each other after {TOGETHER_WITHIN:?}: see kafka-server-1.log and the others",
                        self.nodes.len()
                    ),
                });
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok(())
    }

    /// Returns where each is reached around all proxies, as `host:port`.
    pub(super) fn addresses(&self) -> BTreeMap<BrokerNode, String> {
        let nodes = self.nodes.iter();
        nodes
            .map(|(node, _, ports)| (*node, address(ports.direct)))
            .collect()
    }

    /// Returns the links to them, each with the port of its proxy and that of the listener behind it.
    pub(super) fn ways(&self) -> impl Iterator<Item = (Link, u16, u16)> + '_ {
        self.nodes.iter().flat_map(|(node, _, ports)| {
            let server = Server::BrokerNode(*node);
            let relays = Instance::ALL.map(|relay| Link::Relay(relay, server));
            let links = std::iter::once(Link::Orders(server)).chain(relays);
            let ports = ports.links;
            links
                .zip(ports)
                .map(|(link, (listener, proxy))| (link, proxy, listener))
        })
    }

    /// Returns the version of the jars, and that of the JVM.
    pub(super) fn versions(&self) -> (String, String) {
        let first = self.nodes.first();
        let known = first.map(|(_, server, _)| (server.version.clone(), server.jvm.clone()));
        known.unwrap_or_default()
    }

    /// Returns the process of one of them.
    pub(super) fn node(&self, node: BrokerNode) -> Option<&Child> {
        let mut nodes = self.nodes.iter();
        let found = nodes.find(|(known, ..)| *known == node);
        found.map(|(_, server, _)| &server.child)
    }

    /// Returns all their processes.
    pub(super) fn children(&self) -> impl Iterator<Item = &Child> {
        self.nodes.iter().map(|(_, server, _)| &server.child)
    }
}

/// Shares a node's ports out; `None` where they are too few.
fn assigned(ports: &[u16]) -> Option<KafkaPorts> {
    let [direct, controller, of_links @ ..] = ports else {
        return None;
    };
    let mut links = [(0, 0); LINKS];
    for (place, pair) in links.iter_mut().zip(of_links.chunks_exact(2)) {
        *place = (*pair.first()?, *pair.last()?);
    }
    Some(KafkaPorts {
        direct: *direct,
        controller: *controller,
        links,
    })
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Returns which of these brokers, by their direct addresses, leads the topic's partition 0 now. Who says so of itself is
/// believed at once; else whoever knows of the latest election.
pub async fn leader_of(
    nodes: &BTreeMap<BrokerNode, String>,
    topic: &str,
) -> Result<BrokerNode, String> {
    let asking = nodes.iter().map(|(node, address)| async move {
        let asked = kafka_client::describe(address, Topics::All);
        let said = tokio::time::timeout(SAY_WITHIN, asked).await;
        (*node, said.ok().and_then(Result::ok))
    });
    let mut answers: FuturesUnordered<_> = asking.collect();
    let mut latest: Option<(i32, BrokerNode)> = None;
    while let Some((node, said)) = answers.next().await {
        let led = said.iter().flat_map(|cluster| &cluster.led);
        let mut of_topic = led.filter(|led| led.topic == topic && led.partition == 0);
        let Some(led) = of_topic.next() else {
            continue;
        };
        let Some(leader) = BrokerNode::of_id(led.leader) else {
            continue;
        };
        if leader == node {
            return Ok(leader);
        }
        if latest.is_none_or(|(epoch, _)| epoch < led.epoch) {
            latest = Some((led.epoch, leader));
        }
    }
    let latest = latest.map(|(_, leader)| leader);
    latest.ok_or_else(|| format!("no broker says who leads partition 0 of {topic}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_the_ports_of_a_node_then_each_has_one_use() {
        let numbers: Vec<u16> = (1..=OF_A_NODE as u16).collect();
        let ports = assigned(&numbers);
        let ports = ports.map(|p| {
            let of_links = p
                .links
                .iter()
                .flat_map(|(listener, proxy)| [*listener, *proxy]);
            let mut all: Vec<u16> = [p.direct, p.controller]
                .into_iter()
                .chain(of_links)
                .collect();
            all.sort_unstable();
            all
        });
        assert_eq!(ports, Some(numbers));
        assert_eq!(assigned(&[1]), None);
    }

    #[tokio::test]
    async fn given_nobody_who_answers_when_the_leader_is_asked_for_then_that_is_said() {
        let nowhere = BTreeMap::from([(BrokerNode::ALL[1], "127.0.0.1:1".to_owned())]);
        let said = leader_of(&nowhere, "orders").await;
        assert!(said.is_err_and(|e| e.contains("partition 0 of orders")));
    }
}
