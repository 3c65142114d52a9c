//! A scenario: what to run, parsed once, valid from then on. No I/O after parsing.

mod broker_node;
pub mod brokers;
mod cache;
mod chains;
mod conflicts;
mod consumer;
mod consumer_name;
mod cost;
mod databases;
mod expectations;
pub mod explain;
mod failover;
pub mod fault_kind;
mod faults;
pub mod keys;
pub mod limits;
mod load;
mod metric;
mod parse;
pub mod relay_file;
pub mod schema;
mod section;
mod server;
mod source;
mod stack;
mod strategies;
mod target;
mod topology;
pub mod trigger;
mod unfollowed;
pub mod units;
mod workload;

#[cfg(test)]
mod tests;

pub use broker_node::{BrokerNode, NodeRole};
pub use brokers::{BrokerChoice, EventBridgeSettings, KafkaSettings, NatsSettings};
pub use cache::Cache;
pub use consumer::{Consumer, ConsumerExpectations};
pub use consumer_name::ConsumerName;
pub use cost::{COSTS, CostInfo, CostKind};
pub use fault_kind::{FaultKind, Stream, Toxic};
pub use load::load;
pub use metric::{CACHE_COUNTS, CONSUMER_COUNTS, COUNTS, CountInfo, Unit, implicit};
pub use parse::{LoadedScenario, parse};
pub use server::{Link, Server};
pub use source::{Problem, ScenarioError};
pub use stack::{KafkaCluster, NatsSync};
pub use target::Target;
pub use topology::{Instance, OneChance, Publisher, Topology, is_of_kind};
pub use trigger::Trigger;

use crate::envelope::EventPlace;
use contract::broker::BrokerKind;
use contract::config::{AfterPublish, CommitMode, Housekeeping, WriteOrder};
use contract::database::DatabaseKind;
use contract::publish::PublishPolicy;
use relay_file::RelayFile;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// This is one scenario file, resolved and valid.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scenario {
    /// The run folder and the reports carry this name, the file's `name`.
    pub name: String,
    /// This is the lesson of the scenario, in one sentence.
    pub description: String,
    /// Every random choice of the workload follows from this seed.
    pub seed: u64,
    /// The order service is put under this load, the same for every strategy.
    pub workload: Workload,
    /// These are the faults: those with an `at` by that, then those that wait for something, as in the file.
    pub faults: Vec<Fault>,
    /// These are the strategies in the file's order, at least one.
    pub strategies: Vec<Strategy>,
    /// These read the events of every strategy, each strategy's own, in the file's order.
    #[serde(default)]
    pub consumers: Vec<Consumer>,
    /// Bounds of the drain.
    pub drain: Drain,
    /// Whether the load can show that events are swapped.
    #[serde(default)]
    pub order: OrderTest,
    /// What the servers are to be like, where they are the harness's own.
    #[serde(default)]
    pub stack: StackSettings,
    /// This is the file's text, kept for the history.
    pub text: String,
}

/// `[stack]` of a scenario file is read into this.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackSettings {
    /// Whether every commit waits for a standby that flushes the log.
    pub synchronous_standby: bool,
    /// Whether a second PostgreSQL follows the first, and can take its place.
    #[serde(default)]
    pub hot_standby: bool,
    /// So much log, in bytes, the server keeps for a slot at most; `None`: however much it takes.
    #[serde(default)]
    pub max_slot_wal_keep_bytes: Option<u64>,
    /// So often, in seconds, the server looks for tables to vacuum; `None`: as often as it does by itself.
    #[serde(default)]
    pub autovacuum_naptime_s: Option<u64>,
    /// When what a NATS server acknowledges is on its disk.
    #[serde(default)]
    pub nats_sync: NatsSync,
    /// Of so many events the emulator of EventBridge refuses one for now; `None`: it refuses none.
    #[serde(default)]
    pub eventbridge_throttle: Option<u32>,
    /// What its Kafka is like.
    #[serde(default)]
    pub kafka: KafkaCluster,
}

impl StackSettings {
    /// Whether it asks for anything that only servers of the harness's own can be.
    pub fn is_of_own_servers(self) -> bool {
        self.own_server_key().is_some()
    }

