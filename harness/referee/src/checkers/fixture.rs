//! Histories for tests: a clean run, and the ways to spoil it.

#![allow(missing_docs, reason = "for tests")]
#![allow(clippy::unwrap_used)]

use super::context::Context;
use super::{Bite, Judgement, judge_joined};
use crate::clock::RunClock;
use crate::history::{
    Body, CacheEnd, CachedRow, FaultRecord, FenceRecord, FenceStep, History, Intent, Life, LogRow,
    Outcome, PartOf, PartitionEnd, ProcessEvent, ReadOutcome, ReadRow, ReadSource, Request, Rows,
    RunMeta, Sighting, TruthRow,
};
use crate::identity::RunKey;
use crate::scenario::{
    BrokerChoice, Cache, Comparison, Drain, Expectation, Fault, FaultKind, Metric, Scenario, Start,
    Strategy, StrategyKind, Target, Workload,
};
use contract::cache::{CacheFill, CacheMode};
use contract::config::{CommitMode, WriteOrder};
use proptest::test_runner::Config as ProptestConfig;
use reports::record::Outcomes;
use std::collections::BTreeMap;
use std::time::Duration;

pub const MS: i64 = 1_000_000;
pub const S: i64 = 1_000 * MS;
/// Load starts one second into the run.
pub const FROM: i64 = S;
const ORIGIN_UNIX_NS: i128 = 1_700_000_000_000_000_000;
pub const PARTITIONS: i32 = 2;

pub const COUNTS: [Metric; 15] = [
    Metric::Lost,
    Metric::Undrained,
    Metric::Undecided,
    Metric::Phantom,
    Metric::Foreign,
    Metric::Duplicated,
    Metric::Reordered,
    Metric::Overtaken,
    Metric::Split,
    Metric::Corrupted,
    Metric::Missing,
    Metric::DoubleApplied,
    Metric::FalseRejection,
    Metric::Unacknowledged,
    Metric::Late,
];

/// So many cases of a property, unless PROPTEST_CASES asks for another number.
pub fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok();
    ProptestConfig {
        cases: how_many(asked.as_deref(), usual),
        ..ProptestConfig::default()
    }
}

/// As many as are asked for; no case shows nothing.
fn how_many(asked: Option<&str>, usual: u32) -> u32 {
    let number = asked.and_then(|text| text.parse().ok());
    number.filter(|n| *n > 0).unwrap_or(usual)
}

/// The four outcomes, all of them known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Four {
    pub db_event: u64,
    pub db_only: u64,
    pub event_only: u64,
    pub neither: u64,
}

impl From<Four> for Outcomes {
    fn from(four: Four) -> Self {
        Self {
            db_event: Some(four.db_event),
            db_only: Some(four.db_only),
            event_only: Some(four.event_only),
            neither: Some(four.neither),
        }
    }
}

#[test]
fn given_no_case_asked_for_then_there_are_as_many_as_usual() {
    assert_eq!(how_many(Some("7"), 64), 7);
    for nothing in [Some("0"), Some(""), Some("many"), None] {
        assert_eq!(how_many(nothing, 64), 64, "{nothing:?}");
    }
}

#[test]
fn the_seed_of_a_case_that_fails_is_kept() {
    assert!(cases(1).failure_persistence.is_some());
}

pub fn naive() -> StrategyKind {
    StrategyKind::DualWrite {
        order: WriteOrder::CommitThenPublish,
        publish_timeout: None,
        policy: contract::publish::PublishPolicy::default(),
    }
}

pub fn expect(metric: Metric, comparison: Comparison, value: f64) -> Expectation {
    Expectation {
        metric,
        comparison,
        value,
        text: format!("{comparison:?} {value}"),
        implicit: false,
    }
}

/// `changes` attempts, 2 ms apart, in orders of 3 versions; the next version of an order is sent
/// after the answer and before the event is seen. Behind each order, one attempt is rolled back.
pub fn clean(orders: u32, kind: StrategyKind) -> History {
    let mut history = empty(kind);
    for order in 0..orders {
        for version in 1..=3 {
            let attempt = commit(&mut history, order, version);
            publish(&mut history, attempt, version);
        }
        veto(&mut history, order);
    }
    finish(&mut history);
    history
}

