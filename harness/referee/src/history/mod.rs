//! What happened, with times. A history interprets nothing; checkers do. It is on disk before
//! anything is checked, and [`load`] gives the same history back.
//!
//! All `*_ns` are run time: nanoseconds since the run clock's origin, CLOCK_MONOTONIC.

mod block;
mod bounds;
mod column;
mod durable;
mod files;
mod guarded;
mod packed;
mod pages;
mod places;
mod reader;
mod row;
mod row_store;
mod rows;
mod seal;
mod step;
mod tables;
mod writer;

use crate::clock::RunClock;
use crate::identity::RunKey;
use crate::scenario::{Link, Scenario, Strategy, Topology};
use crate::topics::Topics;
pub use contract::trace::Stage;
pub use row::Row;
pub use rows::{Iter, Numbered, Rows};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
pub use step::FenceStep;

pub use files::{HistoryError, LoadedHistory, altered_reason, load, save};
pub use places::Places;

/// This is the version of the format that [`save`] writes and [`load`] reads.
pub const FORMAT: u32 = 2;

/// This stands for "no attempt" or "no order": it is a number that is not one of this run's.
pub const NONE: u32 = u32::MAX;

/// A history is everything recorded of one strategy's run.
#[derive(Debug, Clone)]
pub struct History {
    /// This is the content of the run's own file, `run.json`.
    pub meta: RunMeta,
    /// There is one row for each attempt, by attempt number.
    pub requests: Rows<Request>,
    /// What the database holds after the fence, by order and version.
    pub truth: Rows<TruthRow>,
    /// This is the whole topic, read again from offset 0 after the fence with read_committed.
    pub log: Rows<LogRow>,
    /// Full text of log rows that did not verify (the first [`MAX_RAW`] of them).
    pub raw: Vec<RawRecord>,
    /// These are the records that the live observer saw, in the order it saw them.
    pub sightings: Rows<Sighting>,
    /// Where each partition ended and how far it was read.
    pub partitions: Vec<PartitionEnd>,
    /// What the source still held when the relay was stopped.
    pub pending: Vec<Pending>,
    /// These are the faults, as planned and as they happened.
    pub faults: Vec<FaultRecord>,
    /// These are raw observations that show whether a fault bit.
    pub observations: Vec<Observation>,
    /// These tell of the lives and deaths of processes.
    pub processes: Vec<ProcessEvent>,
    /// These are the points of named series over time.
    pub samples: Vec<Sample>,
    /// These are the steps of the fence, one by one.
    pub fences: Vec<FenceRecord>,
    /// These steps are what the system under test wrote of each event's way through it, by time. They serve
    /// explanations only: no verdict rests on the word of what is judged.
    pub trace: Rows<TraceRow>,
    /// These are the effects that consumers did, as their own databases tell, or whom they called: consumer after consumer, each in its order.
    pub effects: Rows<EffectRow>,
    /// There is one row for each read of an order that was due, in the order in which they were due; none where nobody reads.
    pub reads: Rows<ReadRow>,
    /// What the cache held after the fence, an order at a time; none where there is no cache.
    pub cached: Rows<CachedRow>,
}

/// This series of samples compares the wall clock with the monotonic clock, nanoseconds: one that jumped and jumped
/// back shows here and nowhere else.
pub const WALL_DRIFT_NS: &str = "wall_drift_ns";
/// This series says, while a fault holds a snapshot, whether that is the oldest of the database: 1 or 0.
pub const HORIZON_HELD: &str = "old_snapshot_is_oldest";
/// This series counts dead rows in all the strategy's tables, by the server's statistics.
pub const DEAD_ROWS: &str = "dead_rows";

const TOPIC_END: &str = "topic_end.";

/// The series of samples that says how far a partition reached for readers of what is committed, and
/// when that was known, on the clock of the run: each end when it was first known, and before the next
/// one once more when it was last true. Histories of before have none.
pub fn topic_end_series(partition: i32) -> String {
    format!("{TOPIC_END}{partition}")
}

/// Returns the partition of a series that [`topic_end_series`] names; `None` for another one.
pub fn partition_of_series(series: &str) -> Option<i32> {
    series.strip_prefix(TOPIC_END)?.parse().ok()
}

/// At most so many raw records are kept.
pub const MAX_RAW: usize = 1_000;