    /// The key of a file that only servers of the harness's own can follow, where there is one.
    pub fn own_server_key(self) -> Option<&'static str> {
        match self {
            Self {
                synchronous_standby: true,
                ..
            } => Some("synchronous_standby"),
            Self {
                hot_standby: true, ..
            } => Some(stack::HOT_STANDBY),
            Self {
                max_slot_wal_keep_bytes: Some(_),
                ..
            } => Some("max_slot_wal_keep_size"),
            Self {
                autovacuum_naptime_s: Some(_),
                ..
            } => Some("autovacuum_naptime"),
            Self {
                nats_sync: NatsSync::Always,
                ..
            } => Some("nats_sync_interval"),
            Self {
                eventbridge_throttle: Some(_),
                ..
            } => Some(stack::EVENTBRIDGE_THROTTLE),
            Self {
                kafka: KafkaCluster { brokers: 2.., .. },
                ..
            } => Some("kafka"),
            Self { .. } => None,
        }
    }
}

/// Whether a run is expected to prove that the events of an order keep their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderTest {
    /// It is: without two versions in flight together it proves nothing.
    #[default]
    Tested,
    /// It is not, by `order = "not-tested"`: the load is so slow that no two versions are ever in flight together.
    NotTested,
}

/// `[workload]` of a scenario file is read into this: what load is offered, and how clients behave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// This is the rate in order changes a second; in a closed loop it is 0: it follows from the answers.
    pub rate: f64,
    /// How long changes are offered.
    pub duration: Duration,
    /// Changes an order goes through (the mean of them, where `skew` > 0).
    pub changes_per_order: u32,
    /// An event's content is this long, bytes.
    pub payload_bytes: usize,
    /// At most so many changes are outstanding at a time, each on an HTTP connection of its own.
    pub connections: usize,
    /// A closed loop has this many clients; `None` means an open loop.
    #[serde(default)]
    pub clients: Option<usize>,
    /// After this a request's outcome is unknown.
    pub request_timeout: Duration,
    /// This is the share of changes that a business rule rolls back after the write.
    pub rollback_ratio: f64,
    /// Share of changes whose transaction is held open for `hold`.
    pub hold_ratio: f64,
    /// How long those transactions are held.
    pub hold: Duration,
    /// Times the client repeats a change whose outcome was unknown.
    pub retries: u32,
    /// With 0, every order gets the same number of changes; above, this is the Zipf exponent of that number.
    pub skew: f64,
    /// The rate grows linearly from 0 to `rate` over this time.
    pub ramp: Duration,
    /// The topic has this many partitions.
    pub partitions: i32,
    /// The order service has this many connections to its database. Files and histories have the name of the first one.
    #[serde(rename = "postgres_connections")]
    pub database_connections: usize,
    /// Fewer committed changes than this in any phase prove nothing.
    pub min_committed_per_phase: u64,
    /// Of all requests, changes and reads, so many are reads.
    #[serde(default)]
    pub read_share: f64,
}

/// A `[[fault]]` of a scenario file is read into this: what it hits, how, when and for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Other faults that wait for this one call it so; `None` where the file gives it no `id`.
    #[serde(default)]
    pub id: Option<String>,
    /// The fault hits this: one link, all links to a server, or a process.
    pub target: Target,
    /// This is what happens to the target.
    pub kind: FaultKind,
    /// The fault begins at this time of the load, or when something happens.
    #[serde(flatten)]
    pub start: Start,
    /// The fault is healed when it was in force for this long, or earlier by a key of a demo.
    pub lasts: Duration,
}

/// This is when a fault begins. A history has `at` or `when` as the file does, so that those of earlier versions,
/// which have an `at`, are read like all others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// It begins so long after the start of the workload.
    At(Duration),
    /// As soon as that happens, while the load goes on.
    When(Trigger),
}

/// A process a fault can hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Victim {
    /// The order service is called `order-service`.
    OrderService,
    /// The relays of a strategy are called `relay`, `relay-2`, ...
    Relay(Instance),
    /// The consumers of a scenario are called `consumer-NAME`.
    Consumer(ConsumerName),
    /// The servers are called `postgres-server`, `kafka-server`, ...
    Server(Server),
}

