//! The servers that a system under test can use, and the links that lead to them: a row each.

use super::{BrokerNode, Instance, Target, Victim};
use contract::broker::BrokerKind;
use contract::database::DatabaseKind;
use serde::{Deserialize, Serialize};

/// This is a server that the system under test uses, by what it is to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Server {
    /// It is the database.
    Database(DatabaseKind),
    /// It is the broker.
    Broker(BrokerKind),
    /// It is the cache, Redis.
    Redis,
    /// It is one of several brokers of Kafka, which together are the server `kafka`.
    BrokerNode(BrokerNode),
}

/// The names of one server, of its process, and of the links to it, each with a line of explanation.
struct ServerNames {
    title: &'static str,
    side: NameAndWhat,
    orders: NameAndWhat,
    relays: [&'static str; Instance::MOST],
    relay_what: &'static str,
    consumers: NameAndWhat,
    process: NameAndWhat,
}

/// A name in files, and what it is.
type NameAndWhat = (&'static str, &'static str);

/// Writes the row of a server with these names in files and in sentences. What is said of its links is followed by where there are any.
macro_rules! row {
    (
        $name:literal, $title:literal,
        $side:literal, $orders:literal, $relay:literal, $process:literal
    ) => {
        row!(
            $name,
            concat!($name, "-server"),
            $title,
            $side,
            $orders,
            $relay,
            concat!($process, " (kill, restart, pause)")
        )
    };
    (
        $name:literal, $process_name:expr, $title:literal,
        $side:literal, $orders:literal, $relay:literal, $process:expr
    ) => {
        ServerNames {
            title: $title,
            side: ($name, concat!("every link to ", $title, $side)),
            orders: (
                concat!("orders->", $name),
                concat!("the order service's connections to ", $title, $orders),
            ),
            relays: [
                concat!("relay->", $name),
                concat!("relay-2->", $name),
                concat!("relay-3->", $name),
                concat!("relay-4->", $name),
            ],
            relay_what: concat!("the relay's connections to ", $title, $relay),
            consumers: (
                concat!("consumer->", $name),
                concat!(
                    "the connections of all consumers to ",
                    $title,
                    "; only a fault on this very link hits them"
                ),
            ),
            process: ($process_name, $process),
        }
    };
}

#[rustfmt::skip]
const ROWS: [ServerNames; Server::ALL.len() - BrokerNode::MOST] = [
    row!("postgres", "PostgreSQL", "", "", "", "PostgreSQL with all its backends"),
    row!("kafka", "Kafka", "", " (dual write only)", "", "the Kafka broker; of several, all of them at once"),
    row!(
        "rabbitmq", "RabbitMQ", ", where a strategy has `broker = \"rabbitmq\"`",
        " (dual write with `broker = \"rabbitmq\"` only)", ", where it has `broker = \"rabbitmq\"`",
        "the RabbitMQ server, where a strategy has `broker = \"rabbitmq\"`"
    ),
    row!(
        "nats", "NATS", ", where a strategy has `broker = \"nats\"`",
        " (dual write with `broker = \"nats\"` only)", ", where it has `broker = \"nats\"`",
        "the NATS server, where a strategy has `broker = \"nats\"`"
    ),
    row!(
        "eventbridge", "eventbridge-server", "EventBridge (emulator moto)", ", where a strategy has `broker = \"eventbridge\"`",
        " (dual write with `broker = \"eventbridge\"` only)", ", where it has `broker = \"eventbridge\"`",
        "the emulator of EventBridge, where a strategy has `broker = \"eventbridge\"` (pause; it has all in memory)"
    ),
    row!(
        "mariadb", "MariaDB", ", where a strategy has `database = \"mariadb\"`",
        " (strategies with `database = \"mariadb\"`)", ", where it has `database = \"mariadb\"`",
        "the MariaDB server, where a strategy has `database = \"mariadb\"`"
    ),
    row!(
        "redis", "Redis", ", where a strategy has a `cache`", " (strategies with a `cache`)",
        " (cache = \"invalidate-by-relay\" only)", "Redis, where a strategy has a `cache`"
    ),
];

/// The rows of the brokers of one Kafka.
#[rustfmt::skip]
const NODE_ROWS: [ServerNames; BrokerNode::MOST] = [
    row!(
        "kafka-1", "kafka-server-1", "the first broker of Kafka", ", where there are three", " (dual write only)", "",
        "the first of three Kafka brokers (kill, restart, pause)"
    ),
    row!(
        "kafka-2", "kafka-server-2", "the second broker of Kafka", ", where there are three", " (dual write only)", "",
        "the second of three Kafka brokers (kill, restart, pause)"
    ),
    row!(
        "kafka-3", "kafka-server-3", "the third broker of Kafka", ", where there are three", " (dual write only)", "",
        "the third of three Kafka brokers (kill, restart, pause)"
    ),
];

impl Server {
    /// Kafka is a broker.
    pub const KAFKA: Self = Self::Broker(BrokerKind::Kafka);
    /// RabbitMQ is a broker.
    pub const RABBITMQ: Self = Self::Broker(BrokerKind::RabbitMq);
    /// NATS is a broker.
    pub const NATS: Self = Self::Broker(BrokerKind::Nats);

