//! What a child and everything below it has used so far.

use crate::process::Child;
use crate::run::sampler;

/// A living tree of processes has used this CPU time and memory so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Used {
    pub cpu_s: f64,
    /// This is the sum of the processes' own peaks, in MiB.
    pub peak_mib: f64,
}

/// `None` once it is dead.
pub(super) fn of(child: &Child) -> Option<Used> {
    let mut used = Used::default();
    let tree = child.tree();
    for pid in &tree {
        used.cpu_s += sampler::usage(*pid)?.cpu_s;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        used.peak_mib += peak_kib(&status)? / 1024.0;
    }
    (!tree.is_empty()).then_some(used)
}

fn peak_kib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_status() {
        assert_eq!(
            peak_kib("VmPeak: 1 kB\nVmHWM:\t    9216 kB\n"),
            Some(9216.0)
        );
        assert_eq!(peak_kib("Name: zombie\n"), None);
    }
}