impl Victim {
    /// The first relay, which every strategy with a relay has, is called `relay`.
    pub const RELAY: Victim = Self::Relay(Instance::FIRST);

    /// Returns the process's name in scenario files and records, such as `relay-2`.
    pub fn name(self) -> &'static str {
        match self {
            Self::OrderService => "order-service",
            Self::Relay(instance) => instance.name(),
            Self::Consumer(name) => name.process(),
            Self::Server(server) => server.process(),
        }
    }
}

impl From<Victim> for &'static str {
    fn from(victim: Victim) -> Self {
        victim.name()
    }
}

impl TryFrom<String> for Victim {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let relays = Instance::ALL.into_iter().map(Self::Relay);
        let servers = Server::ALL.into_iter().map(Self::Server);
        relays
            .chain([Self::OrderService])
            .chain(servers)
            .find(|victim| victim.name() == name)
            .or_else(|| ConsumerName::of_process(&name).map(Self::Consumer))
            .ok_or_else(|| format!("there is no process `{name}`"))
    }
}

/// `[strategy.NAME]` of a scenario file is read into this, together with its expectations.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Strategy {
    /// This is the NAME of its section: letters, digits, `-` and `_`.
    pub name: String,
    /// This is the strategy's kind, with the settings that only this kind has.
    pub kind: StrategyKind,
    /// Its producer waits this long for more events to send together, milliseconds (`linger.ms`).
    pub linger_ms: f64,
    /// This is the `synchronous_commit` of a relay of our own.
    #[serde(default)]
    pub relay_commit: CommitMode,
    /// Whether its replication slot is one that a hot standby has as well.
    #[serde(default)]
    pub failover_slot: bool,
    /// So many processes of its relay run, where it has one.
    #[serde(default = "one")]
    pub instances: u8,
    /// Its events go to this broker, which has settings of its own.
    #[serde(default)]
    pub broker: BrokerChoice,
    /// Its orders and its outbox are in this system.
    #[serde(default)]
    pub database: DatabaseKind,
    /// This is the cache that its order service reads through; `None` where it has none.
    #[serde(default)]
    pub cache: Option<Cache>,
    /// All that is expected of it: the implicit zeros of a relay strategy, overridden by name by
    /// `[expect.NAME]`, and what that adds. Empty for a dual write without `[expect.NAME]`.
    pub expectations: Vec<Expectation>,
    /// All that is expected of its consumers, one after the other.
    #[serde(default)]
    pub of_consumers: Vec<ConsumerExpectations>,
}

/// Returns 1, for histories of before there could be several.
const fn one() -> u8 {
    1
}

impl Strategy {
    /// Counts that are expected to be 0 unless the file says otherwise: those of its kind, and what its cache promises. Where
    /// its broker promises no order nobody else can.
    pub fn zeros(&self) -> Vec<Metric> {
        let mut zeros = self.kind.zeros();
        zeros.retain(|metric| self.broker.kind().keeps_order() || !metric.is_of_order());
        let promised = self.cache.is_some_and(Cache::converges);
        zeros.extend(promised.then_some(Metric::Stale));
        zeros
    }

    /// What it is made of.
    pub fn topology(&self) -> Topology {
        let kind = self.kind.topology();
        let relays = kind.relays.saturating_mul(self.instances);
        Topology {
            relays: relays.min(Instance::MOST as u8),
            broker: self.broker.kind(),
            database: self.database,
            broker_nodes: self.broker.nodes(),
            has_cache: self.cache.is_some(),
            relay_invalidates: self.cache.is_some_and(|cache| cache.mode.is_of_relay()),
            ..kind
        }
    }
}

