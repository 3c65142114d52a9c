//! Speed while failing: what each strategy did while a fault was in force, beside what it did before the first one, in
//! the same runs. It is shown, and asked nothing: each figure more that is asked costs all the others pairs.

use super::metrics::{ENDLESS, SIGHT_MS, percentile};
use super::rows::side;
use crate::scenario::is_of_kind;
use crate::statistics::median;
use reports::compare::{Better, FailingArm, FailingRow};
use reports::record::{Phase, PhaseWork, Strategy};

/// This is one figure of a phase, as a time with a fault in force is compared with one without.
struct PhaseMetric {
    id: &'static str,
    name: &'static str,
    unit: &'static str,
    better: Better,
    /// What is smaller counts as this.
    resolution: f64,
    of: fn(&Phase, &PhaseWork) -> Option<f64>,
}

const METRICS: [PhaseMetric; 4] = [
    PhaseMetric {
        id: "events",
        name: "events",
        unit: "/s",
        better: Better::Higher,
        resolution: 0.1,
        of: |_, work| (work.lasted_s > 0.0).then_some(work.events? as f64 / work.lasted_s),
    },
    PhaseMetric {
        id: "end_to_end_p99",
        name: "end to end p99",
        unit: "ms",
        better: Better::Lower,
        resolution: SIGHT_MS,
        of: |phase, _| percentile(&phase.latency_ms.end_to_end, |l| l.p99),
    },
    PhaseMetric {
        id: "relay_cpu",
        name: "relay CPU, event",
        unit: "µs",
        better: Better::Lower,
        resolution: 0.1,
        of: |_, work| cpu_us(work, "relay"),
    },
    PhaseMetric {
        id: "service_cpu",
        name: "service CPU, event",
        unit: "µs",
        better: Better::Lower,
        resolution: 0.1,
        of: |_, work| cpu_us(work, "order-service"),
    },
];

/// What a process used is shared out among so many events at least: the few that slip through as a link is cut would
/// each seem to have cost all of it.
const FEWEST_EVENTS: u64 = 100;

/// CPU time by event that was seen meanwhile, microseconds.
fn cpu_us(work: &PhaseWork, process: &str) -> Option<f64> {
    let events = work.events.filter(|events| *events >= FEWEST_EVENTS)?;
    let of_kind = work
        .cpu_s
        .iter()
        .filter(|(name, _)| is_of_kind(name, process));
    let seconds = of_kind.map(|(_, seconds)| *seconds).reduce(|a, b| a + b)?;
    Some(seconds * 1e6 / events as f64)
}

/// The rows of every time with a fault in force, those that no run has a figure of left out.
pub fn rows(base: &[&Strategy], new: &[&Strategy]) -> Vec<FailingRow> {
    let mut rows = Vec::new();
    for during in times(base.iter().chain(new)) {
        for metric in &METRICS {
            let [base, new] = [base, new].map(|runs| arm(runs, during, metric));
            let is_known = |arm: &FailingArm| arm.during.min.is_some() || arm.during.never > 0;
            if is_known(&base) || is_known(&new) {
                rows.push(FailingRow {
                    during: during.to_owned(),
                    metric: metric.id.to_owned(),
                    name: metric.name.to_owned(),
                    unit: metric.unit.to_owned(),
                    better: metric.better,
                    base,
                    new,
                });
            }
        }
    }
    rows
}

/// Returns the names of the times with a fault in force, each once.
fn times<'a>(runs: impl Iterator<Item = &'a &'a Strategy>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for (phase, work) in runs.flat_map(|run| worked(run)) {
        if !work.faults.is_empty() && !names.contains(&phase.name.as_str()) {
            names.push(&phase.name);
        }
    }
    names
}

fn arm(runs: &[&Strategy], during: &str, metric: &PhaseMetric) -> FailingArm {
    let failing =
        |run: &Strategy| figure(worked(run).find(|(phase, _)| phase.name == during), metric);
    // What comes after a fault catches up with what it held back, and says nothing of a time without one.
    let without = |run: &Strategy| {
        let first = worked(run).next();
        figure(first.filter(|(_, work)| work.faults.is_empty()), metric)
    };
    let ratios = runs.iter().filter(|run| run.generator.kept_schedule);
    let mut ratios: Vec<f64> = ratios
        .filter_map(|run| ratio(metric, without(run)?, failing(run)?))
        .collect();
    ratios.sort_by(f64::total_cmp);
    FailingArm {
        during: side(runs, failing),
        without: side(runs, without),
        change: (!ratios.is_empty()).then(|| median(&ratios).exp_m1()),
    }
}

fn worked(run: &Strategy) -> impl Iterator<Item = (&Phase, &PhaseWork)> {
    let phases = run.phases.iter();
    phases.filter_map(|phase| Some((phase, phase.work.as_ref()?)))
}

fn figure(of: Option<(&Phase, &PhaseWork)>, metric: &PhaseMetric) -> Option<f64> {
    let (phase, work) = of?;
    (metric.of)(phase, work)
}

/// Returns, in logarithms, how much larger the figure was during the fault than without; `None` where neither ever
/// came.
fn ratio(metric: &PhaseMetric, without: f64, during: f64) -> Option<f64> {
    if without.is_infinite() && during.is_infinite() {
        return None;
    }
    let log = |value: f64| value.max(metric.resolution).ln();
    Some((log(during) - log(without)).clamp(-ENDLESS, ENDLESS))
}
