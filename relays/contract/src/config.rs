//! What a child process is told at its start: one JSON file, written by the harness.

pub use crate::broker::BrokerKind;
use crate::cache::{CacheFill, CacheMode};
pub use crate::database::DatabaseKind;
use crate::publish::PublishPolicy;
pub use crate::rabbitmq::{
    GroupQueues, OnFailure, QueueKind, RabbitMqGroup, RabbitMqTarget, stream_of,
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

mod database;
mod eventbridge;
mod kafka;
mod nats;

pub use database::*;
pub use eventbridge::{EVENTBRIDGE_SOURCE, EventBridgeDetail, EventBridgeTarget, LooksAt};
pub use kafka::{Acks, KafkaTarget};
pub use nats::{NatsTarget, nats_stream, nats_subjects};

/// This says what of PostgreSQL a strategy has for itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// It has a schema of the stack's database, whose `public` is not for it.
    #[default]
    Schema,
    /// It has a database, and its tables are in that one's `public`.
    Database,
}

impl Isolation {
    /// These are all of them.
    pub const ALL: [Self; 2] = [Self::Schema, Self::Database];

    /// Returns its name in files: `schema` or `database`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Database => "database",
        }
    }
}

/// This says where a process writes its trace, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceTarget {
    /// Folder in which each life of the process makes a file; this process's own, made if missing.
    pub folder: PathBuf,
    /// All lives of the process together write at most so many bytes.
    pub max_bytes: u64,
}

/// This says how to reach a broker, and what there belongs to this strategy: of each system, what its clients need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum BrokerTarget {
    /// The broker is Apache Kafka.
    Kafka(KafkaTarget),
    /// The broker is RabbitMQ.
    RabbitMq(RabbitMqTarget),
    /// The broker is NATS JetStream.
    Nats(NatsTarget),
    /// The broker is EventBridge.
    EventBridge(EventBridgeTarget),
}

impl BrokerTarget {
    /// Returns which system it is.
    pub fn kind(&self) -> BrokerKind {
        match self {
            Self::Kafka(_) => BrokerKind::Kafka,
            Self::RabbitMq(_) => BrokerKind::RabbitMq,
            Self::Nats(_) => BrokerKind::Nats,
            Self::EventBridge(_) => BrokerKind::EventBridge,
        }
    }

    /// Returns the name of the topic of the events.
    pub fn topic(&self) -> &str {
        match self {
            Self::Kafka(target) => &target.topic,
            Self::RabbitMq(target) => &target.topic,
            Self::Nats(target) => &target.topic,
            Self::EventBridge(target) => &target.topic,
        }
    }

    /// Returns where Kafka is; an Err says that the broker is another one.
    pub fn kafka(&self) -> Result<&KafkaTarget, String> {
        match self {
            Self::Kafka(target) => Ok(target),
            Self::RabbitMq(_) | Self::Nats(_) | Self::EventBridge(_) => Err(format!(
                "this needs Kafka, and the broker is {}",
                self.kind().title()
            )),
        }
    }
}

/// This says how to reach the cache, and which keys there belong to this strategy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheTarget {
    /// This is the `host:port` of Redis, or the proxy's where the link is proxied.
    pub address: String,
    /// Each key begins with this, and goes on with the order's id.
    pub prefix: String,
}

/// This says how an order service uses the cache of orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceCache {
    /// This is the cache.
    pub target: CacheTarget,
    /// Who takes an entry away, or writes it, and when.
    pub mode: CacheMode,
    /// What a read that found no entry may put there.
    pub fill: CacheFill,
    /// So many milliseconds pass between a read of the database and the fill.
    pub fill_hold_ms: u64,
}

/// This says how a relay invalidates the cache of orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayCache {
    /// This is the cache.
    pub target: CacheTarget,
    /// With [`CacheFill::Newer`] it leaves markers.
    pub fill: CacheFill,
}

/// In which order a dual write does its two writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteOrder {
    /// The service commits the order, then publishes: a failure between the two loses the event.
    CommitThenPublish,
    /// The service publishes, then commits the order: a failure between the two invents an event.
    PublishThenCommit,
}

/// How the order service makes a change durable and announced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum WritePathConfig {
    /// Order, version and outbox row are written in one transaction.
    Outbox {
        /// This says whether the transaction also sends a NOTIFY to wake a polling relay.
        notify: bool,
    },
    /// Order and version are written in one transaction with a logical decoding message that announces them:
    /// there is no outbox table.
    Message,
    /// The change is appended as an event, and nothing else is written: the events are the truth, and whoever
    /// publishes them reads them there.
    Events,
    /// Order and version, then the statements of an outbox that was not designed here, in one
    /// transaction.
    Foreign {
        /// These statements announce a change, in this order.
        announce: Vec<ForeignStatement>,
    },
    /// There are two writes, and no transaction around them.
    DualWrite {
        /// Which write comes first.
        order: WriteOrder,
        /// How long a request waits for the broker before it gives up; `None` leaves
        /// librdkafka's own `message.timeout.ms` of five minutes.
        publish_timeout_ms: Option<u64>,
        /// What it does when a publish fails.
        #[serde(default)]
        policy: PublishPolicy,
        /// This says where the service publishes.
        broker: BrokerTarget,
    },
    /// There are two writes, and a two-phase commit around them: the service is its coordinator.
    TwoPhase {
        /// This says where the service publishes.
        kafka: KafkaTarget,
        /// Each step of the broker takes at most this long.
        publish_timeout_ms: u64,
        /// The broker aborts a transaction that is open for longer than this.
        transaction_timeout_ms: u64,
        /// So many transactional producers are held, each for one order at a time.
        producers: usize,
    },
}