/// This is how a strategy works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum StrategyKind {
    /// The order service writes the order and publishes its event by itself, as two separate writes.
    DualWrite {
        /// Which write comes first.
        order: WriteOrder,
        /// How long a request waits for the broker.
        publish_timeout: Option<Duration>,
        /// What the service does when a publish fails. (Histories of before it was there had no retries.)
        #[serde(default)]
        policy: PublishPolicy,
    },
    /// The strategy is an outbox with a polling relay.
    Polling {
        /// This says whether the relay deletes or marks a row whose event is durable on the topic.
        after_publish: AfterPublish,
        /// This says how the relay keeps the outbox small beside that. (Histories of before it was there had nothing.)
        #[serde(default)]
        housekeeping: Housekeeping,
        /// The relay pauses this long after a poll that found nothing.
        interval: Duration,
        /// The relay claims at most this many rows at a time.
        batch: u32,
        /// This says whether the order service wakes the relay up by NOTIFY, as a hint.
        notify: bool,
    },
    /// The strategy is an outbox with a change-data-capture relay.
    Cdc {},
    /// The strategy is an outbox without a table: a change-data-capture relay reads logical decoding messages.
    LogicalMessage {},
    /// The strategy is an event store: what a change appends is the truth and the event alike, and a relay publishes
    /// it from there.
    EventSourcing {
        /// This says how the relay reads the events.
        publish: Publishing,
    },
    /// The strategy is an outbox with Debezium as the relay, in Kafka Connect.
    Debezium {},
    /// The order service writes the order and publishes its event in a two-phase commit; a recoverer stands by.
    TwoPhaseCommit {
        /// Each step of the broker takes at most this long.
        publish_timeout: Duration,
        /// The broker aborts a transaction that is open for longer than this.
        transaction_timeout: Duration,
        /// What an order service that lives has not finished for so long, the recoverer finishes; `None` where the file
        /// leaves it to the request's timeout.
        in_doubt_after: Option<Duration>,
        /// So many transactional producers has the order service.
        producers: u32,
    },
    /// The strategy is anyone's outbox, with anyone's relay, or with anyone's order service.
    External {
        /// This is the relay, or the order service, as its file describes it.
        relay: Box<RelayFile>,
    },
}

/// This is how a relay reads events that stay where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Publishing {
    /// It asks for those behind its position, which it keeps.
    Polling {
        /// The relay pauses this long after a poll that found nothing.
        interval: Duration,
        /// The relay reads at most this many events at a time.
        batch: u32,
    },
    /// It reads them from the write-ahead log.
    Cdc,
}

