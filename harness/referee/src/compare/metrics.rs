//! What is compared: a metric is a line here.

use crate::scenario::is_of_kind;
use reports::compare::Better;
use reports::record::{Fault, Latency, Strategy};

/// A metric is one figure of a run, by which runs are compared.
#[derive(Debug)]
pub struct CompareMetric {
    /// As `--metrics` takes it.
    pub id: &'static str,
    /// This is how a comparison shown to people calls the figure.
    pub name: &'static str,
    /// This is the unit of the figure: ms, s, µs, /s, MiB or B.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// What is smaller counts as this: the clock, the observer or the counter knows no less.
    pub resolution: f64,
    /// Where a record has it: infinite where it falls on what never arrived, `None` where it was not measured.
    pub of: fn(&Strategy) -> Option<f64>,
}

const fn lower(
    id: &'static str,
    name: &'static str,
    unit: &'static str,
    resolution: f64,
    of: fn(&Strategy) -> Option<f64>,
) -> CompareMetric {
    CompareMetric {
        id,
        name,
        unit,
        better: Better::Lower,
        resolution,
        of,
    }
}

/// A live sight of an event is no more exact than this, nor is a request's end: milliseconds.
pub(super) const SIGHT_MS: f64 = 0.05;
/// The same for what lasts until something was seen: seconds.
const SIGHT_S: f64 = 0.005;
const PAGE_BYTES: f64 = 8192.0;

/// These are all figures that can be compared, those that users feel first.
pub const METRICS: [CompareMetric; 16] = [
    lower("end_to_end_p50", "end to end p50", "ms", SIGHT_MS, |s| {
        percentile(&s.latency_ms.end_to_end, |l| l.p50)
    }),
    lower("end_to_end_p99", "end to end p99", "ms", SIGHT_MS, |s| {
        percentile(&s.latency_ms.end_to_end, |l| l.p99)
    }),
    lower("propagation_p50", "propagation p50", "ms", SIGHT_MS, |s| {
        percentile(&s.latency_ms.propagation, |l| l.p50)
    }),
    lower("propagation_p99", "propagation p99", "ms", SIGHT_MS, |s| {
        percentile(&s.latency_ms.propagation, |l| l.p99)
    }),
    lower("order_p50", "order p50", "ms", SIGHT_MS, |s| {
        percentile(&s.latency_ms.order, |l| l.p50)
    }),
    lower("order_p99", "order p99", "ms", SIGHT_MS, |s| {
        percentile(&s.latency_ms.order, |l| l.p99)
    }),
    CompareMetric {
        better: Better::Higher,
        ..lower("throughput", "throughput", "/s", 0.1, |s| {
            s.throughput_per_s
        })
    },
    lower("drain", "drain", "s", SIGHT_S, |s| {
        s.drain_s.or_else(|| never(s))
    }),
    lower("recovery", "recovery", "s", SIGHT_S, |s| {
        s.recovery_s.or_else(|| never(s).filter(|_| is_healed(s)))
    }),
    lower("relay_cpu", "relay CPU, event", "µs", 0.1, |s| {
        cpu_us(s, "relay")
    }),
    lower("service_cpu", "service CPU, event", "µs", 0.1, |s| {
        cpu_us(s, "order-service")
    }),
    lower("relay_memory", "relay memory, peak", "MiB", 0.1, |s| {
        memory_mib(s, "relay")
    }),
    lower("service_memory", "service memory, peak", "MiB", 0.1, |s| {
        memory_mib(s, "order-service")
    }),
    lower("wal", "WAL, event", "B", 1.0, |s| {
        s.database.wal_bytes.per_event
    }),
    lower("outbox", "outbox table, peak", "B", PAGE_BYTES, |s| {
        s.database.outbox_peak_bytes.total
    }),
    lower("slot_wal", "slot WAL, peak", "B", PAGE_BYTES, |s| {
        s.database.slot_wal_peak_bytes.total
    }),
];

