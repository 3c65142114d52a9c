//! What processes used of the CPU, from counters that begin anew with each life of a process.

use crate::history::{History, Life};

/// Series of the CPU time that a process had used by then.
const CPU_S: &str = "cpu_s.";

/// What a process used from its first sample on, as far as that was sampled.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessCpu<'a> {
    /// This is the name of the process.
    pub process: &'a str,
    /// It used so many seconds, in all of its lives.
    pub used_s: f64,
    /// It was started again: its counter began anew, and the end of the life before was not sampled.
    pub restarted: bool,
    last: CpuReading,
}

/// What a process's counter said at a time: run time in ns, and seconds.
pub(super) type CpuReading = (i64, f64);

/// When processes were started.
pub(super) struct CpuStarts<'a>(&'a History);

impl<'a> CpuStarts<'a> {
    /// Looks them up in this history.
    pub fn of(history: &'a History) -> Self {
        Self(history)
    }

    /// Returns what a process used from one reading to the next, and whether a new life began between them: of that, all
    /// that its counter says. A life that had used more by its first reading than the one before is told by its start
    /// alone.
    pub fn used_between(
        &self,
        process: &str,
        before: CpuReading,
        after: CpuReading,
    ) -> (f64, bool) {
        let mut starts = self
            .0
            .processes
            .iter()
            .filter(|event| event.life == Life::Started && event.process == process);
        let is_new = after.1 < before.1
            || starts.any(|event| before.0 < event.at_ns && event.at_ns <= after.0);
        match is_new {
            true => (after.1, true),
            false => (after.1 - before.1, false),
        }
    }
}

/// Returns the CPU time of each process, in the order in which they were first sampled.
pub fn cpu_of_processes(history: &History) -> Vec<ProcessCpu<'_>> {
    let starts = CpuStarts::of(history);
    let mut all: Vec<ProcessCpu<'_>> = Vec::new();
    for sample in &history.samples {
        let Some(process) = cpu_series(&sample.series) else {
            continue;
        };
        let Some(cpu) = all.iter_mut().find(|cpu| cpu.process == process) else {
            all.push(ProcessCpu {
                process,
                used_s: 0.0,
                restarted: false,
                last: (sample.at_ns, sample.value),
            });
            continue;
        };
        let now = (sample.at_ns, sample.value);
        let (used_s, is_new) = starts.used_between(process, cpu.last, now);
        cpu.restarted |= is_new;
        cpu.used_s += used_s;
        cpu.last = now;
    }
    all
}

/// Returns whose CPU time a series is; `None` if it is something else.
pub(super) fn cpu_series(series: &str) -> Option<&str> {
    series.strip_prefix(CPU_S)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::checkers::fixture::{clean, naive, process};
    use crate::history::Sample;
    use proptest::prelude::*;

    /// A history in which processes were sampled by turns.
    fn sampled(of: &[(&str, Vec<f64>)]) -> History {
        let mut history = clean(1, naive());
        history.samples.clear();
        let longest = of.iter().map(|(_, values)| values.len()).max();
        for at in 0..longest.unwrap_or(0) {
            for (process, values) in of {
                let value = values.get(at).copied();
                history.samples.extend(value.map(|value| Sample {
                    series: format!("cpu_s.{process}"),
                    at_ns: at as i64,
                    value,
                }));
            }
        }
        history
    }

    proptest! {
        #[test]
        fn given_any_lives_of_a_process_then_what_it_used_is_what_a_slow_model_adds_up(
            lives in prop::collection::vec(prop::collection::vec(0_u32..50, 1..6), 1..5)
        ) {
            // Given counters that grow by whole seconds from 0 in each life, however much that has used when it is sampled
            let mut values: Vec<f64> = Vec::new();
            let mut starts_ns = Vec::new();
            let (mut used, mut restarts) = (0.0, 0);
            for (number, steps) in lives.iter().enumerate() {
                let mut counter = 0.0;
                for (at, step) in steps.iter().enumerate() {
                    counter += f64::from(*step);
                    if at == 0 {
                        starts_ns.push(values.len() as i64);
                        restarts += u32::from(number > 0);
                    }
                    if !(number == 0 && at == 0) {
                        used += f64::from(*step);
                    }
                    values.push(counter);
                }
            }
            // Then all of it counts, but for what the first life had used before it was first sampled
            let mut history = sampled(&[("relay", values), ("kafka", vec![3.0, 4.0])]);
            for at_ns in starts_ns {
                process(&mut history, "relay", at_ns, Life::Started, 0);
            }
            let all = cpu_of_processes(&history);
            let of: Vec<_> = all.iter().map(|cpu| (cpu.process, cpu.used_s, cpu.restarted)).collect();
            prop_assert_eq!(of[0], ("relay", used, restarts > 0));
            prop_assert_eq!(of[1], ("kafka", 1.0, false));
        }
    }
}
