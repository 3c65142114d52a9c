//! Whether a run's history fits into this machine's memory: a run of a day that is ended by the
//! kernel in its last hour is worse than one that is refused in its first second.

use crate::scenario::Scenario;
use std::path::Path;

/// A change's share of the history of a strategy that is over, bytes.
const KEPT_BYTES: f64 = 200.0;
/// What it takes beyond that while its strategy runs and is judged, bytes.
const WORKING_BYTES: f64 = 300.0;
const GIB: f64 = (1u64 << 30) as f64;

/// The reason why a scenario is too large, if it is.
pub fn too_large(file: &Path, scenario: &Scenario, strategies: usize) -> Option<String> {
    let problem = shortfall(scenario.workload.planned(), strategies, available_bytes()?)?;
    Some(format!("{}: {problem}", file.display()))
}

fn shortfall(changes: f64, strategies: usize, available_bytes: f64) -> Option<String> {
    let needed = changes * (WORKING_BYTES + KEPT_BYTES * strategies as f64);
    if needed <= available_bytes {
        return None;
    }
    Some(format!(
        "its history would take some {:.1} GiB of memory ({changes:.0} changes, {strategies} \
         strategies), and {:.1} GiB are available here: lower `rate` or `duration`, or run one \
         strategy at a time (--strategy NAME)",
        needed / GIB,
        available_bytes / GIB
    ))
}

/// What the machine and this process's group of processes have left.
fn available_bytes() -> Option<f64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = machine
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: f64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let limit = limit.and_then(|text| text.trim().parse::<f64>().ok());
    Some((kib * 1024.0).min(limit.unwrap_or(f64::INFINITY)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_that_does_not_fit_is_refused_with_figures_and_remedy() {
        let day = 500.0 * 86_400.0;
        assert_eq!(shortfall(day, 3, 64.0 * GIB), None);
        let text = shortfall(day, 3, 8.0 * GIB).unwrap_or_default();
        assert!(text.contains("36.2 GiB"), "{text}");
        assert!(text.contains("8.0 GiB are available"), "{text}");
        assert!(text.contains("lower `rate` or `duration`"), "{text}");
    }

    #[test]
    fn this_machine_has_some_memory() {
        assert!(available_bytes().is_some_and(|bytes| bytes > 1e6));
    }
}