impl StrategyKind {
    /// Returns the `kind` of scenario files and records, such as `dual-write`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::DualWrite { .. } => "dual-write",
            Self::Polling { .. } => "polling",
            Self::Cdc {} => "cdc",
            Self::LogicalMessage {} => "logical-message",
            Self::EventSourcing { .. } => "event-sourcing",
            Self::Debezium {} => "debezium",
            Self::TwoPhaseCommit { .. } => "two-phase-commit",
            Self::External { .. } => "external",
        }
    }

    /// What a strategy of this kind is made of, before its own file asks for more relays.
    pub fn topology(&self) -> Topology {
        let relay = |reads_log, tells_pending| Topology {
            publisher: Publisher::Relay,
            relays: 1,
            has_outbox: true,
            reads_log,
            tells_pending,
            events_stay: false,
            one_chance: None,
            broker: BrokerKind::Kafka,
            database: DatabaseKind::default(),
            broker_nodes: 1,
            has_cache: false,
            relay_invalidates: false,
        };
        match self {
            Self::DualWrite {
                publish_timeout,
                policy,
                ..
            } => Topology {
                publisher: Publisher::Service,
                relays: 0,
                has_outbox: false,
                one_chance: Some(OneChance {
                    within: *publish_timeout,
                    policy: *policy,
                }),
                ..relay(false, true)
            },
            Self::Polling { .. } => relay(false, true),
            Self::EventSourcing { publish } => Topology {
                events_stay: true,
                ..relay(matches!(publish, Publishing::Cdc), true)
            },
            Self::Cdc {} | Self::LogicalMessage {} | Self::Debezium {} => relay(true, true),
            // What is decided stands in a table until it is done.
            Self::TwoPhaseCommit { .. } => Topology {
                publisher: Publisher::Service,
                ..relay(false, true)
            },
            Self::External { relay: file } => Topology {
                relays: file.process.as_ref().map_or(0, |process| process.instances),
                publisher: match file.process {
                    Some(_) => Publisher::Relay,
                    None => Publisher::Service,
                },
                ..relay(
                    file.outbox.is_read_from_wal(),
                    file.outbox.pending.is_some(),
                )
            },
        }
    }

    /// The file that describes its relay, or its order service, where one does.
    pub fn relay_file(&self) -> Option<&RelayFile> {
        match self {
            Self::External { relay } => Some(relay),
            Self::DualWrite { .. }
            | Self::Polling { .. }
            | Self::Cdc {}
            | Self::LogicalMessage {}
            | Self::EventSourcing { .. }
            | Self::Debezium {}
            | Self::TwoPhaseCommit { .. } => None,
        }
    }

    /// How long its order service waits for the broker, where it waits and a bound is known.
    pub fn publish_timeout(&self) -> Option<Duration> {
        match self {
            Self::DualWrite {
                publish_timeout, ..
            } => *publish_timeout,
            Self::TwoPhaseCommit {
                publish_timeout, ..
            } => Some(*publish_timeout),
            Self::Polling { .. }
            | Self::Cdc {}
            | Self::LogicalMessage {}
            | Self::EventSourcing { .. }
            | Self::Debezium {}
            | Self::External { .. } => None,
        }
    }

    /// Counts that are expected to be 0 unless the file says otherwise.
    pub fn zeros(&self) -> Vec<Metric> {
        match self.relay_file() {
            Some(relay) => relay.promises.zeros(),
            None if self.has_relay() => implicit(),
            None => Vec::new(),
        }
    }

    /// Where the records of its events have the order's id and the event.
    pub fn event_place(&self) -> EventPlace {
        self.relay_file()
            .map_or_else(EventPlace::default, |relay| relay.place.clone())
    }

    /// Returns the names of the topics of its events, one at least, where the run's own topic has this name.
    pub fn topics(&self, own: &str) -> Vec<String> {
        match self.relay_file() {
            None => vec![own.to_owned()],
            Some(relay) => {
                let filled = relay.topics.iter().map(|name| name.fill(|_| own.into()));
                filled.collect()
            }
        }
    }

    /// Whether a relay process runs.
    pub fn has_relay(&self) -> bool {
        self.topology().has_relay()
    }

    /// Whether what is committed waits in an outbox until it is published.
    pub fn has_outbox(&self) -> bool {
        self.topology().has_outbox
    }

    /// Whether the order service is not ours.
    pub fn brings_service(&self) -> bool {
        self.relay_file().is_some_and(|file| file.service.is_some())
    }

    /// Whether the order service publishes what is in its outbox by itself.
    pub fn relays_inside(&self) -> bool {
        self.topology().relays_inside()
    }
}

/// What can be expected of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// A change was committed and never published, and nothing could still publish it.
    Lost,
    /// Committed, not published within the drain's bound, the source still holds it.
    Undrained,
    /// A publish was cut off by the teardown itself.
    Undecided,
    /// An event was published, and its attempt is not committed at that version.
    Phantom,
    /// An event is not of this run.
    Foreign,
    /// A change has valid events beyond the first, each of which counts.
    Duplicated,
    /// A version of an order was overtaken by a later version.
    Reordered,
    /// An event came to its partition after that of a change that was sent when its own had been answered.
    Overtaken,
    /// One order has events on several partitions.
    Split,
    /// An event is not what its attempt implies.
    Corrupted,
    /// The client was told that its change is committed as a version, and the database has something else there.
    Missing,
    /// One change was committed at two versions.
    DoubleApplied,
    /// A change was refused in words, and is committed all the same.
    FalseRejection,
    /// A change was committed, and its client was told nothing.
    Unacknowledged,
    /// A valid event was first seen later than `late_after` after its answer, or after its request's end.
    Late,
    /// A consumer did not apply a valid event.
    Unapplied,
    /// A consumer applied a change more than once; each time beyond the first counts.
    AppliedTwice,
    /// A consumer applied something of which there is no valid event.
    AppliedUnseen,
    /// A consumer took an order back to an older version than one that it had applied before.
    AppliedOutOfOrder,
    /// The cache, after the fence, answers another version of an order than the committed one.
    Stale,
    /// A read was answered a version older than one that had been acknowledged before it was sent.
    StaleReads,
    /// Milliseconds from when the oldest version that a stale read should have seen had been acknowledged to that read's
    /// answer, the longest of them.
    LongestStaleness,
    /// Seconds from the end of the load until the last committed change was seen.
    Drain,
    /// Seconds from the last heal until everything committed before it was seen.
    Recovery,
    /// This is what the strategy costs, by one figure.
    Cost(CostKind),
    /// This is a percentile of a latency, in milliseconds.
    Latency(LatencyKind, Percentile),
}

