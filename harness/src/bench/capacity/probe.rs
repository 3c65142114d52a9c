//! Whether a run sustained its rate, from its record; and if not, what gave way.

use crate::bench::latency;
use reports::record::Strategy;

/// The backlog may grow over the load's second half by what comes in this many seconds.
const GROWTH_MAX_S: f64 = 0.1;
/// Answers may fall behind the offered changes by this share: rollbacks are answered too, but not
/// acknowledged.
const BEHIND_MAX: f64 = 0.10;
/// A process that used this much of one core had no more to give, if it works on one core.
const BUSY: f64 = 0.8;

/// What one probe says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Probe {
    /// Why the rate was not sustained; nothing if it was.
    pub saturated: Option<String>,
    /// Work that was not done right.
    pub wrong: Vec<String>,
    /// Why the run proved nothing about it.
    pub doubts: Vec<String>,
}

impl Probe {
    /// A run without a record of its strategy.
    pub fn nothing() -> Self {
        Self {
            saturated: Some("nothing was recorded".to_owned()),
            ..Self::default()
        }
    }
}

/// Judges a run of `rate` changes a second for `seconds`.
pub(super) fn judge(strategy: &Strategy, rate: f64, seconds: u32) -> Probe {
    let problems = latency::problems(strategy);
    Probe {
        saturated: saturated(strategy, rate, seconds),
        wrong: problems.wrong,
        doubts: problems.doubts,
    }
}

fn saturated(strategy: &Strategy, rate: f64, seconds: u32) -> Option<String> {
    let generator = &strategy.generator;
    let answered = strategy.throughput_per_s.unwrap_or(0.0);
    if answered < rate * (1.0 - BEHIND_MAX) {
        let service = cores(strategy, "order-service", seconds);
        return Some(format!(
            "the order path gave way: {answered:.0} acknowledged a second, {}",
            service.map_or_else(
                || "its CPU time is not known".to_owned(),
                |cores| { format!("the order service used {cores:.2} cores") }
            )
        ));
    }
    if !generator.kept_schedule || generator.unoffered > 0 {
        return Some(format!(
            "the generator was behind: lag p99 {} ms, {} changes not offered",
            generator
                .lag_p99_ms
                .map_or_else(|| "unknown".to_owned(), |ms| format!("{ms:.1}")),
            generator.unoffered
        ));
    }
    let growth = growth_per_s(&strategy.series.backlog, strategy.series.bin_s, seconds)?;
    if growth * f64::from(seconds) / 2.0 <= rate * GROWTH_MAX_S {
        return None;
    }
    let relay = match cores(strategy, "relay", seconds) {
        Some(cores) if cores >= BUSY => {
            format!("its CPU is what it lacks, it used {cores:.2} cores")
        }
        Some(cores) => {
            format!("it waited for the database or the broker, it used {cores:.2} cores")
        }
        None => "its CPU time is not known".to_owned(),
    };
    Some(format!(
        "the relay gave way: the backlog grew by {growth:.0} a second; {relay}"
    ))
}

/// Cores that a process used over the load, about: its time before and after the load is in it.
fn cores(strategy: &Strategy, process: &str, seconds: u32) -> Option<f64> {
    let used = strategy.costs.get(&format!("{process} cpu, s"))?.as_ref()?;
    Some(used / f64::from(seconds.max(1)))
}

/// Slope of the line of least squares through the backlog of the load's second half; nothing for
/// fewer than two bins.
fn growth_per_s(backlog: &[f64], bin_s: f64, seconds: u32) -> Option<f64> {
    let bins = ((f64::from(seconds) / bin_s) as usize).min(backlog.len());
    let half = &backlog[bins / 2..bins];
    let count = half.len() as f64;
    if half.len() < 2 {
        return None;
    }
    let mean_at = (count - 1.0) / 2.0;
    let mean = half.iter().sum::<f64>() / count;
    let (mut above, mut below) = (0.0, 0.0);
    for (at, value) in half.iter().enumerate() {
        let off = at as f64 - mean_at;
        above += off * (value - mean);
        below += off * off;
    }
    Some(above / below / bin_s)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_that_of_the_second_half_of_the_load() {
        // A start that piles up, then a steady backlog, and after the load a drain.
        let bounded: Vec<f64> = [0.0, 500.0, 900.0]
            .into_iter()
            .chain([900.0; 5])
            .chain([0.0; 9])
            .collect();
        assert!(growth_per_s(&bounded, 0.5, 4).unwrap().abs() < 1e-9);
        let growing: Vec<f64> = (0..8).map(|n| f64::from(n) * 100.0).collect();
        assert!((growth_per_s(&growing, 0.5, 4).unwrap() - 200.0).abs() < 1e-9);
        assert_eq!(growth_per_s(&[1.0], 0.5, 4), None);
    }
}
