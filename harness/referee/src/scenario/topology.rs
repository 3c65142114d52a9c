//! What a strategy is made of, as far as those who judge a run need to know: roles, and no kinds.

use super::{Link, Server, Victim};
use contract::broker::BrokerKind;
use contract::database::DatabaseKind;
use contract::publish::PublishPolicy;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// This says which of a strategy's relays is meant: the first is called `relay`, the second `relay-2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance(u8);

/// The names of the processes, by instance.
const NAMES: [&str; Instance::MOST] = ["relay", "relay-2", "relay-3", "relay-4"];

impl Instance {
    /// Most relays that a strategy has.
    pub const MOST: usize = 4;
    /// The one that every strategy with a relay has.
    pub const FIRST: Self = Self(0);
    /// All that a strategy can have.
    pub const ALL: [Self; Self::MOST] = [Self(0), Self(1), Self(2), Self(3)];

    /// Returns the first `count` instances.
    pub fn first(count: u8) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().take(usize::from(count))
    }

    /// Returns the instance's place among a strategy's relays, from 0.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Returns the name of the instance's process.
    pub fn name(self) -> &'static str {
        NAMES[self.index()]
    }
}

/// Whether a process of this name is `process`, or another of its kind where there are several (`relay-2`).
pub fn is_of_kind(name: &str, process: &str) -> bool {
    let Some(number) = name.strip_prefix(process) else {
        return false;
    };
    let number = number.strip_prefix('-');
    name == process || number.is_some_and(|n| n.parse::<u8>().is_ok())
}

/// Either the order service or a relay publishes a strategy's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Publisher {
    /// The order service publishes, beside its own writing.
    Service,
    /// A relay publishes, in a process of its own.
    Relay,
}

/// How the order service publishes an event that nothing keeps until it is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneChance {
    /// A publish is given up after this time; `None` where nothing bounds it.
    pub within: Option<Duration>,
    /// What the service does when it fails.
    pub policy: PublishPolicy,
}

/// What a strategy is made of: it comes from the strategy before a run, and stands in the history after it, so that who
/// reads one needs to know no kind of strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// This publishes the strategy's events.
    pub publisher: Publisher,
    /// Whether what is committed is kept somewhere until it is published, which goes on when its request is over.
    pub has_outbox: bool,
    /// How many relay processes there are.
    pub relays: u8,
    /// This is true if the publisher reads the write-ahead log.
    pub reads_log: bool,
    /// Whether it can be asked what is not published yet.
    pub tells_pending: bool,
    /// Whether what was published stays in the source, which is the truth itself, and a publisher keeps how far it has come.
    pub events_stay: bool,
    /// How the order service publishes, where nothing keeps what it does not get published.
    pub one_chance: Option<OneChance>,
    /// Its events go to this broker.
    pub broker: BrokerKind,
    /// Its orders, and its outbox, are in this database.
    pub database: DatabaseKind,
    /// Of so many servers is that broker.
    #[serde(rename = "kafka_brokers")]
    pub broker_nodes: u8,
    /// Whether its order service reads orders through a cache.
    pub has_cache: bool,
    /// Whether its relay invalidates that cache.
    pub relay_invalidates: bool,
}

impl Topology {
    /// Whether a relay process runs, or one in its place.
    pub fn has_relay(self) -> bool {
        self.relays > 0
    }

    /// Whether a request is answered only when its event is with the broker. What waits for the broker is requests
    /// then, and events otherwise.
    pub fn publishes_in_request(self) -> bool {
        self.publisher == Publisher::Service && !self.relays_inside()
    }

    /// Whether its relays publish nothing by themselves: they finish what the order service leaves behind.
    pub fn recovers(self) -> bool {
        self.has_relay() && self.publisher == Publisher::Service
    }

    /// Whether the order service publishes what is in its outbox by itself.
    pub fn relays_inside(self) -> bool {
        self.has_outbox && !self.has_relay()
    }

    /// Whether this process is one of it, or a server that it uses.
    pub fn has(self, victim: Victim) -> bool {
        match victim {
            // Consumers are the scenario's: every strategy has its own of each.
            Victim::OrderService | Victim::Consumer(_) => true,
            Victim::Relay(instance) => instance.index() < usize::from(self.relays),
            Victim::Server(server) => self.has_server(server),
        }
    }

    /// Whether its broker is several servers.
    pub fn has_nodes(self) -> bool {
        Server::Broker(self.broker).can_have_nodes() && self.broker_nodes > 1
    }

    /// Whether this process runs by itself: a Kafka of several brokers is not one.
    pub fn runs(self, victim: Victim) -> bool {
        self.has(victim)
            && !(victim == Victim::Server(Server::Broker(self.broker)) && self.has_nodes())
    }

    /// Whether it uses this server at all.
    pub fn has_server(self, server: Server) -> bool {
        match server {
            Server::Database(kind) => kind == self.database,
            Server::Broker(kind) => kind == self.broker,
            Server::Redis => self.has_cache,
            Server::BrokerNode(node) => {
                self.has_nodes() && node.index() < usize::from(self.broker_nodes)
            }
        }
    }

    /// Returns whether the strategy uses this link at all.
    pub fn uses(self, link: Link) -> bool {
        let by_process = match link {
            Link::Orders(Server::Broker(_) | Server::BrokerNode(_)) => {
                self.publisher == Publisher::Service
            }
            Link::Orders(Server::Database(_) | Server::Redis) => true,
            Link::Relay(_, Server::Redis) => self.relay_invalidates,
            Link::Relay(_, Server::Database(_) | Server::Broker(_) | Server::BrokerNode(_)) => true,
            // Whether there are any is the scenario's.
            Link::Consumer(_) => true,
        };
        let has_client = link.client().is_none_or(|client| self.has(client));
        // Nobody connects to all brokers at once.
        by_process && has_client && self.runs(Victim::Server(link.server()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_names_of_processes_then_those_with_a_number_are_of_the_kind() {
        for instance in Instance::ALL {
            assert!(is_of_kind(instance.name(), "relay"), "{}", instance.name());
        }
        for other in [
            "relays",
            "relay-",
            "relay-x",
            "order-service",
            "consumer-relay-2",
        ] {
            assert!(!is_of_kind(other, "relay"), "{other}");
        }
    }
}
