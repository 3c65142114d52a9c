//! What a strategy cost, one figure of it, from the samples of the run.

use super::age::longest_at_most_ms;
use super::cpu::{ProcessCpu, cpu_of_processes, cpu_series};
use super::database::{
    DEAD_TUPLES, ORDERS_WRITTEN, OUTBOX_BYTES, ROWS_CHANGED, SLOT_WAL_BYTES, WAL_BYTES, growth,
    peak,
};
use super::in_doubt::{BLOCKED_CONSUMERS_MS, BLOCKED_ORDERS_MS};
use crate::history::History;
use crate::scenario::{CostKind, Instance, Victim, is_of_kind};

/// A run's servers are asked twice a second or more often. Where one did not answer for so long, a peak may have passed unseen.
const BLIND_NS: i64 = 5_000_000_000;

/// Returns the largest value of a peak that was sampled at a time of which `counts` says so; `None` where nothing was
/// sampled then.
pub fn peak_where(history: &History, kind: CostKind, counts: impl Fn(i64) -> bool) -> Option<f64> {
    peak_of(history, kind, |at_ns, value| counts(at_ns).then_some(value))
}

/// Returns the largest of what `part` takes for a sample, of its time and value; `None` where it takes none.
pub fn peak_of(
    history: &History,
    kind: CostKind,
    part: impl Fn(i64, f64) -> Option<f64>,
) -> Option<f64> {
    let of_it = samples(history, kind).filter_map(|(at_ns, value)| part(at_ns, value));
    let values: Vec<f64> = of_it.collect();
    peak(&values)
}

/// Returns how long, in ms, the longest may have been of what is sampled as an age; `None` of what is none, or was not
/// sampled.
pub fn age_at_most_ms(history: &History, kind: CostKind) -> Option<f64> {
    if !kind.info().is_age {
        return None;
    }
    let ages: Vec<(i64, f64)> = samples(history, kind).collect();
    let ends_ns = history.samples.iter().map(|sample| sample.at_ns).max()?;
    longest_at_most_ms(ages, (history.meta.load_from_ns, ends_ns))
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
        | CostKind::BlockedOrders
        | CostKind::BlockedConsumers
        | CostKind::TimeToNormal => None,
    };
    let total = total.filter(|_| committed > 0)?;
    Some(total / committed as f64)
}

/// Returns why a figure may be larger than what was sampled; `None` where nothing is known to have passed unseen.
pub fn blind(history: &History, kind: CostKind) -> Option<String> {
    let lost_statistics = || {
        let went_back = |series| {
            let values: Vec<f64> = of_series(history, series).map(|(_, v)| v).collect();
            values.len() > 1 && growth(&values).is_none()
        };
        let is_lost = went_back(ROWS_CHANGED) || went_back(ORDERS_WRITTEN);
        is_lost.then(|| "the server's statistics went back: it lost them in a crash".to_owned())
    };
    let restarted = || {
        let anew = cpu_of_tested(history).find(|cpu| cpu.restarted);
        anew.map(|cpu| {
            format!(
                "{} was started again, and what it used since it was last sampled is not known",
                cpu.process
            )
        })
    };
    match kind {
        // A process that is not there has no memory; while it is, it is sampled. What may have passed unseen of an age is
        // a matter of its bound: see `age_at_most_ms`.
        CostKind::RelayMemoryPeak | CostKind::BlockedOrders | CostKind::BlockedConsumers => None,
        CostKind::CpuPerEvent => restarted(),
        CostKind::DeadTuplesPeak => lost_statistics().or_else(|| not_asked(history, kind)),
        CostKind::OutboxPeak | CostKind::SlotWalPeak | CostKind::WalPerEvent => {
            not_asked(history, kind)
        }
        // It takes more than samples: see `unseen_return`.
        CostKind::TimeToNormal => None,
    }
}

/// The longest time from the begin of the load on in which nothing was answered, where that is too long.
fn not_asked(history: &History, kind: CostKind) -> Option<String> {
    let ends_ns = history.samples.iter().map(|sample| sample.at_ns).max()?;
    not_asked_in(history, kind, history.meta.load_from_ns, ends_ns)
}

/// The same of the time from one moment until another.
pub(super) fn not_asked_in(
    history: &History,
    kind: CostKind,
    from_ns: i64,
    until_ns: i64,
) -> Option<String> {
    let sampled = samples(history, kind).map(|(at_ns, _)| at_ns);
    let mut times: Vec<i64> = sampled
        .filter(|at_ns| (from_ns..=until_ns).contains(at_ns))
        .collect();
    times.extend([from_ns, until_ns]);
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
        CostKind::BlockedOrders => series == BLOCKED_ORDERS_MS,
        CostKind::BlockedConsumers => series == BLOCKED_CONSUMERS_MS,
        CostKind::WalPerEvent => series == WAL_BYTES,
        CostKind::RelayMemoryPeak => series.strip_prefix("rss_bytes.").is_some_and(is_relay),
        CostKind::CpuPerEvent => cpu_series(series).is_some_and(is_tested),
    };
    let of_it = history.samples.iter().filter(move |s| of_kind(&s.series));
    of_it.map(|sample| (sample.at_ns, sample.value))
}

fn of_series<'a>(history: &'a History, series: &'a str) -> impl Iterator<Item = (i64, f64)> + 'a {
    let of_it = history.samples.iter().filter(move |s| s.series == series);
    of_it.map(|sample| (sample.at_ns, sample.value))
}

fn is_relay(name: &str) -> bool {
    is_of_kind(name, Instance::FIRST.name())
}

fn is_tested(name: &str) -> bool {
    name == Victim::OrderService.name() || is_relay(name)
}

fn cpu_of_tested(history: &History) -> impl Iterator<Item = ProcessCpu<'_>> {
    let all = cpu_of_processes(history).into_iter();
    all.filter(|cpu| is_tested(cpu.process))
}

/// CPU time of all that is tested, in microseconds; `None` where nothing of it was sampled.
fn cpu_us(history: &History) -> Option<f64> {
    let used_s = cpu_of_tested(history).map(|cpu| cpu.used_s);
    used_s.reduce(|a, b| a + b).map(|used_s| used_s * 1e6)
}
