//! The record of one run: what `record.json` holds and everything the reports show.
//! A figure that was not measured is null, never 0.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of `record.json`.
pub const SCHEMA_VERSION: u32 = 1;

/// One run of one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Version of this format: readers of one version refuse the others.
    #[schemars(extend("const" = SCHEMA_VERSION))]
    pub schema_version: u32,
    /// Version of outbox-harness.
    pub harness_version: String,
    /// The run's name, which no other run has: that of its folder. Empty in records of before.
    #[serde(default)]
    pub run: String,
    /// Scenario name.
    pub scenario: String,
    /// Its one-sentence lesson.
    pub description: String,
    /// Its seed.
    pub seed: u64,
    /// `pass`, `fail` or `unknown`: the worst of the strategies; no pass where something was not run.
    pub verdict: Verdict,
    /// RFC 3339.
    pub started_at: String,
    /// Wall time of everything, seconds.
    pub took_s: f64,
    /// What it ran on.
    pub stack: Stack,
    /// Workload as resolved, for the reader: name and value with unit.
    pub workload: BTreeMap<String, String>,
    /// The same for programs; null in records of before it was there.
    #[serde(default)]
    pub load: Option<Load>,
    /// What the scenario says of itself that it does not test, in whole sentences.
    #[serde(default)]
    pub not_tested: Vec<String>,
    /// Those that were judged, in the scenario's order.
    pub strategies: Vec<Strategy>,
    /// Those that could not be run, or not to their end.
    #[serde(default)]
    pub not_run: Vec<NotRun>,
    /// What ended the run before it was complete; null where nothing did.
    #[serde(default)]
    pub failure: Option<String>,
}

/// A strategy that was to be run, and of which nothing can be said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotRun {
    /// Its name in the scenario.
    pub strategy: String,
    /// Why it was not run.
    pub why: String,
}

impl Record {
    /// How many clients its load had; `None` for an open loop.
    pub fn clients(&self) -> Option<&str> {
        self.workload.get("clients").map(String::as_str)
    }
}

/// Outcome of a run or a strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every expectation met.
    Pass,
    /// An expectation missed.
    Fail,
    /// Nothing was proved.
    Unknown,
}

/// What the run used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stack {
    /// `local`, `kept` or `external`.
    pub provider: String,
    /// PostgreSQL.
    pub postgres: Server,
    /// Kafka; its version and address are empty where no strategy used it.
    pub kafka: Broker,
    /// Other servers that strategies used: other brokers, a cache. Records of before have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OtherServer>,
    /// Toxiproxy.
    pub toxiproxy: Server,
    /// The machine on which everything ran that is not somebody's servers. Records of before have none.
    #[serde(default)]
    pub machine: Machine,
    /// Kernel, replication factor, acks, fsync, synchronous_commit, ...
    pub environment: BTreeMap<String, String>,
}

/// A server that only some strategies use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OtherServer {
    /// Its name: `RabbitMQ`.
    pub name: String,
    /// Version.
    pub version: String,
    /// Address.
    pub address: String,
}

impl Stack {
    /// Returns PostgreSQL, which every stack has: name, version and address.
    pub fn database(&self) -> (&str, &str, &str) {
        let it = &self.postgres;
        ("PostgreSQL", &it.version, &it.url)
    }

    /// Returns all servers but PostgreSQL and Toxiproxy, Kafka first: names, versions and addresses.
    pub fn used(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let kafka = (!self.kafka.version.is_empty()).then_some(&self.kafka);
        let kafka = kafka.map(|it| ("Kafka", it.version.as_str(), it.bootstrap.as_str()));
        let others = self.others.iter();
        let others = others.map(|it| (it.name.as_str(), it.version.as_str(), it.address.as_str()));
        kafka.into_iter().chain(others)
    }

    /// Names PostgreSQL and what else was used, each with its version, separated by commas, Toxiproxy last.
    pub fn in_words(&self) -> String {
        let (name, version, _) = self.database();
        let mut words = format!("{name} {version}");
        for (name, version, _) in self.used() {
            words.push_str(&format!(", {name} {version}"));
        }
        format!("{words}, Toxiproxy {}", self.toxiproxy.version)
    }
}