/// This is what `run.json` holds: which run it was, how it was made, and checksums of its files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunMeta {
    /// This is the version of the history's format.
    pub format: u32,
    /// This is the scenario, resolved, with its text.
    pub scenario: Scenario,
    /// Which of its strategies this is.
    pub strategy: String,
    /// The run it is part of.
    #[serde(default)]
    pub part_of: PartOf,
    /// This holds the run's id and its secret.
    pub key: RunKey,
    /// This is the clock of all `*_ns`.
    pub clock: RunClock,
    /// This is the wall-clock time at which the run of this strategy began, as RFC 3339 text in UTC.
    pub started_at: String,
    /// This names the topic of this strategy; of several, all of them.
    pub topic: String,
    /// These are the names of its topics, by which partitions are numbered (see [`Topics`]). Histories of before have none:
    /// there was one.
    #[serde(default)]
    pub topics: Vec<String>,
    /// This names the schema of this strategy, or its database where it had one of its own.
    pub schema: String,
    /// This is what the strategy was made of when it ran. Histories of before do not say; see [`RunMeta::topology`].
    #[serde(default)]
    pub made_of: Option<Topology>,
    /// These links went through a proxy.
    pub proxied: Vec<Link>,
    /// When the generator's first intended start was and when its last request ended.
    pub load_from_ns: i64,
    /// This is when the load's last request ended; see `load_from_ns`.
    pub load_until_ns: i64,
    /// Changes that were due and could not be offered (no order free, queue full).
    pub unoffered: u64,
    /// WAL position at which the truth was read.
    pub truth_lsn: Option<u64>,
    /// This is how far the wall clock had moved against the monotonic clock at the end, nanoseconds.
    pub wall_drift_ns: i64,
    /// Records on the topic with isolation read_uncommitted, sentinels left out.
    pub uncommitted_records: u64,
    /// Whether the teardown had to SIGKILL the order service (its last publishes are undecided).
    pub service_killed_at_teardown: bool,
    /// Whether the user interrupted the run while this strategy was under way.
    #[serde(default)]
    pub interrupted: bool,
    /// Processes of the system under test that ended though nobody here had asked them to.
    #[serde(default)]
    pub deaths: Vec<Death>,
    /// What is worth knowing of the system under test and counts for no verdict: that its relay was
    /// started again, or had to be killed at the end.
    #[serde(default)]
    pub remarks: Vec<String>,
    /// Attempts that a two-phase commit had decided, and whose events Kafka aborted by itself: they are committed in the
    /// database, as the decision log says, and never come.
    #[serde(default)]
    pub heuristic: Vec<u32>,
    /// What triggers of faults fired on, or why they could not, where a count says too little.
    #[serde(default)]
    pub trigger_notes: Vec<TriggerNote>,
    /// How far each consumer had come when it was stopped, in the scenario's order.
    #[serde(default)]
    pub consumers: Vec<ConsumerEnd>,
    /// What came of reading the cache after the fence; `None` of a strategy without one.
    #[serde(default)]
    pub cache: Option<CacheEnd>,
    /// Other topics of this run's cluster on which events of this run were found.
    pub stray_topics: Vec<String>,
    /// When the trace was cut: what came later may be missing in it. `None`: it is whole.
    #[serde(default)]
    pub trace_cut_ns: Option<i64>,
    /// Records of the trace that were left out: no steps of this run.
    #[serde(default)]
    pub trace_dropped: u64,
    /// These are names and values of the stack, versions, cores and durability settings, for the record.
    pub environment: BTreeMap<String, String>,
    /// This is the SHA-256 of each other file of the history, hex, by file name. [`save`] fills it in.
    pub sha256: BTreeMap<String, String>,
}

impl RunMeta {
    /// Returns the topics of the strategy's events, with their partitions.
    pub fn topics(&self) -> Topics {
        let names = match self.topics.is_empty() {
            true => vec![self.topic.clone()],
            false => self.topics.clone(),
        };
        let asked = self.scenario.workload.partitions.max(1);
        let broker = self.topology().map(|topology| topology.broker);
        Topics::new(
            names,
            broker.map_or(asked, |broker| broker.partitions(asked)),
        )
    }

    /// Returns what the strategy was made of, which is what the history says. One of before does not: of that it is what
    /// such a strategy is made of today; `None` where its scenario has no such strategy.
    pub fn topology(&self) -> Option<Topology> {
        self.made_of
            .or_else(|| self.strategy_of_it().map(Strategy::topology))
    }