/// This is a statement with parameters, each of type text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignStatement {
    /// This is the statement's text, with `$1`, `$2` and so on for its parameters.
    pub sql: String,
    /// What they are, in the order of their numbers.
    pub parameters: Vec<Parameter>,
}

/// What a parameter of a [`ForeignStatement`] is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parameter {
    /// It is the id of the attempt that made the change, a UUID, and the event's id too.
    Attempt,
    /// It is the order's id, a UUID.
    OrderId,
    /// It is the version that the change made.
    Version,
    /// It is the event's type as consumers see it, e.g. `OrderPlaced`.
    EventType,
    /// It is the whole event as JSON text, its version included.
    Payload,
    /// It is this text, the same for every change.
    Text(String),
}

/// This is the configuration of `outbox-harness order-service`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceConfig {
    /// The HTTP listener has this address.
    pub listen: SocketAddr,
    /// This is the run id, 16 hex digits; it goes into every event.
    pub run: String,
    /// The service writes to this database, with a role of its own.
    pub database: DatabaseTarget,
    /// So many connections to it are held.
    pub database_connections: usize,
    /// This says how a change is made durable and how it is announced.
    pub write_path: WritePathConfig,
    /// Orders are read through this cache; with `None` they are not read at all.
    #[serde(default)]
    pub cache: Option<ServiceCache>,
    /// This says where to write a trace; `None` means nowhere.
    #[serde(default)]
    pub trace: Option<TraceTarget>,
}

/// What a polling relay does with a row whose event is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterPublish {
    /// The relay deletes the row from the outbox.
    Delete,
    /// The relay sets the row's status to `processed`.
    Mark,
}

/// How the relay of an outbox keeps it small.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Housekeeping {
    /// Nothing is done beside what becomes of each row.
    #[default]
    None,
    /// The relay deletes marked rows every so often, in bounded batches.
    Purge {
        /// So many milliseconds pass between two purges.
        every_ms: u64,
    },
    /// The outbox is partitioned by the time at which rows are inserted; the relay makes partitions ahead, and drops
    /// those whose time is over and in which nothing waits.
    Partitions {
        /// One partition takes the rows of so many milliseconds.
        period_ms: u64,
    },
    /// Rows go into one of several tables by turns; the relay truncates those whose turn is over and in which nothing
    /// waits.
    Rotate {
        /// One turn lasts so many milliseconds.
        period_ms: u64,
        /// There are so many tables.
        tables: u32,
    },
}

impl Housekeeping {
    /// Whether the outbox is of several tables.
    pub fn has_tables(self) -> bool {
        match self {
            Self::None | Self::Purge { .. } => false,
            Self::Partitions { .. } | Self::Rotate { .. } => true,
        }
    }
}

/// As what an event stands in the write-ahead log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Logged {
    /// It is a row that was inserted into the outbox.
    #[default]
    Row,
    /// It is a logical decoding message (`pg_logical_emit_message`), whose prefix is the strategy's schema.
    Message,
    /// It is a row that was appended to the events, where it stays.
    Event,
}

/// This says where a relay gets its events from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum SourceConfig {
    /// Claims rows with SQL.
    Polling {
        /// This says whether a row is deleted or marked when its event is durable.
        after_publish: AfterPublish,
        /// This says how the relay keeps the outbox small beside that.
        #[serde(default)]
        housekeeping: Housekeeping,
        /// The relay pauses for so many milliseconds after a poll that found nothing.
        interval_ms: u64,
        /// Rows a claim takes at most.
        batch: u32,
        /// This says whether to LISTEN for the write path's NOTIFY as a hint on top of the interval.
        notify: bool,
    },
    /// Reads events that stay where they are, from a position of its own on.
    Position {
        /// The relay pauses for so many milliseconds after a poll that found nothing.
        interval_ms: u64,
        /// Events a poll takes at most.
        batch: u32,
    },
    /// Streams the write-ahead log with logical replication (pgoutput).
    Cdc {
        /// This is the replication slot's name; the slot exists before the relay starts.
        slot: String,
        /// This is the publication's name; the publication exists before the relay starts.
        publication: String,
        /// This says as what the events stand in the log.
        #[serde(default)]
        logged: Logged,
    },
    /// Streams MariaDB's binlog, from a position that the relay keeps in the strategy's database on.
    Binlog,
}

/// This says whether a relay's own commits wait for the disk (`synchronous_commit` of its sessions).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommitMode {
    /// They do not. If the server crashes and forgets a commit of the relay, rows are published
    /// twice, which at-least-once delivery allows; none is lost.
    #[default]
    Off,
    /// The relay's commits wait for the disk, so that a crash of the server forgets none of them.
    On,
}

impl CommitMode {
    /// Returns the value of `synchronous_commit`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
        }
    }
}

/// This is the configuration of `outbox-harness relay`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RelayConfig {
    /// This is the database, with the relay's own role.
    pub database: DatabaseTarget,
    /// The relay publishes to the topic of this broker.
    pub broker: BrokerTarget,
    /// This says whether the relay polls the outbox or reads the write-ahead log, and with what settings.
    pub source: SourceConfig,
    /// For each event the relay takes its order out of this cache; `None` where that is not its work.
    #[serde(default)]
    pub cache: Option<RelayCache>,
    /// Of the sessions in which published rows are deleted or marked, or a position is kept.
    #[serde(default)]
    pub synchronous_commit: CommitMode,
    /// Whether it is one of several: it is ready as soon as it stands by, and the server takes the source
    /// away from it when nothing is heard of it for a few seconds.
    #[serde(default)]
    pub one_of_several: bool,
    /// This says where to write a trace; `None` means nowhere.
    #[serde(default)]
    pub trace: Option<TraceTarget>,
}
