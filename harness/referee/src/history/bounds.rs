//! What a history must satisfy before anything is computed from it. Damage that decodes is still
//! damage: a time of the next millennium, an order numbered four billion, a fault that the
//! scenario does not have.

use super::{History, NONE};
use crate::scenario::{Metric, Scenario, limits};
use std::time::Duration;

/// A time of a run lies within ten years of its origin, either way: nanoseconds.
const MAX_NS: i64 = 10 * 365 * 86_400 * 1_000_000_000;
/// A wall clock time does not go beyond the year 2200: milliseconds since 1970.
const MAX_UNIX_MS: i64 = 7_260_000_000_000;
/// Orders and changes are numbered densely, each by a first request; a plan may be cut short.
const SLACK: u64 = 1 << 20;
const SLACK_FACTOR: u64 = 8;

/// Gives the file and what is impossible in it.
pub(super) fn check(history: &History) -> Result<(), (&'static str, String)> {
    let run = "run.json";
    let meta = &history.meta;
    if meta.format != super::FORMAT {
        return Err((
            run,
            format!(
                "history format {} cannot be read by this version, which knows format {}",
                meta.format,
                super::FORMAT
            ),
        ));
    }
    if !meta
        .scenario
        .strategies
        .iter()
        .any(|s| s.name == meta.strategy)
    {
        let name = &meta.strategy;
        return Err((run, format!("its scenario has no strategy `{name}`")));
    }
    if meta.topics.len() > limits::TOPICS {
        return Err((run, format!("{} topics cannot be", meta.topics.len())));
    }
    scenario(&meta.scenario).map_err(|e| (run, format!("its scenario: {e}")))?;
    meta.key.identity().map_err(|e| (run, e))?;
    let origin = meta.clock.origin_unix_ns;
    if origin < 0 || origin > i128::from(MAX_UNIX_MS) * 1_000_000 {
        return Err((run, format!("{origin} ns is no wall clock time")));
    }
    let times = [meta.load_from_ns, meta.load_until_ns];
    for at in times.into_iter().chain(meta.trace_cut_ns) {
        time(at).map_err(|e| (run, e))?;
    }
    requests(history).map_err(|e| ("requests.parquet", e))?;
    topic(history)?;
    truth(history)?;
    rest(history)
}

/// What decides how long a check takes and how much memory it needs is within what a scenario file
/// may say.
fn scenario(scenario: &Scenario) -> Result<(), String> {
    let workload = &scenario.workload;
    let (_, highest) = limits::RATE;
    if !(0.0..=highest).contains(&workload.rate) {
        return Err(format!("a rate of {} cannot be", workload.rate));
    }
    if !(0.0..=limits::READ_SHARE).contains(&workload.read_share) {
        let share = workload.read_share;
        return Err(format!("a share of {share} reads cannot be"));
    }
    if !(1..=limits::PARTITIONS).contains(&workload.partitions) {
        return Err(format!("{} partitions cannot be", workload.partitions));
    }
    let faults = &scenario.faults;
    if faults.len() > limits::FAULTS || scenario.strategies.len() > limits::STRATEGIES {
        let strategies = scenario.strategies.len();
        return Err(format!(
            "{} faults and {strategies} strategies are too many",
            faults.len()
        ));
    }
    if scenario.consumers.len() > limits::CONSUMERS {
        let consumers = scenario.consumers.len();
        return Err(format!("{consumers} consumers are too many"));
    }
    let of_consumers = scenario.strategies.iter().flat_map(|s| &s.of_consumers);
    let most = Metric::of_consumers().len();
    if let Some(much) = of_consumers.clone().find(|c| c.expectations.len() > most) {
        let name = &much.consumer;
        return Err(format!(
            "more is expected of consumer {name} than can be measured"
        ));
    }
    let most = Metric::all().len();
    if let Some(much) = scenario
        .strategies
        .iter()
        .find(|s| s.expectations.len() > most)
    {
        let name = &much.name;
        return Err(format!("more is expected of {name} than can be measured"));
    }
    let in_the_run = faults.iter().flat_map(|f| {
        let after = f
            .trigger()
            .and_then(|t| t.follows())
            .map(|(_, after)| after);
        [f.at().or(after).unwrap_or_default(), f.lasts]
    });
    let in_the_run = in_the_run.chain([workload.duration, workload.ramp]);
    let drain = [scenario.drain.within, scenario.drain.late_after];
    let bounded = in_the_run
        .map(|time| (time, limits::DURATION))
        .chain(drain.map(|time| (time, limits::DRAIN)))
        .chain([(scenario.drain.settle, limits::SETTLE)]);
    for (time, longest) in bounded {
        at_most(longest, time)?;
    }
    Ok(())
}

fn at_most(longest: Duration, time: Duration) -> Result<(), String> {
    if time > longest {
        return Err(format!("{time:?} is longer than {longest:?}"));
    }
    Ok(())
}