/// Returns the broker of records that name none.
fn kafka() -> String {
    "kafka".to_owned()
}

/// Returns the database of records that name none.
fn postgres() -> String {
    "postgres".to_owned()
}

/// A machine; null is what it does not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Model of its processor.
    pub processor: Option<String>,
    /// Cores that the harness may use.
    pub cores: Option<u32>,
    /// Memory, whole MiB.
    pub memory_mib: Option<u64>,
}

/// The load, as resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    /// Changes a second; null in a closed loop, where it follows from the answers.
    pub rate_per_s: Option<f64>,
    /// Clients of a closed loop; null in an open one.
    pub clients: Option<u64>,
    /// Changes that may be outstanding at a time.
    pub connections: u64,
    /// How long changes are offered, seconds.
    pub duration_s: f64,
    /// So long the rate grows from 0 on, seconds.
    pub ramp_s: f64,
    /// Changes that an order goes through, in the mean.
    pub changes_per_order: u32,
    /// 0: every order gets as many; above: the Zipf exponent of that number.
    pub skew: f64,
    /// Length of an event's content, bytes.
    pub payload_bytes: u64,
    /// After that a request's outcome is unknown, seconds.
    pub request_timeout_s: f64,
    /// Times that the client repeats a change whose outcome was unknown.
    pub retries: u32,
    /// Share of changes that a business rule rolls back, 0 to 1.
    pub rollback_ratio: f64,
    /// Share of changes whose transaction is held open, 0 to 1.
    pub hold_ratio: f64,
    /// How long those are held, seconds.
    pub hold_s: f64,
    /// Partitions of the topic.
    pub partitions: i32,
    /// Connections of the order service to PostgreSQL.
    pub postgres_connections: u64,
    /// Fewer committed changes than this in a phase prove nothing.
    pub min_committed_per_phase: u64,
    /// Of all requests, changes and reads, so many are reads, 0 to 1.
    #[serde(default)]
    pub read_share: f64,
}

/// What a process used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// CPU time, seconds.
    pub cpu_s: Option<f64>,
    /// Largest resident set, bytes.
    pub peak_memory_bytes: Option<f64>,
}

/// A server and its version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Server {
    /// Version.
    pub version: String,
    /// URL without password.
    pub url: String,
}

/// The broker and its version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Broker {
    /// Version.
    pub version: String,
    /// Bootstrap address.
    pub bootstrap: String,
}

/// A relay that is not the project's own, and what it promises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Relay {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is written in, if that is known.
    pub language: Option<String>,
    /// Where it comes from, if that is known.
    pub homepage: Option<String>,
    /// Its licence, if that is known.
    pub licence: Option<String>,
    /// `at-least-once`, `exactly-once` or `at-most-once`: by this it is judged.
    pub delivery: String,
    /// `none`, `key`, `partition` or `total`: which events are to keep their order.
    pub order: String,
}

impl Strategy {
    /// What it is, in a word or two: the relay by name and version, or the kind.
    pub fn what(&self) -> String {
        match &self.relay {
            Some(relay) => format!("{} {}", relay.name, relay.version),
            None => self.kind.clone(),
        }
    }

    /// The same for those who have read its name; empty where that says it already.
    pub fn what_else(&self) -> String {
        let what = self.what();
        if what == self.name {
            String::new()
        } else {
            what
        }
    }
}

