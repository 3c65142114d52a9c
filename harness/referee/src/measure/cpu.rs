//! What processes used of the CPU, from counters that begin anew with each life of a process.

use crate::history::History;

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
    last_s: f64,
}

/// Returns the CPU time of each process, in the order in which they were first sampled.
pub fn cpu_of_processes(history: &History) -> Vec<ProcessCpu<'_>> {
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
                last_s: sample.value,
            });
            continue;
        };
        cpu.restarted |= sample.value < cpu.last_s;
        cpu.used_s += used_between(cpu.last_s, sample.value);
        cpu.last_s = sample.value;
    }
    all
}

/// Returns whose CPU time a series is; `None` if it is something else.
pub(super) fn cpu_series(series: &str) -> Option<&str> {
    series.strip_prefix(CPU_S)
}

/// Returns what was used from one sample to the next: of a new life, all that its counter says.
pub(super) fn used_between(before_s: f64, after_s: f64) -> f64 {
    match after_s < before_s {
        true => after_s,
        false => after_s - before_s,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::checkers::fixture::{clean, naive};
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
            // Given counters that grow by whole seconds from 0 in each life, and start below where the last one ended
            let mut values: Vec<f64> = Vec::new();
            let (mut used, mut restarts) = (0.0, 0);
            for (number, steps) in lives.iter().enumerate() {
                let mut counter = 0.0;
                for (at, step) in steps.iter().enumerate() {
                    counter += f64::from(*step);
                    let last = values.last().copied();
                    if number > 0 && at == 0 {
                        // What begins no lower cannot be told from the life before
                        prop_assume!(last.is_some_and(|last| counter < last));
                        restarts += 1;
                    }
                    if !(number == 0 && at == 0) {
                        used += f64::from(*step);
                    }
                    values.push(counter);
                }
            }
            // Then all of it counts, but for what the first life had used before it was first sampled
            let history = sampled(&[("relay", values), ("kafka", vec![3.0, 4.0])]);
            let all = cpu_of_processes(&history);
            let of: Vec<_> = all.iter().map(|cpu| (cpu.process, cpu.used_s, cpu.restarted)).collect();
            prop_assert_eq!(of[0], ("relay", used, restarts > 0));
            prop_assert_eq!(of[1], ("kafka", 1.0, false));
        }
    }
}
