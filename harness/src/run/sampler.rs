//! Named series over time, a few samples a second: the clocks, CPU and memory of the processes, and
//! what the outbox costs the database. A sample that cannot be taken (a database that is down) is left out.

mod prepared;

use crate::clock::RunClock;
use crate::database::{Costs, Layout, OwnSchema};
use crate::history::{Sample, WALL_DRIFT_NS};
use crate::process::Child;
use std::time::Duration;
use tokio::sync::watch;

const EVERY: Duration = Duration::from_millis(500);

/// A sampler takes the samples of one strategy's run, of its processes and its database.
pub(crate) struct Sampler {
    /// This clock gives the run time (ns) of each sample.
    pub clock: RunClock,
    /// These are the processes to sample, each with its name; the harness itself is always sampled.
    pub processes: Vec<Child>,
    /// This is where its two-phase commits are prepared, if it makes any.
    pub own_schema: OwnSchema,
    /// What it has in its database.
    pub layout: Layout,
}

impl Sampler {
    /// Samples until `stop` turns true (or its sender is gone), and once more then. A database that does not answer
    /// keeps nobody from looking at the processes.
    pub async fn run(self, costs: Box<dyn Costs>, stop: watch::Receiver<bool>) -> Vec<Sample> {
        let (mut samples, of_database, of_prepared) = tokio::join!(
            self.of_processes(stop.clone()),
            self.of_database(costs, stop.clone()),
            self.of_prepared(stop)
        );
        samples.extend(of_database);
        samples.extend(of_prepared);
        samples.sort_by_key(|sample| sample.at_ns);
        samples
    }

    async fn of_processes(&self, mut stop: watch::Receiver<bool>) -> Vec<Sample> {
        let mut samples = Vec::new();
        loop {
            samples.push(drift(&self.clock));
            self.processes(&mut samples);
            if has_ended(&mut stop, EVERY).await {
                return samples;
            }
        }
    }

    async fn of_database(
        &self,
        mut costs: Box<dyn Costs>,
        mut stop: watch::Receiver<bool>,
    ) -> Vec<Sample> {
        let mut samples = Vec::new();
        loop {
            let read = costs.read().await;
            let at_ns = self.clock.now_ns();
            samples.extend(read.into_iter().map(|(series, value)| Sample {
                series: series.to_owned(),
                at_ns,
                value,
            }));
            if has_ended(&mut stop, EVERY).await {
                return samples;
            }
        }
    }

    fn processes(&self, samples: &mut Vec<Sample>) {
        let at_ns = self.clock.now_ns();
        let mut sample = |name: &str, pid: u32| {
            let Some(usage) = usage(pid) else { return };
            samples.push(Sample {
                series: format!("cpu_s.{name}"),
                at_ns,
                value: usage.cpu_s,
            });
            samples.push(Sample {
                series: format!("rss_bytes.{name}"),
                at_ns,
                value: usage.rss_bytes,
            });
        };
        sample("harness", std::process::id());
        for child in &self.processes {
            if let Some(pid) = child.pid() {
                sample(child.name(), pid);
            }
        }
    }
}

/// Whether that was the last sample; waits for the time of the next one.
async fn has_ended(stop: &mut watch::Receiver<bool>, every: Duration) -> bool {
    if *stop.borrow() {
        return true;
    }
    let stopped = tokio::time::timeout(every, stop.wait_for(|s| *s)).await;
    matches!(stopped, Ok(Err(_)))
}

/// Samples by how much the wall clock has drifted from the monotonic clock, in ns, now.
fn drift(clock: &RunClock) -> Sample {
    Sample {
        series: WALL_DRIFT_NS.to_owned(),
        at_ns: clock.now_ns(),
        value: clock.wall_drift_ns() as f64,
    }
}

/// What a process has used.
pub(crate) struct Usage {
    /// This is its user and system time since its start, in seconds.
    pub cpu_s: f64,
    /// Memory it has now.
    pub rss_bytes: f64,
}

/// Reads what a process has used from /proc/PID/stat (fields 14, 15 and 24, proc(5)); `None` where it cannot.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let field = |number: usize| {
        after_name
            .split_whitespace()
            .nth(number - 3)?
            .parse::<f64>()
            .ok()
    };
    let ticks_per_s = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()?? as f64;
    let page_bytes = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()?? as f64;
    Some(Usage {
        cpu_s: (field(14)? + field(15)?) / ticks_per_s,
        rss_bytes: field(24)? * page_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_wall_clock_that_jumped_then_a_sample_shows_by_how_much() {
        let mut clock = RunClock::start();
        assert!(drift(&clock).value.abs() < 1e9);
        // As if it had stood an hour earlier at the begin: it jumped an hour ahead since.
        clock.origin_unix_ns -= 3_600_000_000_000;
        let sample = drift(&clock);
        assert_eq!(sample.series, WALL_DRIFT_NS);
        assert!((sample.value - 3.6e12).abs() < 1e9, "{}", sample.value);
    }
}