/// One strategy's run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Strategy {
    /// Name in the scenario.
    pub name: String,
    /// `dual-write`, `polling`, `cdc`, `debezium`, `external`.
    pub kind: String,
    /// The broker to which its events go: `kafka`, ... (Records of before name none, when there was no other.)
    #[serde(default = "kafka")]
    pub broker: String,
    /// The database that its orders are in: `postgres`, ... (Records of before name none, when there was no other.)
    #[serde(default = "postgres")]
    pub orders_in: String,
    /// Of an external one: which relay it is.
    #[serde(default)]
    pub relay: Option<Relay>,
    /// `pass`, `fail`, `unknown`.
    pub verdict: Verdict,
    /// Why it is not pass.
    pub reasons: Vec<String>,
    /// What is worth knowing of it, and counts for no verdict.
    #[serde(default)]
    pub remarks: Vec<String>,
    /// Its topic.
    pub topic: String,
    /// Its schema, or its database where it had one of its own.
    pub schema: String,
    /// Links that went through a proxy, and those that did not: `proxied` or `direct` by link name.
    pub wiring: BTreeMap<String, String>,
    /// Counts.
    pub counts: Counts,
    /// Database x event.
    pub outcomes: Outcomes,
    /// What this run cannot tell, or not wholly, since what it needs was not read: why, by metric.
    #[serde(default)]
    pub unread: BTreeMap<String, String>,
    /// The cache that its order service reads through, and what came of the reads; null where it has none.
    #[serde(default)]
    pub cache: Option<Cache>,
    /// Its consumers, in the scenario's order.
    #[serde(default)]
    pub consumers: Vec<Consumer>,
    /// Expectations in order; those of consumers come last, such as `consumer-payments.applied_twice`.
    pub expectations: Vec<Expectation>,
    /// Whole run.
    pub latency_ms: LatencySet,
    /// By phase: before, open when a fault began, during each fault, after. Their counts add up.
    pub phases: Vec<Phase>,
    /// From the end of the load to the last committed change's first sight; null if something never
    /// arrived.
    pub drain_s: Option<f64>,
    /// From the last heal until everything committed before it had been seen, under whatever load
    /// went on; null if something of it never was, and where nothing was healed.
    #[serde(default)]
    pub recovery_s: Option<f64>,
    /// Faults that the scenario has.
    pub faults: Vec<Fault>,
    /// Acknowledged changes a second over the load's duration.
    pub throughput_per_s: Option<f64>,
    /// How the generator kept its schedule.
    pub generator: Generator,
    /// Series for charts.
    pub series: Series,
    /// The first few offending events of each kind.
    pub offences: Vec<Offence>,
    /// What it cost the database.
    #[serde(default)]
    pub database: DatabaseCosts,
    /// How long others were blocked by what was in doubt.
    #[serde(default)]
    pub in_doubt: InDoubt,
    /// CPU seconds and peak memory by process, for the reader; name with unit.
    pub costs: BTreeMap<String, Option<f64>>,
    /// The same for programs, by process: `harness`, `order-service`, `relay`, ...
    #[serde(default)]
    pub usage: BTreeMap<String, Usage>,
}

/// A consumer of a strategy's events: how it works, and what it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Consumer {
    /// The name of its process, such as `consumer-payments`.
    pub name: String,
    /// `insert`, `increment`, `call` or `state`: what it did with each event.
    pub effect: String,
    /// `none`, `key` or `inbox`: by what it knew an event that it had applied already.
    pub idempotency: String,
    /// `before` or `after`: when it committed its offset.
    pub commit: String,
    /// Effects that it did, as its own database tells, or whom it called; null where they were not read.
    pub effects: Option<u64>,
    /// Events that came to it and had been on the topic before; null where that is not known.
    #[serde(default)]
    pub copies: Option<u64>,
    /// Valid events without their effect; null where that is not known.
    pub unapplied: Option<u64>,
    /// Effects beyond the first for the same change; null where that is not known.
    pub applied_twice: Option<u64>,
    /// Effects without a valid event; null where that is not known.
    pub applied_unseen: Option<u64>,
    /// Effects after which an order was in an older state than it had been; null of an effect that is no state, and
    /// where that is not known.
    #[serde(default)]
    pub applied_out_of_order: Option<u64>,
}

/// A cache that an order service reads through, and what came of the reads. What was stale is in the counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cache {
    /// `invalidate-after-commit`, `invalidate-before-commit`, `write-through` or `invalidate-by-relay`: what is done about
    /// an order that changes.
    pub mode: String,
    /// `any` or `newer`: what a read that missed may put into it.
    pub fill: String,
    /// So long a read that missed waits before it does, milliseconds.
    pub fill_hold_ms: f64,
    /// Orders that it held at the end; null where it was not read whole.
    pub held_at_the_end: Option<u64>,
    /// Of all stale reads the longest time from when the oldest version that it should have seen had been acknowledged to
    /// its answer, milliseconds; 0 where no read was stale, null where that is not known.
    pub longest_staleness_ms: Option<f64>,
    /// The reads.
    pub reads: Reads,
}