    /// EventBridge is a broker.
    pub const EVENTBRIDGE: Self = Self::Broker(BrokerKind::EventBridge);

    /// This one can be several servers that have a name together.
    pub const OF_NODES: Self = Self::KAFKA;

    /// PostgreSQL is a database.
    pub const POSTGRES: Self = Self::Database(DatabaseKind::Postgres);
    /// MariaDB is a database.
    pub const MARIADB: Self = Self::Database(DatabaseKind::MariaDb);

    /// These are all servers.
    pub const ALL: [Self; 7 + BrokerNode::MOST] = [
        Self::POSTGRES,
        Self::KAFKA,
        Self::RABBITMQ,
        Self::NATS,
        Self::EVENTBRIDGE,
        Self::MARIADB,
        Self::Redis,
        Self::BrokerNode(BrokerNode::ALL[0]),
        Self::BrokerNode(BrokerNode::ALL[1]),
        Self::BrokerNode(BrokerNode::ALL[2]),
    ];

    fn row(self) -> &'static ServerNames {
        match self {
            Self::Database(DatabaseKind::Postgres) => &ROWS[0],
            Self::Broker(BrokerKind::Kafka) => &ROWS[1],
            Self::Broker(BrokerKind::RabbitMq) => &ROWS[2],
            Self::Broker(BrokerKind::Nats) => &ROWS[3],
            Self::Broker(BrokerKind::EventBridge) => &ROWS[4],
            Self::Database(DatabaseKind::MariaDb) => &ROWS[5],
            Self::Redis => &ROWS[6],
            Self::BrokerNode(node) => &NODE_ROWS[node.index()],
        }
    }

    /// Returns its name as a side of the system, in files: `postgres`, `kafka`.
    pub fn name(self) -> &'static str {
        self.row().side.0
    }

    /// Returns the name of its process: `kafka-server`.
    pub fn process(self) -> &'static str {
        self.row().process.0
    }

    /// Returns its name in sentences: `PostgreSQL`, `Kafka`.
    pub fn title(self) -> &'static str {
        self.row().title
    }

    /// Returns lines of explanation: of its side, of the links of order service, relay and consumers to it, and of its
    /// process.
    pub(super) fn whats(self) -> [&'static str; 5] {
        let row = self.row();
        let of_consumers = row.consumers.1;
        [
            row.side.1,
            row.orders.1,
            row.relay_what,
            of_consumers,
            row.process.1,
        ]
    }

    /// Whether it is a broker, or one of several of Kafka.
    pub fn is_broker(self) -> bool {
        self.broker().is_some()
    }

    /// Returns which broker it is, itself or as one of several; `None` for what is none.
    pub fn broker(self) -> Option<BrokerKind> {
        match self {
            Self::Broker(kind) => Some(kind),
            Self::BrokerNode(_) => Some(BrokerKind::Kafka),
            Self::Database(_) | Self::Redis => None,
        }
    }

    /// Whether it is one of several servers that have a name together.
    pub fn is_node(self) -> bool {
        matches!(self, Self::BrokerNode(_))
    }

    /// Whether every stack has it, whatever its strategies use.
    pub fn is_of_every_stack(self) -> bool {
        self == Self::POSTGRES
    }

    /// Whether there are faults on it that are of a database alone.
    pub fn has_database_faults(self) -> bool {
        match self {
            Self::Database(kind) => kind.has_own_faults(),
            Self::Broker(_) | Self::BrokerNode(_) | Self::Redis => false,
        }
    }

    /// Whether it can be several servers that have a name together.
    pub fn can_have_nodes(self) -> bool {
        self == Self::OF_NODES
    }

    /// Returns it, and its brokers where it is a Kafka of several.
    pub fn and_nodes(self) -> Vec<Self> {
        let nodes = BrokerNode::ALL.into_iter().map(Self::BrokerNode);
        let nodes = nodes.filter(|_| self.can_have_nodes());
        std::iter::once(self).chain(nodes).collect()
    }
}