    /// Returns the strategy as the scenario has it.
    pub fn strategy_of_it(&self) -> Option<&Strategy> {
        let mut strategies = self.scenario.strategies.iter();
        strategies.find(|strategy| strategy.name == self.strategy)
    }
}

/// The run that a history is part of, so that a folder from which one is missing, or in which one is
/// of another run, is not taken for whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartOf {
    /// The name that the run's folder had.
    pub run: String,
    /// The strategies that were to be run, in the scenario's order.
    pub strategies: Vec<String>,
}

/// The end of a process that nobody here had asked to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// This is the name of the process: `order-service`, `relay` or, of several relays, such as `relay-2`.
    pub process: String,
    /// This is when it ended, run time.
    pub at_ns: i64,
    /// This is its signal or exit code, encoded as in [`ProcessEvent::exit`].
    pub exit: i32,
    /// `was ended by signal 11` or `exited with code 1`.
    pub how: String,
    /// This is the last line of its log, cut to a length that fits a sentence; it is empty where there is none.
    pub last_words: String,
}

/// How far a consumer had come when it was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerEnd {
    /// This is the consumer's name in the scenario.
    pub name: String,
    /// Whether it lived when it was told to end.
    pub was_alive: bool,
    /// Whether it did not end in time when it was told to, and was killed.
    #[serde(default)]
    pub was_killed: bool,
    /// By partition, the offset that its group had committed: it has read everything before it.
    pub committed: BTreeMap<i32, i64>,
    /// Of a group that has queues instead of offsets: so many records were left in them when it had ended. With none left
    /// everything is committed; of what is left nobody knows where it is on the topic.
    #[serde(default)]
    pub queued: Option<u64>,
    /// Why its effects or its offsets could not be read; `None` where they were.
    pub unread: Option<String>,
}

/// What came of reading a strategy's cache after the fence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheEnd {
    /// Why it could not be read whole; `None` where it was.
    pub unread: Option<String>,
    /// Whether that is because the server evicted entries, or refused to take some: then readers may have been answered
    /// what is its doing.
    #[serde(default)]
    pub has_overflowed: bool,
}

/// A note tells what a fault's trigger fired on, or what kept it from firing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerNote {
    /// This is the index of the fault in `scenario.faults`, from 0.
    pub fault: u32,
    /// This is the line that matched; or it says why it could not be asked.
    pub text: String,
}

/// This is the outcome of a request (design: outcomes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Outcome {
    /// The connection was refused: the request was never sent.
    NotSent = 0,
    /// The answer was 2xx with a version.
    Committed = 1,
    /// The answer was an explicit no in the body.
    Rejected = 2,
    /// No answer settles it (a timeout, a reset, a bare status): it may be committed or not.
    Unknown = 3,
}

/// This tells what an attempt asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Intent {
    /// The service is to write the change and commit it at once.
    Commit = 0,
    /// The service is to write the change and keep its transaction open for a while before it commits.
    Hold = 1,
    /// The service is to write the change and roll it back.
    Veto = 2,
}

/// This is one attempt at a change: a request of the load generator to the order service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// This is the number of its change (retries share it).
    pub change: u32,
    /// This is the index of its order.
    pub order: u32,
    /// This is the code of the change's kind, from [`contract::order::ChangeType::code`].
    pub change_type: u8,
    /// This is what it asked for.
    pub intent: Intent,
    /// This is what came of it.
    pub outcome: Outcome,
    /// This is the HTTP status of the answer; 0 without one.
    pub status: u16,
    /// Version the client was told; 0 for none.
    pub told_version: u32,
    /// This is when the request was due; in a closed loop, when it was sent.
    pub intended_ns: i64,
    /// This is when the request was really sent.
    pub sent_ns: i64,
    /// This is when its answer, its error or its timeout came.
    pub ended_ns: i64,
    /// This is the generator's own lateness, nanoseconds: send minus the later of intended start and the moment a
    /// connection was free.
    pub lag_ns: i64,
    /// Whether it was due, or due again, while every connection that the load may have was busy.
    pub held_back: bool,
}

/// This is one committed version of an order, as the database held it after the fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TruthRow {
    /// Order index ([`NONE`] for an order id that is not of this run).
    pub order: u32,
    /// This is the version of the order, counted from 1.
    pub version: u32,
    /// This is the number of the attempt that made it ([`NONE`] for one not of this run).
    pub attempt: u32,
    /// This is the number of the change stored with it ([`NONE`] for one not of this run).
    pub change: u32,
}

