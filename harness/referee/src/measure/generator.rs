//! Whether the load generator kept its schedule.

use super::phase::Phase;
use super::recorder::Recorder;
use crate::history::History;
use crate::scenario::Workload;
use reports::record::Generator;

/// Later than this at p99, and what was measured is the generator.
pub const MAX_LAG_MS: f64 = 100.0;
/// More than this share of the plan not offered, and the load was another one.
const MAX_UNOFFERED: f64 = 0.01;
/// More than this share of a phase's requests held back, and its load was another one.
const MAX_HELD_BACK: f64 = 0.01;

/// Returns how many changes the workload plans; `None` for a rate that plans no number.
pub fn planned_changes(workload: &Workload) -> Option<f64> {
    let duration_s = workload.duration.as_secs_f64();
    // While it ramps up, the rate is half of what it will be, on average.
    let ramp_s = workload.ramp.as_secs_f64();
    let full_rate_s = if ramp_s < duration_s {
        duration_s - ramp_s / 2.0
    } else if ramp_s > 0.0 {
        duration_s * duration_s / ramp_s / 2.0
    } else {
        0.0
    };
    let planned = workload.rate * full_rate_s;
    (planned.is_finite() && planned > 0.0).then_some(planned)
}

/// How many requests were sent in a phase, and how many of them had been held back.
pub fn held_back_in(history: &History, phase: &Phase) -> HeldBack {
    let mut count = HeldBack::default();
    for request in &history.requests {
        if phase.contains(request.sent_ns) {
            count.sent += 1;
            count.held_back += u64::from(request.held_back);
        }
    }
    count
}

/// These are counts of requests, as [`held_back_in`] takes them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeldBack {
    /// This counts all requests that were sent in the phase, held back or not.
    pub sent: u64,
    /// Those that had to wait for a connection.
    pub held_back: u64,
}

impl HeldBack {
    /// Whether so many were that the load was another one.
    pub fn is_too_much(self) -> bool {
        self.held_back as f64 > self.sent as f64 * MAX_HELD_BACK
    }
}

/// Lateness and what was left out.
pub fn generator(history: &History) -> Generator {
    let mut lag = Recorder::new();
    let mut held_back = 0;
    for request in &history.requests {
        lag.record_ns(request.lag_ns);
        held_back += u64::from(request.held_back);
    }
    let lag_p99_ms = lag.percentile_ms(99.0);
    let unoffered = history.meta.unoffered;
    let planned = planned_changes(&history.meta.scenario.workload)
        .unwrap_or((history.requests.len() as u64).saturating_add(unoffered) as f64);
    Generator {
        lag_p99_ms,
        unoffered,
        kept_schedule: lag_p99_ms.is_some_and(|ms| ms <= MAX_LAG_MS)
            && unoffered as f64 <= planned * MAX_UNOFFERED,
        held_back,
    }
}
