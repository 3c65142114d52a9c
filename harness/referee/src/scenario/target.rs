//! What a fault hits: a link, a side of the system, or a process.

use super::{Link, NodeRole, Server, Topology, Victim};
use contract::broker::BrokerKind;
use contract::database::DatabaseKind;
use serde::{Deserialize, Serialize};

/// This is what a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Saved", from = "Saved")]
pub enum Target {
    /// The fault hits this one link.
    Link(Link),
    /// The fault hits every link to this server; files say `kafka`, `postgres`, ...
    Side(Server),
    /// The fault hits every link to a broker, whichever each strategy has; files say `broker`.
    Broker,
    /// The fault hits this process, which is part of the system under test or a server; of a broker of several nodes, all
    /// of them.
    Process(Victim),
    /// The fault hits those of a broker's several nodes that are this to the topic when it begins.
    NodeRole(NodeRole),
}

impl Target {
    /// Returns the target's name in scenario files and records: that of a link, a side or a process.
    pub fn name(self) -> &'static str {
        match self {
            Self::Link(link) => link.name(),
            Self::Side(server) => server.name(),
            Self::Broker => "broker",
            Self::Process(victim) => victim.name(),
            Self::NodeRole(role) => role.name(),
        }
    }

    /// Whether it is a process, or several.
    pub fn is_of_processes(self) -> bool {
        match self {
            Self::Process(_) | Self::NodeRole(_) => true,
            Self::Link(_) | Self::Side(_) | Self::Broker => false,
        }
    }

    /// Returns every process that it can be, whatever the strategy.
    pub fn processes(self) -> Vec<Victim> {
        let of = |server: Server| server.and_nodes().into_iter().map(Victim::Server);
        match self {
            Self::Process(Victim::Server(server)) => of(server).collect(),
            Self::Process(victim) => vec![victim],
            Self::NodeRole(_) => of(Server::OF_NODES).skip(1).collect(),
            Self::Link(_) | Self::Side(_) | Self::Broker => Vec::new(),
        }
    }

    /// Returns those of these processes that run for this strategy.
    pub fn processes_of(self, strategy: Topology) -> Vec<Victim> {
        let all = self.processes().into_iter();
        all.filter(|victim| strategy.runs(*victim)).collect()
    }

    /// Returns the server that it is on, itself or by a way to it; `None` for what is of no server, and where each
    /// strategy has its own.
    pub fn server(self) -> Option<Server> {
        match self {
            Self::Side(server) | Self::Process(Victim::Server(server)) => Some(server),
            Self::Link(link) => Some(link.server()),
            Self::NodeRole(_) => Some(Server::OF_NODES),
            Self::Broker
            | Self::Process(Victim::OrderService | Victim::Relay(_) | Victim::Consumer(_)) => None,
        }
    }

    /// Returns the links it covers (none for a process).
    pub fn links(self) -> Vec<Link> {
        let all = Link::ALL.into_iter();
        match self {
            Self::Link(link) => link.and_nodes(),
            Self::Side(server) => server.and_nodes().into_iter().flat_map(Link::to).collect(),
            Self::Broker => all
                .filter(|link| link.server().is_broker() && !link.is_of_consumers())
                .collect(),
            Self::Process(_) | Self::NodeRole(_) => Vec::new(),
        }
    }
}

/// How a history has it. Sides had a name each before there were several brokers and databases, which histories of then
/// still have.
#[derive(Serialize, Deserialize)]
enum Saved {
    Link(Link),
    #[serde(rename = "Kafka")]
    UsualBroker,
    #[serde(rename = "Postgres")]
    UsualDatabase,
    #[serde(rename = "Redis")]
    Cache,
    Side(Server),
    Broker,
    Process(Victim),
    /// Histories have the name of when only Kafka had several nodes.
    #[serde(rename = "KafkaRole")]
    NodeRole(NodeRole),
}

impl From<Saved> for Target {
    fn from(saved: Saved) -> Self {
        match saved {
            Saved::Link(link) => Self::Link(link),
            Saved::UsualBroker => Self::Side(Server::Broker(BrokerKind::USUAL)),
            Saved::UsualDatabase => Self::Side(Server::Database(DatabaseKind::USUAL)),
            Saved::Cache => Self::Side(Server::Redis),
            Saved::Side(server) => Self::Side(server),
            Saved::Broker => Self::Broker,
            Saved::Process(victim) => Self::Process(victim),
            Saved::NodeRole(role) => Self::NodeRole(role),
        }
    }
}

impl From<Target> for Saved {
    fn from(target: Target) -> Self {
        match target {
            Target::Link(link) => Self::Link(link),
            Target::Side(server) => Self::Side(server),
            Target::Broker => Self::Broker,
            Target::Process(victim) => Self::Process(victim),
            Target::NodeRole(role) => Self::NodeRole(role),
        }
    }
}