/// This says how far a record's bytes verified, by themselves and against the request of its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Body {
    /// Every byte is what the attempt implies (the version alone is for the checker).
    Intact = 0,
    /// It names an attempt or an order of this run, but key or value are not as implied.
    Damaged = 1,
    /// The record is another run's, or nobody's.
    Foreign = 2,
}

/// This is one record on the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRow {
    /// This is the number of the partition that has the record.
    pub partition: i32,
    /// This is the record's offset in its partition.
    pub offset: i64,
    /// This is its LogAppendTime, milliseconds since 1970.
    pub append_ms: i64,
    /// This is the number of the attempt it names, or [`NONE`].
    pub attempt: u32,
    /// This is the index of the order it names (by value, else by key), or [`NONE`].
    pub order: u32,
    /// This is the version it names, or 0.
    pub version: u32,
    /// This says whether its bytes verified.
    pub body: Body,
}

/// Full text of a record that did not verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRecord {
    /// This is the number of the partition that has the record.
    pub partition: i32,
    /// This is the record's offset in its partition.
    pub offset: i64,
    /// This is its key, as UTF-8 with replacement characters.
    pub key: String,
    /// This is its value, as UTF-8 with replacement characters.
    pub value: String,
    /// These are its headers, `name=value` joined by newlines.
    pub headers: String,
    /// Why it did not verify.
    pub reason: String,
}

/// A sighting is one record, seen live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// This is the number of the partition that has the record.
    pub partition: i32,
    /// This is the record's offset in its partition.
    pub offset: i64,
    /// This is when the live observer saw the record, run time.
    pub seen_ns: i64,
}

/// Ends of a partition, after the fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionEnd {
    /// This is the number of the partition.
    pub partition: i32,
    /// This is its high watermark: where a reader of uncommitted records comes to its end.
    pub end_offset: i64,
    /// This is its last stable offset: where a reader of committed records comes to its end.
    pub stable_offset: i64,
    /// This is the position that the final read reached.
    pub read_offset: i64,
}

/// Why the source still holds an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum PendingState {
    /// A row of the outbox that is neither deleted nor marked.
    OutboxRow = 0,
    /// It is a change behind the slot's confirmed position.
    Slot = 1,
}

/// This is an event that the source still held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// This is the number of the attempt that made the event.
    pub attempt: u32,
    /// Where it was held.
    pub state: PendingState,
    /// This is the LSN of its commit, where known (slot); 0 otherwise.
    pub lsn: u64,
}

/// This is one `[[fault]]`, as it happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaultRecord {
    /// This is the index of the fault in `scenario.faults`, from 0.
    pub fault: u32,
    /// This is the planned injection, run time. Of a fault that waits for something, it is when that came, or until
    /// when it was waited for.
    pub planned_at_ns: i64,
    /// When the injection was in force (read back); `None`: it never was.
    pub injected_ns: Option<i64>,
    /// When it was healed (read back).
    pub healed_ns: Option<i64>,
}

/// An observation is made, and kept raw, to decide whether a fault bit. Names are listed in [`crate::bite`].
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// This is the index of the fault in `scenario.faults`, from 0.
    pub fault: u32,
    /// This is the name of the link or process that was observed.
    pub place: String,
    /// This names what was observed, as [`crate::bite::name`] lists it.
    pub name: String,
    /// This is when it was observed, run time.
    pub at_ns: i64,
    /// This is the value observed (count, milliseconds, bytes, 0/1: by name).
    pub value: f64,
}

/// This tells what happened to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Life {
    /// The process was spawned.
    Started = 0,
    /// Said it was ready, or answered.
    Ready = 1,
    /// SIGSTOP is in force on every thread.
    Paused = 2,
    /// SIGCONT was sent to it.
    Resumed = 3,
    /// It is being told to end, by SIGTERM or the signal that it takes for that.
    Terminating = 4,
    /// The process is gone and reaped; [`ProcessEvent::exit`] says how it ended.
    Exited = 5,
}