/// What came of reads. Each of those that were answered is in one of `from_cache`, `missed`, `cache_unreachable`, but for
/// answers that do not say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reads {
    /// Reads that were due.
    pub due: u64,
    /// Those that were answered, among them those that were told that there is no such order.
    pub answered: u64,
    /// Those that had no answer that says anything.
    pub failed: u64,
    /// Those that were due while every connection that reads may have was busy.
    pub held_back: u64,
    /// Answered from the cache.
    pub from_cache: u64,
    /// Answered from the database, since the cache did not have the order.
    pub missed: u64,
    /// Answered from the database, since the cache could not be asked.
    pub cache_unreachable: u64,
    /// From the sending to the answer, milliseconds; those that failed never ended.
    pub service_time_ms: Latency,
}

impl Reads {
    /// How large a share of the answers the cache gave; `None` where there were none.
    pub fn share_from_cache(&self) -> Option<f64> {
        (self.answered > 0).then(|| self.from_cache as f64 / self.answered as f64)
    }
}

/// What a strategy cost the database. Null is what was not measured, and what it does not have (an
/// outbox, a slot). An event here is a committed change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DatabaseCosts {
    /// WAL of the whole server from before the load until after the fence: orders, outbox, relay.
    pub wal_bytes: Cost,
    /// Largest size of the outbox with its indexes and TOAST.
    pub outbox_peak_bytes: Cost,
    /// Most dead tuples in the outbox at a time, by the server's statistics, which are late.
    pub dead_tuples_peak: Cost,
    /// Rows of the outbox that were updated or deleted, in all; those of transactions that were
    /// rolled back count too. Null where the server lost its statistics in a crash.
    pub rows_changed: Cost,
    /// Most WAL that the slot's consumer had not confirmed.
    pub slot_wal_peak_bytes: Cost,
    /// Rows of all its tables that were inserted, updated or deleted, in all, those of transactions that were rolled
    /// back too. Null where the server lost its statistics in a crash.
    #[serde(default)]
    pub rows_written: Cost,
    /// Size of all its tables with their indexes and TOAST, at the end.
    #[serde(default)]
    pub storage_end_bytes: Cost,
    /// Milliseconds in which, after the run, a projection was rebuilt from the events; null where events are not the
    /// truth.
    #[serde(default)]
    pub rebuild_ms: Option<f64>,
    /// So often the outbox was vacuumed, by the server itself or by anybody; of tables that were dropped it is not known.
    #[serde(default)]
    pub vacuums: Option<f64>,
    /// Seconds from the last heal until the outbox was no larger, and no more events waited, than before the first fault;
    /// null where that did not come while the load went on, or cannot be told.
    #[serde(default)]
    pub time_to_normal_s: Option<f64>,
    /// Where that did not come: for so many seconds after the last heal, under load, it was looked for; null where it came,
    /// or cannot be told.
    #[serde(default)]
    pub not_normal_for_s: Option<f64>,
}

/// How long others were blocked by transactions that nobody had ended yet, the longest time of each, as it was sampled
/// ten times a second. Null where it was not, which is so of all strategies but two-phase commits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InDoubt {
    /// Milliseconds in which orders stayed locked by a transaction that was prepared in PostgreSQL.
    pub blocked_orders_ms: Option<f64>,
    /// Milliseconds in which a reader of committed records stood still, since a transaction was open in Kafka.
    pub blocked_consumers_ms: Option<f64>,
}

/// One cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// Of the whole run.
    pub total: Option<f64>,
    /// That, by the number of committed changes. Of a peak it says nothing, since a peak does not grow
    /// with the run; it is there for those who have read it so far.
    pub per_event: Option<f64>,
}

/// How the generator kept its schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Generator {
    /// p99 of its own lateness, milliseconds.
    pub lag_p99_ms: Option<f64>,
    /// Changes that were due and could not be offered.
    pub unoffered: u64,
    /// Whether it kept its schedule.
    pub kept_schedule: bool,
    /// Changes that were due while every connection that the load may have was busy.
    #[serde(default)]
    pub held_back: u64,
}