/// A request for the next 2 ms, committed as `version`.
pub fn commit(history: &mut History, order: u32, version: u32) -> u32 {
    let attempt = offer_told(history, order, Intent::Commit, Outcome::Committed, version);
    history.truth.push(TruthRow {
        order,
        version,
        attempt,
        change: attempt,
    });
    attempt
}

pub fn veto(history: &mut History, order: u32) -> u32 {
    offer(history, order, Intent::Veto, Outcome::Rejected)
}

pub fn offer(history: &mut History, order: u32, intent: Intent, outcome: Outcome) -> u32 {
    offer_told(history, order, intent, outcome, 0)
}

fn offer_told(
    history: &mut History,
    order: u32,
    intent: Intent,
    outcome: Outcome,
    told_version: u32,
) -> u32 {
    let attempt = history.requests.len() as u32;
    let intended_ns = FROM + i64::from(attempt) * 2 * MS;
    history.requests.push(Request {
        change: attempt,
        order,
        change_type: 0,
        intent,
        outcome,
        status: 0,
        told_version,
        intended_ns,
        sent_ns: intended_ns + MS / 10,
        ended_ns: intended_ns + MS,
        lag_ns: 1_000,
        held_back: false,
    });
    attempt
}

/// Its client gave up before it had an answer.
pub fn tell_nothing(history: &mut History, attempt: u32) {
    let request = &mut history.requests.open()[attempt as usize];
    (request.outcome, request.told_version) = (Outcome::Unknown, 0);
}

/// Appends an intact event, 2 ms after its intended start, seen 1 ms later.
pub fn publish(history: &mut History, attempt: u32, version: u32) {
    let request = history.requests.at(attempt as usize);
    let partition = request.order as i32 % PARTITIONS;
    let at_ns = request.intended_ns + 2 * MS;
    append(history, partition, attempt, version, at_ns);
}

/// Appends an intact event anywhere, any time.
pub fn append(history: &mut History, partition: i32, attempt: u32, version: u32, at_ns: i64) {
    let order = history.requests.at(attempt as usize).order;
    record(
        history,
        partition,
        (attempt, order, version),
        Body::Intact,
        at_ns,
    );
}

pub fn record(
    history: &mut History,
    partition: i32,
    (attempt, order, version): (u32, u32, u32),
    body: Body,
    at_ns: i64,
) {
    let offset = history
        .log
        .iter()
        .filter(|r| r.partition == partition)
        .count() as i64;
    history.log.push(LogRow {
        partition,
        offset,
        append_ms: ((ORIGIN_UNIX_NS + i128::from(at_ns)) / 1_000_000) as i64,
        attempt,
        order,
        version,
        body,
    });
    history.sightings.push(Sighting {
        partition,
        offset,
        seen_ns: at_ns + MS,
    });
}

/// The attempt that made an order's version.
pub fn attempt(history: &History, order: u32, version: u32) -> u32 {
    let made = |r: &TruthRow| r.order == order && r.version == version;
    history.truth.iter().find(made).unwrap().attempt
}

/// The first record that names an attempt, as an index into the log.
pub fn log_row(history: &History, attempt: u32) -> usize {
    history
        .log
        .iter()
        .position(|r| r.attempt == attempt)
        .unwrap()
}

/// Takes an event off the topic as if it never had been there.
pub fn unpublish(history: &mut History, attempt: u32) {
    let row = log_row(history, attempt);
    let row = history.log.open().remove(row);
    history
        .sightings
        .open()
        .retain(|s| (s.partition, s.offset) != (row.partition, row.offset));
}