/// These are the three latencies (design: times).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatencyKind {
    /// It goes from the intended start to the answer.
    Order,
    /// It goes from the answer to the first sight.
    Propagation,
    /// It goes from the intended start to the first sight.
    EndToEnd,
}

/// Percentiles that can be expected of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Percentile {
    /// Half of the values are at most this: the 50th percentile, or median.
    P50,
    /// This is the 90th percentile.
    P90,
    /// This is the 99th percentile.
    P99,
    /// This is the 99.9th percentile.
    P999,
    /// This is the largest value of all, the 100th percentile.
    Max,
}

/// An expectation compares what is measured with its value in one of these ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// What is measured must be exactly the value, as in `0` or `= 0`.
    Equal,
    /// What is measured must be at least the value, as in `>= 1`.
    AtLeast,
    /// What is measured must be at most the value, as in `<= 10s`.
    AtMost,
}

/// A strategy is expected to keep this: a metric of its run, compared with a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// The expectation is on this metric; its name in files is in [`Metric::name`].
    pub metric: Metric,
    /// What is measured is compared with `value` in this way.
    pub comparison: Comparison,
    /// What is measured is compared with this, in the metric's [`Unit`]: a count, milliseconds for latencies, seconds
    /// for `drain` and `recovery`.
    pub value: f64,
    /// The file writes the expectation so (an implicit one is `0`), and reports quote it.
    pub text: String,
    /// Whether the file said so, or it is one of a relay strategy's implicit zeros.
    pub implicit: bool,
}

/// `[drain]` of a scenario file is read into this: how long events may take, and how long the relay goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// What is still on its way may take this long after the last heal to arrive.
    pub within: Duration,
    /// A valid event first seen later than this after its answer (or end of request) is late.
    pub late_after: Duration,
    /// So long the relay goes on after the last event was seen: what it repeats then counts.
    /// (Histories of before it was there had none.)
    #[serde(default)]
    pub settle: Duration,
}

impl Metric {
    /// Returns the metric's name in scenario files and records, e.g. `lost`, `propagation_p99`.
    pub fn name(self) -> String {
        let mut counts = COUNTS.iter().chain(&CONSUMER_COUNTS).chain(&CACHE_COUNTS);
        let count = counts.find(|row| row.metric == self);
        let plain = match self {
            Self::LongestStaleness => "longest_staleness",
            Self::Drain => "drain",
            Self::Recovery => "recovery",
            Self::Cost(kind) => kind.info().name,
            Self::Latency(kind, percentile) => {
                let kind = match kind {
                    LatencyKind::Order => "order",
                    LatencyKind::Propagation => "propagation",
                    LatencyKind::EndToEnd => "end_to_end",
                };
                let percentile = match percentile {
                    Percentile::P50 => "p50",
                    Percentile::P90 => "p90",
                    Percentile::P99 => "p99",
                    Percentile::P999 => "p999",
                    Percentile::Max => "max",
                };
                return format!("{kind}_{percentile}");
            }
            Self::Lost
            | Self::Undrained
            | Self::Undecided
            | Self::Phantom
            | Self::Foreign
            | Self::Duplicated
            | Self::Reordered
            | Self::Overtaken
            | Self::Split
            | Self::Corrupted
            | Self::Missing
            | Self::DoubleApplied
            | Self::FalseRejection
            | Self::Unacknowledged
            | Self::Late
            | Self::Unapplied
            | Self::AppliedTwice
            | Self::AppliedUnseen
            | Self::AppliedOutOfOrder
            | Self::Stale
            | Self::StaleReads => count.map_or("", |row| row.name),
        };
        plain.to_owned()
    }
}
