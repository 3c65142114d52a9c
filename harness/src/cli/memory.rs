//! Whether a run's history fits into this machine's memory: a run of a day that is ended by the
//! kernel in its last hour is worse than one that is refused in its first second.

use crate::scenario::Scenario;
use std::path::Path;

/// What a change takes while its strategy runs, bytes: most while the generator's connections keep
/// their own rows, whose room doubles as they grow. Of a strategy that is judged nothing is left.
const CHANGE_BYTES: f64 = 200.0;
const GIB: f64 = (1u64 << 30) as f64;

/// The reason why a scenario is too large, if it is.
pub fn too_large(file: &Path, scenario: &Scenario) -> Option<String> {
    let problem = shortfall(scenario.workload.planned(), available_bytes()?)?;
    Some(format!("{}: {problem}", file.display()))
}

fn shortfall(changes: f64, available_bytes: f64) -> Option<String> {
    let needed = changes * CHANGE_BYTES;
    if needed <= available_bytes {
        return None;
    }
    Some(format!(
        "its history would take some {:.1} GiB of memory ({changes:.0} changes), and {:.1} GiB are \
         available here: lower `rate` or `duration`",
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
        assert_eq!(shortfall(day, 16.0 * GIB), None);
        let text = shortfall(day, 6.0 * GIB).unwrap_or_default();
        assert!(text.contains("8.0 GiB of memory"), "{text}");
        assert!(text.contains("6.0 GiB are available"), "{text}");
        assert!(text.contains("lower `rate` or `duration`"), "{text}");
    }

    #[test]
    fn this_machine_has_some_memory() {
        assert!(available_bytes().is_some_and(|bytes| bytes > 1e6));
    }
}