/// Brings a history into the form that a run leaves.
pub fn finish(history: &mut History) {
    history.truth.open().sort_by_key(|r| (r.order, r.version));
    history.log.open().sort_by_key(|r| (r.partition, r.offset));
    history.sightings.open().sort_by_key(|s| s.seen_ns);
    let last_ns = history.requests.iter().map(|r| r.ended_ns).max();
    history.meta.load_until_ns = last_ns.unwrap_or(FROM);
    let took = Duration::from_nanos((history.meta.load_until_ns - FROM) as u64);
    let workload = &mut history.meta.scenario.workload;
    workload.duration = took.max(Duration::from_secs(1));
    workload.rate = history.requests.len() as f64 / workload.duration.as_secs_f64();
    history.meta.uncommitted_records = history.log.len() as u64;
    history.partitions = (0..PARTITIONS)
        .map(|partition| {
            let rows = history.log.iter().filter(|r| r.partition == partition);
            let end_offset = rows.count() as i64;
            PartitionEnd {
                partition,
                end_offset,
                stable_offset: end_offset,
                read_offset: end_offset,
            }
        })
        .collect();
    let end_ns = history.meta.load_until_ns;
    history.fences = FenceStep::ALL
        .map(|step| FenceRecord {
            number: step.number(),
            name: format!("step {}", step.number()),
            started_ns: end_ns + S,
            ended_ns: end_ns + 2 * S,
            ok: true,
            detail: String::new(),
        })
        .into();
}

/// Adds a fault that was in force from `at` to `until` (since the load's start).
pub fn add_fault(
    history: &mut History,
    target: Target,
    kind: FaultKind,
    at_ns: i64,
    until_ns: i64,
) {
    let fault = history.meta.scenario.faults.len() as u32;
    history.meta.scenario.faults.push(Fault {
        target,
        kind,
        id: None,
        start: Start::At(Duration::from_nanos(at_ns as u64)),
        lasts: Duration::from_nanos((until_ns - at_ns) as u64),
    });
    history.faults.push(FaultRecord {
        fault,
        planned_at_ns: FROM + at_ns,
        injected_ns: Some(FROM + at_ns + MS),
        healed_ns: Some(FROM + until_ns),
    });
}

pub fn process(history: &mut History, process: &str, at_ns: i64, life: Life, exit: i32) {
    history.processes.push(ProcessEvent {
        process: process.to_owned(),
        pid: 1,
        at_ns,
        life,
        exit,
    });
}

pub fn expecting(history: &mut History, expectations: Vec<Expectation>) {
    history.meta.scenario.strategies[0].expectations = expectations;
}

/// Judges with every fault having bitten.
pub fn judged(history: &History) -> Judgement {
    let bites = (0..history.meta.scenario.faults.len() as u32)
        .map(|fault| Bite {
            fault,
            bit: true,
            evidence: "by decree".to_owned(),
        })
        .collect();
    judge_with(history, &[], bites)
}

/// Judges with the bites given.
pub fn judge_with(history: &History, altered: &[String], bites: Vec<Bite>) -> Judgement {
    judge_joined(&Context::new(history), altered, bites)
}

pub fn count(judgement: &Judgement, metric: Metric) -> u64 {
    judgement
        .findings
        .iter()
        .filter(|f| f.metric == metric)
        .map(|f| f.count)
        .sum()
}