/// Counts of what there was and of what went wrong (docs/architecture.md has what the names mean). Null is what was not read; of what
/// `unread` of the strategy names there are at least so many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Attempts sent or tried.
    pub offered: u64,
    /// Told committed.
    pub acknowledged: u64,
    /// Told no.
    pub rejected: u64,
    /// Told nothing.
    pub unknown: u64,
    /// Never sent.
    pub not_sent: u64,
    /// In the database.
    pub committed: Option<u64>,
    /// Records on the topic, sentinels left out.
    pub observed: Option<u64>,
    /// Committed, no valid event, nothing could deliver it.
    pub lost: Option<u64>,
    /// Event without commit.
    pub phantom: Option<u64>,
    /// Valid beyond the first.
    pub duplicated: Option<u64>,
    /// Versions behind a later one of their order.
    pub reordered: Option<u64>,
    /// Events behind one, on their partition, of a change that was sent when theirs had been answered.
    pub overtaken: Option<u64>,
    /// Damaged.
    pub corrupted: Option<u64>,
    /// Committed, client told nothing.
    pub unacknowledged: Option<u64>,
    /// Acknowledged, not there.
    pub missing: Option<u64>,
    /// Seen too late.
    pub late: Option<u64>,
    /// Still held by the source.
    pub undrained: Option<u64>,
    /// Cut off by the teardown.
    pub undecided: Option<u64>,
    /// Another run's.
    pub foreign: Option<u64>,
    /// Orders on several partitions.
    pub split: Option<u64>,
    /// Orders for which the cache, at the end, answered another version than the committed one. Null of a strategy
    /// without a cache too.
    #[serde(default)]
    pub stale: Option<u64>,
    /// Reads that did not see what had been acknowledged before they were sent. Null of a strategy without a cache too.
    #[serde(default)]
    pub stale_reads: Option<u64>,
    /// Changes at two versions.
    pub double_applied: Option<u64>,
    /// Refused, yet committed.
    pub false_rejection: Option<u64>,
    /// Propagations below zero (seen before the answer), recorded as 0.
    pub negative_propagation: Option<u64>,
    /// Records of aborted Kafka transactions.
    pub aborted_records: Option<u64>,
}

/// The four outcomes of an attempt; null where database or topic were not read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcomes {
    /// In the database, and an event.
    pub db_event: Option<u64>,
    /// In the database, no event.
    pub db_only: Option<u64>,
    /// An event, not in the database.
    pub event_only: Option<u64>,
    /// Neither.
    pub neither: Option<u64>,
}

/// One expectation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Expectation {
    /// Metric.
    pub metric: String,
    /// As written.
    pub expected: String,
    /// What was seen; null when infinite or not measured.
    pub observed: Option<f64>,
    /// Whether met; null when this run cannot tell.
    pub met: Option<bool>,
    /// Whether the file said so (false), or every relay strategy is held to it (true).
    pub implicit: bool,
    /// Why not met; of one that is met, what was not tried, if anything.
    pub reason: String,
}

/// Order, propagation and end-to-end latency.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencySet {
    /// Intended start to answer.
    pub order: Latency,
    /// Answer to first sight.
    pub propagation: Latency,
    /// Intended start to first sight.
    pub end_to_end: Latency,
}

/// Percentiles in milliseconds; null where the percentile is infinite or nothing was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Median.
    pub p50: Option<f64>,
    /// 90th.
    pub p90: Option<f64>,
    /// 99th.
    pub p99: Option<f64>,
    /// 99.9th.
    pub p999: Option<f64>,
    /// Largest.
    pub max: Option<f64>,
    /// How many, those that never ended included.
    pub count: u64,
    /// How many never ended (unknown answers, events never seen).
    pub censored: u64,
    /// Points (percentile 0..100, milliseconds) for the chart of latency by percentile, finite ones.
    #[serde(default)]
    pub curve: Vec<(f64, f64)>,
}