impl From<Server> for &'static str {
    fn from(server: Server) -> Self {
        server.name()
    }
}

impl TryFrom<String> for Server {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|server| server.name() == name)
            .ok_or_else(|| format!("there is no server `{name}`"))
    }
}

impl Victim {
    /// PostgreSQL's server is called `postgres-server`.
    pub const POSTGRES: Self = Self::Server(Server::POSTGRES);
    /// Kafka's server is called `kafka-server`.
    pub const KAFKA: Self = Self::Server(Server::KAFKA);
    /// The cache's server is called `redis-server`.
    pub const REDIS: Self = Self::Server(Server::Redis);
}

impl Target {
    /// Every link to PostgreSQL is a side.
    pub const POSTGRES: Self = Self::Side(Server::POSTGRES);
    /// Every link to Kafka is a side.
    pub const KAFKA: Self = Self::Side(Server::KAFKA);
    /// Every link to Redis is a side.
    pub const REDIS: Self = Self::Side(Server::Redis);
}

/// This is a link of the system under test, from a process to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Link {
    /// The order service reaches this server by it: `orders->postgres`, ... A broker, where it publishes by itself.
    Orders(Server),
    /// A relay reaches this server by it: `relay->postgres`, `relay-2->kafka`, ...
    Relay(Instance, Server),
    /// All consumers of a strategy reach this server by it: `consumer->postgres`, `consumer->rabbitmq`.
    Consumer(Server),
}

impl Link {
    /// The order service's link to the database is `orders->postgres`.
    pub const ORDERS_POSTGRES: Link = Self::Orders(Server::POSTGRES);
    /// The order service's link to Kafka is `orders->kafka`.
    pub const ORDERS_KAFKA: Link = Self::Orders(Server::KAFKA);
    /// The order service's link to the cache is `orders->redis`.
    pub const ORDERS_REDIS: Link = Self::Orders(Server::Redis);
    /// The first relay's link to PostgreSQL is `relay->postgres`.
    pub const RELAY_POSTGRES: Link = Self::Relay(Instance::FIRST, Server::POSTGRES);
    /// The first relay's link to Kafka is `relay->kafka`.
    pub const RELAY_KAFKA: Link = Self::Relay(Instance::FIRST, Server::KAFKA);
    /// The first relay's link to Redis is `relay->redis`.
    pub const RELAY_REDIS: Link = Self::Relay(Instance::FIRST, Server::Redis);

    /// These are the links of a strategy with Kafka, with one relay, or with none, and without a cache.
    pub const PLAIN: [Link; 4] = [
        Self::ORDERS_POSTGRES,
        Self::ORDERS_KAFKA,
        Self::RELAY_POSTGRES,
        Self::RELAY_KAFKA,
    ];

    /// Consumers reach these servers.
    pub const OF_CONSUMERS: [Link; 3] = [
        Self::Consumer(Server::POSTGRES),
        Self::Consumer(Server::KAFKA),
        Self::Consumer(Server::RABBITMQ),
    ];
    const OF_SERVICE_AND_RELAYS: usize = Server::ALL.len() * (1 + Instance::MOST);

    /// Every link that a strategy can have.
    pub const ALL: [Link; Self::OF_SERVICE_AND_RELAYS + Self::OF_CONSUMERS.len()] = {
        let mut all =
            [Self::ORDERS_POSTGRES; Self::OF_SERVICE_AND_RELAYS + Self::OF_CONSUMERS.len()];
        let (mut server, mut n) = (0, 0);
        while server < Server::ALL.len() {
            all[server] = Self::Orders(Server::ALL[server]);
            server += 1;
        }
        while n < Server::ALL.len() * Instance::MOST {
            let (relay, server) = (n / Server::ALL.len(), n % Server::ALL.len());
            all[Server::ALL.len() + n] = Self::Relay(Instance::ALL[relay], Server::ALL[server]);
            n += 1;
        }
        let mut n = 0;
        while n < Self::OF_CONSUMERS.len() {
            all[Self::OF_SERVICE_AND_RELAYS + n] = Self::OF_CONSUMERS[n];
            n += 1;
        }
        all
    };

