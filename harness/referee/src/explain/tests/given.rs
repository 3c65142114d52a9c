//! Traces and lives for histories made by hand.

use crate::checkers::context::Context;
use crate::checkers::fixture::*;
use crate::explain::Explainer;
use crate::history::{History, Life, ProcessEvent, Stage, TraceRow, Tracer};
use crate::scenario::{FaultKind, Metric, StrategyKind, Target};
use contract::config::WriteOrder;
use reports::record::Offence;
use std::time::Duration;

pub const SERVICE: u32 = 10;
pub const RELAY: u32 = 20;
pub const NEXT_RELAY: u32 = 21;

pub fn cdc() -> History {
    clean(20, StrategyKind::Cdc {})
}

pub fn dual_write() -> History {
    clean(20, naive())
}

/// Its service publishes again what failed.
pub fn retrying() -> History {
    let policy = contract::publish::PublishPolicy {
        retries: 3,
        ..Default::default()
    };
    clean(
        20,
        StrategyKind::DualWrite {
            order: WriteOrder::CommitThenPublish,
            publish_timeout: None,
            policy,
        },
    )
}

pub fn publish_first() -> History {
    clean(
        20,
        StrategyKind::DualWrite {
            order: WriteOrder::PublishThenCommit,
            publish_timeout: None,
            policy: contract::publish::PublishPolicy::default(),
        },
    )
}

pub fn two_phase() -> StrategyKind {
    StrategyKind::TwoPhaseCommit {
        publish_timeout: Duration::from_secs(1),
        transaction_timeout: Duration::from_secs(60),
        in_doubt_after: None,
        producers: 8,
    }
}

/// One row of the order service, `at_us` microseconds after the attempt was due.
pub fn service(history: &mut History, attempt: u32, at_us: i64, stage: Stage, detail: u64) {
    let tracer = (Tracer::OrderService, SERVICE);
    write(history, tracer, attempt, at_us, stage, detail);
}

/// One row of a relay, likewise.
pub fn relay(history: &mut History, pid: u32, attempt: u32, at_us: i64, stage: Stage, detail: u64) {
    write(history, (Tracer::Relay, pid), attempt, at_us, stage, detail);
}

fn write(
    history: &mut History,
    (tracer, pid): (Tracer, u32),
    attempt: u32,
    at_us: i64,
    stage: Stage,
    detail: u64,
) {
    let due_ns = history.requests.at(attempt as usize).intended_ns;
    history.trace.push(TraceRow {
        tracer,
        pid,
        at_ns: due_ns + at_us * 1_000,
        attempt,
        version: 0,
        stage,
        detail,
    });
}

/// The relay is at work until long after everything else: what it did not write, it did not do.
pub fn relay_traces_on(history: &mut History) {
    relay(history, RELAY, 0, 10_000_000, Stage::Confirmed, 0);
}

pub fn lives(history: &mut History, process: &str, pid: u32, at_ns: i64, life: Life, exit: i32) {
    history.processes.push(ProcessEvent {
        process: process.to_owned(),
        pid,
        at_ns,
        life,
        exit,
    });
}

/// A process killed, `at_us` after an attempt was due.
pub fn killed(history: &mut History, process: &str, pid: u32, attempt: u32, at_us: i64) {
    let at_ns = history.requests.at(attempt as usize).intended_ns + at_us * 1_000;
    lives(history, process, pid, 0, Life::Started, 0);
    lives(history, process, pid, at_ns, Life::Exited, 9);
}

/// Kafka down from 0.01 s to 0.5 s.
pub fn kafka_down(history: &mut History) {
    add_fault(history, Target::KAFKA, FaultKind::Down, 10 * MS, 500 * MS);
}

/// The first offence of a kind, explained.
pub fn explained(history: &History, metric: Metric) -> Offence {
    let mut found = Vec::new();
    Explainer::new(&Context::new(history))
        .unwrap()
        .each(u64::MAX, &mut |offence| found.push(offence));
    let of_it = found.iter().find(|o| o.metric == metric.name());
    of_it
        .unwrap_or_else(|| panic!("{metric:?}: {found:?}"))
        .clone()
}

pub fn sentence(history: &History, metric: Metric) -> String {
    explained(history, metric).sentence.unwrap()
}
