//! What a strategy cost, one figure of it, from the samples of the run.

use super::database::{
    DEAD_TUPLES, OUTBOX_BYTES, ROWS_CHANGED, SLOT_WAL_BYTES, WAL_BYTES, growth, peak,
};
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
        | CostKind::RelayMemoryPeak
        | CostKind::TimeToNormal => None,
    };
    let total = total.filter(|_| committed > 0)?;
    Some(total / committed as f64)
}

/// Returns why a figure may be larger than what was sampled; `None` where nothing is known to have passed unseen.
pub fn blind(history: &History, kind: CostKind) -> Option<String> {
    let lost_statistics = || {
        let values: Vec<f64> = of_series(history, ROWS_CHANGED).map(|(_, v)| v).collect();
        let is_lost = values.len() > 1 && growth(&values).is_none();
        is_lost.then(|| {
            "the server's statistics went back: it lost them in a crash, or a table was dropped"
                .to_owned()
        })
    };
    let restarted = || {
        let anew = cpu_of_processes(history)
            .into_iter()
            .find(|used| used.restarted);
        anew.map(|used| {
            format!(
                "{} was started again, and what it used since it was last sampled is not known",
                used.process
            )
        })
    };
    match kind {
        // A process that is not there has no memory; while it is, it is sampled.
        CostKind::RelayMemoryPeak => None,
        CostKind::CpuPerEvent => restarted(),
        CostKind::DeadTuplesPeak => lost_statistics().or_else(|| not_asked(history, kind)),
        CostKind::OutboxPeak
        | CostKind::SlotWalPeak
        | CostKind::WalPerEvent
        | CostKind::TimeToNormal => not_asked(history, kind),
    }
}

/// The longest time from the begin of the load on in which the database did not answer, where that is too long.
fn not_asked(history: &History, kind: CostKind) -> Option<String> {
    let from_ns = history.meta.load_from_ns;
    let ends_ns = history.samples.iter().map(|sample| sample.at_ns).max()?;
    let sampled = samples(history, kind).map(|(at_ns, _)| at_ns);
    let mut times: Vec<i64> = sampled.filter(|at_ns| *at_ns >= from_ns).collect();
    times.extend([from_ns, ends_ns]);
    times.sort_unstable();
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    let longest_ns = gaps.max().filter(|gap| *gap > BLIND_NS)?;
    Some(format!(
        "for {:.1} s nothing was sampled",
        longest_ns as f64 / 1e9
    ))
}

/// The samples of a cost: of every process, where it is of several.
fn samples(history: &History, kind: CostKind) -> impl Iterator<Item = (i64, f64)> + '_ {
    let of_kind = move |series: &str| match kind {
        CostKind::OutboxPeak | CostKind::TimeToNormal => series == OUTBOX_BYTES,
        CostKind::DeadTuplesPeak => series == DEAD_TUPLES,
        CostKind::SlotWalPeak => series == SLOT_WAL_BYTES,
        CostKind::WalPerEvent => series == WAL_BYTES,
        CostKind::RelayMemoryPeak => series.strip_prefix("rss_bytes.").is_some_and(is_relay),
        CostKind::CpuPerEvent => series.strip_prefix("cpu_s.").is_some_and(is_tested),
    };
    let of_it = history.samples.iter().filter(move |s| of_kind(&s.series));
    of_it.map(|sample| (sample.at_ns, sample.value))
}

fn of_series<'a>(history: &'a History, series: &'a str) -> impl Iterator<Item = (i64, f64)> + 'a {
    let of_it = history.samples.iter().filter(move |s| s.series == series);
    of_it.map(|sample| (sample.at_ns, sample.value))
}

/// Whether a process of this name is a relay: `relay`, or `relay-2` of several.
fn is_relay(name: &str) -> bool {
    name == "relay" || name.starts_with("relay-")
}

fn is_tested(name: &str) -> bool {
    name == "order-service" || is_relay(name)
}

/// What a process used, as far as that was sampled.
struct ProcessCpu<'a> {
    process: &'a str,
    last_s: f64,
    used_s: f64,
    /// It was started again: its counter began anew, and the end of the life before was not sampled.
    restarted: bool,
}

/// CPU time of each process that is tested.
fn cpu_of_processes(history: &History) -> Vec<ProcessCpu<'_>> {
    let mut all: Vec<ProcessCpu<'_>> = Vec::new();
    for sample in &history.samples {
        let process = sample.series.strip_prefix("cpu_s.");
        let Some(name) = process.filter(|name| is_tested(name)) else {
            continue;
        };
        let Some(used) = all.iter_mut().find(|used| used.process == name) else {
            all.push(ProcessCpu {
                process: name,
                last_s: sample.value,
                used_s: 0.0,
                restarted: false,
            });
            continue;
        };
        let began_anew = sample.value < used.last_s;
        used.restarted |= began_anew;
        used.used_s += match began_anew {
            true => sample.value,
            false => sample.value - used.last_s,
        };
        used.last_s = sample.value;
    }
    all
}

/// CPU time of all that is tested, in microseconds.
fn cpu_us(history: &History) -> Option<f64> {
    let all = cpu_of_processes(history);
    let used_s: f64 = all.iter().map(|used| used.used_s).sum();
    (!all.is_empty()).then_some(used_s * 1e6)
}