/// Every count that is not 0, by name, but for what was overtaken: that is a matter of how the events of all
/// orders lie, which most histories here leave to chance.
pub fn counted(judgement: &Judgement) -> BTreeMap<String, u64> {
    let of_orders = COUNTS.into_iter().filter(|m| *m != Metric::Overtaken);
    of_orders
        .map(|metric| (metric.name(), count(judgement, metric)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

fn empty(kind: StrategyKind) -> History {
    let zeros = COUNTS
        .into_iter()
        .filter(|m| {
            use Metric::{Duplicated, Overtaken, Unacknowledged};
            !matches!(m, Duplicated | Overtaken | Unacknowledged)
        })
        .map(|metric| expect(metric, Comparison::Equal, 0.0))
        .collect();
    History {
        meta: RunMeta {
            format: crate::history::FORMAT,
            scenario: Scenario {
                name: "test".to_owned(),
                description: "a test".to_owned(),
                seed: 1,
                workload: workload(),
                faults: Vec::new(),
                strategies: vec![Strategy {
                    name: "it".to_owned(),
                    kind,
                    linger_ms: 0.0,
                    relay_commit: CommitMode::default(),
                    failover_slot: false,
                    instances: 1,
                    broker: BrokerChoice::default(),
                    database: Default::default(),
                    cache: None,
                    expectations: zeros,
                    of_consumers: Vec::new(),
                }],
                drain: Drain {
                    within: Duration::from_secs(30),
                    late_after: Duration::from_secs(15),
                    settle: Duration::ZERO,
                },
                order: Default::default(),
                consumers: Vec::new(),
                stack: Default::default(),
                text: String::new(),
            },
            strategy: "it".to_owned(),
            part_of: PartOf::default(),
            key: RunKey::random(),
            clock: RunClock {
                origin_monotonic_ns: 77,
                origin_unix_ns: ORIGIN_UNIX_NS,
            },
            started_at: "2026-11-23T00:00:00Z".to_owned(),
            topic: "oh.1.it".to_owned(),
            topics: Vec::new(),
            made_of: None,
            schema: "oh_1_it".to_owned(),
            proxied: Vec::new(),
            load_from_ns: FROM,
            load_until_ns: FROM,
            unoffered: 0,
            truth_lsn: Some(1),
            wall_drift_ns: 0,
            uncommitted_records: 0,
            service_killed_at_teardown: false,
            interrupted: false,
            heuristic: Vec::new(),
            trigger_notes: Vec::new(),
            stray_topics: Vec::new(),
            trace_cut_ns: None,
            consumers: Vec::new(),
            cache: None,
            deaths: Vec::new(),
            remarks: Vec::new(),
            trace_dropped: 0,
            environment: BTreeMap::new(),
            sha256: BTreeMap::new(),
        },
        requests: Rows::new(),
        truth: Rows::new(),
        log: Rows::new(),
        raw: Vec::new(),
        sightings: Rows::new(),
        partitions: Vec::new(),
        pending: Vec::new(),
        faults: Vec::new(),
        observations: Vec::new(),
        processes: Vec::new(),
        samples: Vec::new(),
        fences: Vec::new(),
        trace: Rows::new(),
        effects: Rows::new(),
        reads: Rows::new(),
        cached: Rows::new(),
    }
}

fn workload() -> Workload {
    Workload {
        rate: 500.0,
        duration: Duration::from_secs(1),
        changes_per_order: 3,
        payload_bytes: 256,
        connections: 32,
        clients: None,
        request_timeout: Duration::from_secs(2),
        rollback_ratio: 0.02,
        hold_ratio: 0.01,
        hold: Duration::from_millis(20),
        retries: 0,
        skew: 0.0,
        ramp: Duration::ZERO,
        partitions: PARTITIONS,
        database_connections: 8,
        min_committed_per_phase: 1,
        read_share: 0.0,
    }
}

/// A clean run of a relay that invalidates a cache. Each version is read when its client has been told, and answered
/// from the cache; at the end the cache holds every order as it is.
pub fn cached(orders: u32) -> History {
    let mut history = clean(orders, StrategyKind::Cdc {});
    history.meta.scenario.workload.read_share = 0.4;
    history.meta.scenario.strategies[0].cache = Some(Cache {
        mode: CacheMode::InvalidateByRelay,
        fill: CacheFill::Newer,
        fill_hold: Duration::ZERO,
    });
    history.meta.cache = Some(CacheEnd::default());
    let told = history.requests.iter();
    let told = told.filter(|request| request.outcome == Outcome::Committed);
    history.reads = told
        .map(|request| {
            read_of(
                request.order,
                request.told_version,
                request.ended_ns + MS / 100,
            )
        })
        .collect();
    history.cached = (0..orders)
        .map(|order| CachedRow { order, version: 3 })
        .collect();
    history
}

/// A read that was answered this version from the cache, half a millisecond after it was sent.
pub fn read_of(order: u32, version: u32, sent_ns: i64) -> ReadRow {
    ReadRow {
        order,
        intended_ns: sent_ns - 1_000,
        sent_ns,
        ended_ns: sent_ns + MS / 2,
        lag_ns: 1_000,
        held_back: false,
        outcome: ReadOutcome::Answered,
        source: ReadSource::Cache,
        version,
    }
}