fn requests(history: &History) -> Result<(), String> {
    let limit = (history.requests.len() as u64 + SLACK) * SLACK_FACTOR;
    for (attempt, r) in history.requests.numbered() {
        if u64::from(r.order) >= limit || u64::from(r.change) >= limit {
            return Err(format!(
                "attempt {attempt} belongs to order {} and change {}: numbers are dense, this cannot be",
                r.order, r.change
            ));
        }
        for at in [r.intended_ns, r.sent_ns, r.ended_ns, r.lag_ns] {
            time(at).map_err(|e| format!("attempt {attempt}: {e}"))?;
        }
    }
    Ok(())
}

fn truth(history: &History) -> Result<(), (&'static str, String)> {
    let attempts = history.requests.len() as u64;
    let limit = (attempts + SLACK) * SLACK_FACTOR;
    for (n, row) in history.truth.numbered() {
        let order_is_absurd = row.order != NONE && u64::from(row.order) >= limit;
        if order_is_absurd || row.version == 0 {
            return Err((
                "truth.parquet",
                format!(
                    "row {n}: order {} version {} cannot be",
                    row.order, row.version
                ),
            ));
        }
    }
    for (n, row) in history.pending.iter().enumerate() {
        if row.attempt != NONE && u64::from(row.attempt) >= attempts {
            return Err((
                "pending.parquet",
                format!("row {n}: attempt {} was never made", row.attempt),
            ));
        }
    }
    Ok(())
}

fn topic(history: &History) -> Result<(), (&'static str, String)> {
    for (n, row) in history.log.numbered() {
        if row.partition < 0 || row.offset < 0 || !(-1..=MAX_UNIX_MS).contains(&row.append_ms) {
            return Err((
                "log.parquet",
                format!(
                    "row {n}: partition {} offset {} appended at {} ms cannot be",
                    row.partition, row.offset, row.append_ms
                ),
            ));
        }
    }
    let mut places: Vec<(i32, i64)> = Vec::new();
    let place = |r: &super::LogRow| (r.partition, r.offset);
    if !history.log.iter().is_sorted_by(|a, b| place(a) < place(b)) {
        places.extend(history.log.iter().map(|r| place(&r)));
        places.sort_unstable();
        if let Some(pair) = places.windows(2).find(|p| p[0] == p[1]) {
            let (partition, offset) = pair[0];
            return Err((
                "log.parquet",
                format!("partition {partition} offset {offset} is there twice"),
            ));
        }
    }
    for (n, row) in history.sightings.numbered() {
        time(row.seen_ns).map_err(|e| ("sightings.parquet", format!("row {n}: {e}")))?;
        if row.partition < 0 || row.offset < 0 {
            return Err((
                "sightings.parquet",
                format!("row {n}: partition {} offset {}", row.partition, row.offset),
            ));
        }
    }
    Ok(())
}

fn rest(history: &History) -> Result<(), (&'static str, String)> {
    let faults = history.meta.scenario.faults.len();
    for row in &history.faults {
        let wrong = |e| ("faults.parquet", e);
        if row.fault as usize >= faults {
            return Err(wrong(format!("the scenario has no fault {}", row.fault)));
        }
        let times = [Some(row.planned_at_ns), row.injected_ns, row.healed_ns];
        for at in times.into_iter().flatten() {
            time(at).map_err(wrong)?;
        }
    }
    for row in &history.observations {
        if row.fault as usize >= faults {
            let reason = format!("the scenario has no fault {}", row.fault);
            return Err(("evidence.parquet", reason));
        }
        time(row.at_ns).map_err(|e| ("evidence.parquet", e))?;
    }
    for row in &history.processes {
        time(row.at_ns).map_err(|e| ("processes.parquet", e))?;
    }
    for row in &history.samples {
        time(row.at_ns).map_err(|e| ("samples.parquet", e))?;
    }
    for row in &history.fences {
        time(row.started_ns)
            .and(time(row.ended_ns))
            .map_err(|e| ("fences.parquet", e))?;
    }
    let consumers = history.meta.scenario.consumers.len();
    for row in &history.effects {
        if row.consumer as usize >= consumers {
            let reason = format!("the scenario has no consumer {}", row.consumer);
            return Err(("effects.parquet", reason));
        }
        time(row.at_ns).map_err(|e| ("effects.parquet", e))?;
    }
    reads(history)?;
    for row in &history.trace {
        time(row.at_ns).map_err(|e| ("trace.parquet", e))?;
    }
    Ok(())
}

fn reads(history: &History) -> Result<(), (&'static str, String)> {
    let limit = (history.requests.len() as u64 + SLACK) * SLACK_FACTOR;
    for (n, row) in history.reads.numbered() {
        let wrong = |e: String| ("reads.parquet", format!("read {n}: {e}"));
        if u64::from(row.order) >= limit {
            return Err(wrong(format!("order {} cannot be", row.order)));
        }
        for at in [row.intended_ns, row.sent_ns, row.ended_ns, row.lag_ns] {
            time(at).map_err(wrong)?;
        }
    }
    for (n, row) in history.cached.numbered() {
        if u64::from(row.order) >= limit {
            let reason = format!("row {n}: order {} cannot be", row.order);
            return Err(("cached.parquet", reason));
        }
    }
    Ok(())
}

fn time(ns: i64) -> Result<(), String> {
    if (-MAX_NS..=MAX_NS).contains(&ns) {
        Ok(())
    } else {
        Err(format!("{ns} ns is no time of a run"))
    }
}