/// This is one event in a process's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessEvent {
    /// This is the name of the process: `order-service`, `relay`, `postgres-server`, `kafka-server`, `redis-server`, `toxiproxy`.
    pub process: String,
    /// This is the process's pid; a restarted process has another.
    pub pid: u32,
    /// This is when it happened, run time.
    pub at_ns: i64,
    /// This is what happened to the process.
    pub life: Life,
    /// For [`Life::Exited`], this is the signal number, or minus the exit code minus 1; else it is 0.
    pub exit: i32,
}

/// A sample is one point of a named series.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// This names the series, e.g. `wall_drift_ns`, `cpu_s.relay`, `rss_bytes.order-service`, `slot_wal_bytes`.
    pub series: String,
    /// This is when the value was taken, run time.
    pub at_ns: i64,
    /// This is the value, in the unit that the name of its series implies.
    pub value: f64,
}

/// This is one step of the fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FenceRecord {
    /// This is the number of the step, 1 to 8, as in docs/architecture.md.
    pub number: u32,
    /// This says what is done in the step, in the words of [`FenceStep::name`].
    pub name: String,
    /// This is when the step began, run time.
    pub started_ns: i64,
    /// This is when the step ended, run time.
    pub ended_ns: i64,
    /// This says whether the step held; what needs it is unknown otherwise.
    pub ok: bool,
    /// This says why the step did not hold, or what it found.
    pub detail: String,
}

impl FenceRecord {
    /// Whether it is of this step.
    pub fn is(&self, step: FenceStep) -> bool {
        self.number == step.number()
    }
}

/// This tells who wrote a row of the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Tracer {
    /// The order service wrote it.
    OrderService = 0,
    /// A relay wrote it.
    Relay = 1,
}

/// A row of the trace is one step of one event inside the system under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceRow {
    /// This says which kind of process wrote it.
    pub tracer: Tracer,
    /// This is the pid of that process: a restarted process has another.
    pub pid: u32,
    /// This is when the step was taken, run time.
    pub at_ns: i64,
    /// This is the number of the attempt whose event it is.
    pub attempt: u32,
    /// This is the version of the order; 0 where it is not known yet.
    pub version: u32,
    /// This is the step that the event had come to.
    pub stage: Stage,
    /// What this means depends on the stage; see [`Stage`].
    pub detail: u64,
}

/// This is one effect of one consumer: what was really done, as its own database tells, or whoever was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EffectRow {
    /// This is the index of the consumer in `scenario.consumers`, from 0.
    pub consumer: u32,
    /// This is the index of the order, or [`NONE`].
    pub order: u32,
    /// This is the version of the order that the event named.
    pub version: u32,
    /// This is the number of the attempt that the event named, or [`NONE`].
    pub attempt: u32,
    /// This is when the consumer sent the transaction of the effect, or when its call was taken; run time.
    pub at_ns: i64,
}

/// This is what came of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum ReadOutcome {
    /// The read never left: it was still held back when the load ended, or the connection was refused.
    NotSent = 0,
    /// The answer was an order with its version.
    Answered = 1,
    /// The answer was that there is no such order.
    NotFound = 2,
    /// There was no answer that says anything: a timeout, a reset, an error.
    Failed = 3,
}

/// This is where an answer comes from, as it says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum ReadSource {
    /// There was no answer, or it does not say.
    Unknown = 0,
    /// The cache had it.
    Cache = 1,
    /// The cache did not have it, and the database was asked.
    Database = 2,
    /// The cache could not be asked, and the database was.
    Fallback = 3,
}

/// This is one read: the load generator asked the order service for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRow {
    /// This is the index of the order.
    pub order: u32,
    /// This is when the read was due.
    pub intended_ns: i64,
    /// This is when it was sent, noted before its first byte.
    pub sent_ns: i64,
    /// This is when its answer, its error or its timeout came.
    pub ended_ns: i64,
    /// This is the generator's own lateness, nanoseconds, as in [`Request::lag_ns`].
    pub lag_ns: i64,
    /// Whether it was due while every connection that reads may have was busy.
    pub held_back: bool,
    /// This is what came of it.
    pub outcome: ReadOutcome,
    /// This is where the answer comes from.
    pub source: ReadSource,
    /// This is the version that was answered; 0 for none.
    pub version: u32,
}

/// This is what the cache held of one order after the fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedRow {
    /// This is the index of the order.
    pub order: u32,
    /// This is the version that a read would have been answered; 0 for an entry that no version could be read from.
    pub version: u32,
}

#[cfg(test)]
mod tests;
