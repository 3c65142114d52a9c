//! Latencies, phases and series from a history. Pure.
//!
//! All times count from the first intended start of a change, never from a send or a retry, and nothing is clipped:
//! what never ended is infinite, and a percentile that falls there is null.

mod age;
mod change;
mod cost;
mod cpu;
mod database;
mod drain;
mod failover;
mod generator;
mod hgrm;
mod in_doubt;
mod latency;
mod normality;
mod phase;
mod reads;
mod recorder;
mod series;
mod work;

pub use change::{Change, Changes};
pub use cost::{age_at_most_ms, blind, peak_of, peak_where, per_event};
pub use cpu::{ProcessCpu, cpu_of_processes};
pub use database::{
    DEAD_TUPLES, ORDERS_WRITTEN, OUTBOX_BYTES, REBUILD_MS, ROWS_CHANGED, ROWS_WRITTEN,
    SLOT_WAL_BYTES, STORAGE_BYTES, VACUUMS, WAL_BYTES, database_costs,
};
pub use drain::{Recovery, committed_before, drain_s, last_heal_ns, recovery};
pub use failover::failover_s;
pub use generator::{HeldBack, MAX_LAG_MS, generator, held_back_in, planned_changes};
pub use hgrm::hgrm;
pub use in_doubt::{BLOCKED_CONSUMERS_MS, BLOCKED_ORDERS_MS, in_doubt};
pub use latency::{
    Latencies, PhaseLatencies, latencies, latencies_from, latencies_where, stretches, whole,
};
pub use normality::{Return, back_to_normal, unseen_return};
pub use phase::{Phase, phases};
pub use reads::{reads, reads_held_back_in};
pub use recorder::Recorder;
pub use series::series;
pub use work::phase_work;

use crate::history::{History, Outcome};
use std::time::Duration;

/// Returns the acknowledged changes a second over the load's duration; `None` for a load of no length.
pub fn throughput_per_s(history: &History) -> Option<f64> {
    let meta = &history.meta;
    let acknowledged = history
        .requests
        .iter()
        .filter(|r| r.outcome == Outcome::Committed)
        .count();
    let took_ns = meta.load_until_ns.saturating_sub(meta.load_from_ns);
    (took_ns > 0).then(|| acknowledged as f64 / (took_ns as f64 / 1e9))
}

/// Returns a duration as signed nanoseconds; one of centuries is cut to what can still be added to.
pub fn ns(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).map_or(i64::MAX / 4, |ns| ns.min(i64::MAX / 4))
}

#[cfg(test)]
mod tests;