/// A phase, by when a change was first sent. Each change is in one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Phase {
    /// `before`, `open at down kafka` (sent before it, and not answered or not seen when it began),
    /// `during down kafka`, `after`.
    pub name: String,
    /// Seconds from the load's start.
    pub from_s: f64,
    /// Seconds from the load's start.
    pub until_s: f64,
    /// Where a shorter fault interrupts it: its parts, by begin and end, in the same seconds.
    #[serde(default)]
    pub spans_s: Vec<(f64, f64)>,
    /// Changes committed of those sent in it; null where the database was not read.
    pub committed: Option<u64>,
    /// Latencies of those.
    pub latency_ms: LatencySet,
    /// What was done in its time, whenever it was asked for; null where the phase has only what was still open when a
    /// fault began, and in records of before.
    #[serde(default)]
    pub work: Option<PhaseWork>,
}

/// What was done in the time of a phase, within the load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseWork {
    /// The faults in force, by their names here; none in a time without any.
    pub faults: Vec<String>,
    /// How long it was in all, seconds.
    pub lasted_s: f64,
    /// Valid first events that were seen in it; null where the topic was not read.
    pub events: Option<u64>,
    /// CPU time by process, seconds. It is sampled every half second, and what lies between two samples is shared out
    /// evenly.
    pub cpu_s: BTreeMap<String, f64>,
}

/// A fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// Target as in the scenario.
    pub target: String,
    /// Kind as in the scenario.
    pub kind: String,
    /// How long it was to last, `lasts_s`, and what its kind was told, such as `latency` or `toxicity`, by their names; null in
    /// records of before.
    #[serde(default)]
    pub settings: Option<BTreeMap<String, String>>,
    /// What it waited for, where it has no time of its own: `1000 events`.
    #[serde(default)]
    pub trigger: Option<String>,
    /// When that came, seconds from the load's start; null if it has a time, or if that never came.
    #[serde(default)]
    pub fired_s: Option<f64>,
    /// On what, where that says more than `trigger`: the line of a log that matched.
    #[serde(default)]
    pub fired_on: Option<String>,
    /// Seconds from the load's start; null if never in force.
    pub injected_s: Option<f64>,
    /// Seconds from the load's start.
    pub healed_s: Option<f64>,
    /// Where it hit one of several relays that did the work: seconds from then until the event of a
    /// change was seen that was sent since. Null everywhere else, and where none was seen.
    #[serde(default)]
    pub failover_s: Option<f64>,
    /// Whether it bit; null when it does not concern this strategy.
    pub bit: Option<bool>,
    /// The evidence.
    pub evidence: String,
}

/// Series over the run, in bins of `bin_s` from the load's start. All vectors have one length.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// Width of a bin, seconds.
    pub bin_s: f64,
    /// Acknowledged changes a second.
    pub acknowledged_per_s: Vec<f64>,
    /// Valid first events a second.
    pub published_per_s: Vec<f64>,
    /// Committed and not yet seen, at the bin's end.
    pub backlog: Vec<f64>,
    /// Median propagation of events first seen in the bin, milliseconds.
    pub propagation_p50_ms: Vec<Option<f64>>,
    /// 99th percentile, likewise.
    pub propagation_p99_ms: Vec<Option<f64>>,
}

/// One offending event, for the reader.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Offence {
    /// Metric it counts for.
    pub metric: String,
    /// Order id.
    pub order_id: Option<String>,
    /// Version.
    pub version: Option<u32>,
    /// Attempt id.
    pub attempt: Option<String>,
    /// What the checker found.
    pub what: String,
    /// What happened, in one sentence, as far as the evidence shows it. It may rest on what the
    /// system under test wrote of itself, which no count and no verdict does.
    #[serde(default)]
    pub sentence: Option<String>,
    /// The way of the event through all processes, by time.
    #[serde(default)]
    pub timeline: Vec<Step>,
}

impl Offence {
    /// The sentence, or what the checker found where there is none.
    pub fn told(&self) -> &str {
        self.sentence.as_deref().unwrap_or(&self.what)
    }
}

/// One step of an event's way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Seconds from the load's start.
    pub at_s: f64,
    /// `client`, `order service`, `relay`, `topic`, `observer`, `database`, `fault`, a server.
    pub who: String,
    /// What it did, or what happened to it.
    pub what: String,
}
