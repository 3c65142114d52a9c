//! What a strategy cost, one figure of it, from the samples of the run.

use super::database::{DEAD_TUPLES, OUTBOX_BYTES, SLOT_WAL_BYTES, WAL_BYTES, growth, peak};
use crate::history::History;
use crate::scenario::CostKind;

/// A run's database is asked twice a second. Where it did not answer for so long, a peak may have passed unseen.
const BLIND_NS: i64 = 5_000_000_000;

/// Returns the largest value of a peak that was sampled at a time of which `counts` says so; `None` where nothing was
/// sampled then.
pub fn peak_where(history: &History, kind: CostKind, counts: impl Fn(i64) -> bool) -> Option<f64> {
    let of_it = samples(history, kind).filter(|(at_ns, _)| counts(*at_ns));
    let values: Vec<f64> = of_it.map(|(_, value)| value).collect();
    peak(&values)
}

/// Returns what a figure of the whole run is for each of `committed` changes; `None` where it is not known.
pub fn per_event(history: &History, kind: CostKind, committed: u64) -> Option<f64> {
    let total = match kind {
        CostKind::WalPerEvent => {
            let values: Vec<f64> = samples(history, kind).map(|(_, value)| value).collect();
            growth(&values)
        }
        CostKind::CpuPerEvent => cpu_us(history),
        CostKind::OutboxPeak
        | CostKind::DeadTuplesPeak
        | CostKind::SlotWalPeak
        | CostKind::RelayMemoryPeak => None,
    };
    let total = total.filter(|_| committed > 0)?;
    Some(total / committed as f64)
}

/// Returns for how long a peak could pass unseen, ns: the longest time from the begin of the load on in which nothing
/// answered, where that is too long. A process that is not there has no peak then.
pub fn blind_ns(history: &History, kind: CostKind) -> Option<i64> {
    if kind == CostKind::RelayMemoryPeak {
        return None;
    }
    let meta = &history.meta;
    let ends = history.samples.iter().map(|sample| sample.at_ns).max()?;
    let from = std::iter::once(meta.load_from_ns);
    let sampled = samples(history, kind).map(|(at_ns, _)| at_ns);
    let mut times: Vec<i64> = from.chain(sampled).chain([ends]).collect();
    times.retain(|at_ns| *at_ns >= meta.load_from_ns);
    times.sort_unstable();
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    gaps.max().filter(|gap| *gap > BLIND_NS)
}

/// The samples of a cost: of every process, where it is of several.
fn samples(history: &History, kind: CostKind) -> impl Iterator<Item = (i64, f64)> + '_ {
    let of_kind = move |series: &str| match kind {
        CostKind::OutboxPeak => series == OUTBOX_BYTES,
        CostKind::DeadTuplesPeak => series == DEAD_TUPLES,
        CostKind::SlotWalPeak => series == SLOT_WAL_BYTES,
        CostKind::WalPerEvent => series == WAL_BYTES,
        CostKind::RelayMemoryPeak => process("rss_bytes.", series).is_some_and(is_relay),
        CostKind::CpuPerEvent => process("cpu_s.", series).is_some_and(is_tested),
    };
    let of_it = history.samples.iter().filter(move |s| of_kind(&s.series));
    of_it.map(|sample| (sample.at_ns, sample.value))
}

fn process<'a>(prefix: &str, series: &'a str) -> Option<&'a str> {
    series.strip_prefix(prefix)
}

/// Whether a process of this name is a relay: `relay`, or `relay-2` of several.
fn is_relay(name: &str) -> bool {
    name == "relay" || name.starts_with("relay-")
}

fn is_tested(name: &str) -> bool {
    name == "order-service" || is_relay(name)
}

/// CPU time of all that is tested, in microseconds: each process's, which begins anew where it was started again.
fn cpu_us(history: &History) -> Option<f64> {
    let mut last: std::collections::BTreeMap<&str, f64> = std::collections::BTreeMap::new();
    let mut used_s = None;
    for sample in &history.samples {
        let Some(name) = process("cpu_s.", &sample.series).filter(|name| is_tested(name)) else {
            continue;
        };
        if let Some(before) = last.insert(name, sample.value) {
            *used_s.get_or_insert(0.0) += (sample.value - before).max(0.0);
        }
    }
    used_s.map(|s| s * 1e6)
}