/// Where a percentile is null although there was something to measure, it falls on what never arrived.
pub(super) fn percentile(latency: &Latency, of: fn(&Latency) -> Option<f64>) -> Option<f64> {
    of(latency).or_else(|| (latency.count > 0 && latency.censored > 0).then_some(f64::INFINITY))
}

/// What lasts until all has come has no end where some of it never did.
fn never(s: &Strategy) -> Option<f64> {
    (s.latency_ms.end_to_end.censored > 0).then_some(f64::INFINITY)
}

/// Whether there was something to recover from: a fault that concerns the strategy was in force, and none stayed so.
fn is_healed(s: &Strategy) -> bool {
    let concerns = |fault: &&Fault| fault.bit.is_some() && fault.injected_s.is_some();
    let mut faults = s.faults.iter().filter(concerns).peekable();
    faults.peek().is_some() && faults.all(|fault| fault.healed_s.is_some())
}

/// Returns a cost of a process and of the others of its kind, as `add` puts them together; `None` where one was not
/// measured.
fn cost(s: &Strategy, process: &str, cost: &str, add: fn(f64, f64) -> f64) -> Option<f64> {
    let mut of_kind = s.costs.iter().filter_map(|(name, value)| {
        let name = name.strip_suffix(cost)?;
        is_of_kind(name, process).then_some(*value)
    });
    let first = of_kind.next()??;
    of_kind.try_fold(first, |sum, value| Some(add(sum, value?)))
}

/// Returns the CPU time for each committed change, microseconds.
fn cpu_us(s: &Strategy, process: &str) -> Option<f64> {
    let committed = s.counts.committed.filter(|committed| *committed > 0)?;
    let seconds = cost(s, process, " cpu, s", |a, b| a + b)?;
    Some(seconds * 1e6 / committed as f64)
}

fn memory_mib(s: &Strategy, process: &str) -> Option<f64> {
    cost(s, process, " peak memory, MiB", f64::max)
}

impl CompareMetric {
    /// Returns how much more the second costs than the first, in logarithms: above 0 is worse. It is `None` where one
    /// was not measured, or neither ever came.
    pub fn worse_by(&self, base: &Strategy, new: &Strategy) -> Option<f64> {
        let (base, new) = ((self.of)(base)?, (self.of)(new)?);
        if base.is_nan() || new.is_nan() || base.is_infinite() && new.is_infinite() {
            return None;
        }
        let log = |value: f64| value.max(self.resolution).ln();
        let more = (log(new) - log(base)).clamp(-ENDLESS, ENDLESS);
        Some(match self.better {
            Better::Lower => more,
            Better::Higher => -more,
        })
    }

    /// The change of the figure itself, as a share, of what is so much worse in logarithms.
    pub fn change(&self, worse_by: f64) -> f64 {
        match self.better {
            Better::Lower => worse_by.exp_m1(),
            Better::Higher => (-worse_by).exp_m1(),
        }
    }

    /// In logarithms, what is worse by this share.
    pub fn limit(&self, share: f64) -> f64 {
        match self.better {
            Better::Lower => share.ln_1p(),
            Better::Higher => -(-share).ln_1p(),
        }
    }
}

/// Stands, in logarithms, between what came and what never did.
pub(super) const ENDLESS: f64 = 200.0;

/// Returns the metrics of these names, in the table's order, or all; the error names the first that is none.
pub fn chosen(names: &[String]) -> Result<Vec<&'static CompareMetric>, String> {
    let unknown = names
        .iter()
        .find(|name| METRICS.iter().all(|m| m.id != **name));
    if let Some(unknown) = unknown {
        let all = METRICS.each_ref().map(|m| m.id).join(", ");
        return Err(format!(
            "{unknown} is no metric that is compared; there are {all}"
        ));
    }
    let is_chosen =
        |metric: &&CompareMetric| names.is_empty() || names.iter().any(|n| n == metric.id);
    Ok(METRICS.iter().filter(is_chosen).collect())
}