    /// Returns the link's name in scenario files and records, such as `relay->kafka`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Orders(server) => server.row().orders.0,
            Self::Relay(instance, server) => server.row().relays[instance.index()],
            Self::Consumer(server) => server.row().consumers.0,
        }
    }

    /// Returns the server at its far end.
    pub fn server(self) -> Server {
        match self {
            Self::Orders(server) | Self::Relay(_, server) | Self::Consumer(server) => server,
        }
    }

    /// Returns every link of order service and relays that ends at this server, and not at one of its brokers. A fault on a
    /// server's side is about how events come to be published; consumers' links are hit by name alone.
    pub fn to(server: Server) -> Vec<Link> {
        let all = Self::ALL.into_iter().filter(|link| !link.is_of_consumers());
        all.filter(|link| link.server() == server).collect()
    }

    /// Whether consumers go by it.
    pub fn is_of_consumers(self) -> bool {
        match self {
            Self::Consumer(_) => true,
            Self::Orders(_) | Self::Relay(..) => false,
        }
    }

    /// Returns it, and the ways to each broker where it leads to a Kafka of several: one of them is used, or the others.
    pub fn and_nodes(self) -> Vec<Link> {
        if self.is_of_consumers() {
            return vec![self];
        }
        let ends = self.server().and_nodes().into_iter();
        ends.map(|end| self.ending_at(end)).collect()
    }

    /// Returns the link of the same process to another server.
    fn ending_at(self, server: Server) -> Link {
        match self {
            Self::Orders(_) => Self::Orders(server),
            Self::Relay(instance, _) => Self::Relay(instance, server),
            Self::Consumer(_) => Self::Consumer(server),
        }
    }

    /// Returns the ways of its process to all brokers of Kafka, where it leads to one of several; else itself. A client
    /// goes by what a listener says of all of them, so it has proxies to all, or to none.
    pub fn and_siblings(self) -> Vec<Link> {
        match self.server() {
            Server::BrokerNode(_) => {
                let nodes = BrokerNode::ALL.into_iter().map(Server::BrokerNode);
                nodes.map(|node| self.ending_at(node)).collect()
            }
            Server::Database(_) | Server::Broker(_) | Server::Redis => vec![self],
        }
    }

    /// Returns every link that begins at the order service.
    pub fn of_orders() -> Vec<Link> {
        Server::ALL.map(Self::Orders).to_vec()
    }

    /// Returns every link that begins at this relay.
    pub fn of_relay(instance: Instance) -> Vec<Link> {
        Server::ALL
            .map(|server| Self::Relay(instance, server))
            .to_vec()
    }

    /// Returns the process at its near end, which connects to the server; `None` where there may be several.
    pub fn client(self) -> Option<Victim> {
        match self {
            Self::Orders(_) => Some(Victim::OrderService),
            Self::Relay(instance, _) => Some(Victim::Relay(instance)),
            Self::Consumer(_) => None,
        }
    }
}

impl From<Link> for &'static str {
    fn from(link: Link) -> Self {
        link.name()
    }
}

impl TryFrom<String> for Link {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|link| link.name() == name)
            .ok_or_else(|| format!("there is no link `{name}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_every_server_then_its_row_is_its_own_and_every_link_has_a_name_of_its_own() {
        for server in Server::ALL {
            assert_eq!(Server::try_from(server.name().to_owned()), Ok(server));
        }
        let mut names = Link::ALL.map(Link::name).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Link::ALL.len());
        for link in Link::ALL {
            assert_eq!(Link::try_from(link.name().to_owned()), Ok(link));
            assert!(link.name().starts_with(match link {
                Link::Orders(_) => "orders->",
                Link::Relay(instance, _) => instance.name(),
                Link::Consumer(_) => "consumer->",
            }));
        }
        for broker in BrokerKind::ALL {
            let server = Server::Broker(broker);
            assert_eq!(
                (server.name(), server.title()),
                (broker.name(), broker.title())
            );
        }
    }
}
