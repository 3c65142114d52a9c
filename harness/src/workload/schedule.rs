//! When each tick is meant to start.

use crate::scenario::Workload;

/// The intended starts are evenly spaced at the rate, after a linear ramp from 0 to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    rate: f64,
    ramp_s: f64,
    /// The ramp has so many ticks: the area under it.
    ramp_ticks: f64,
    ticks: u64,
}

impl Schedule {
    pub fn new(workload: &Workload) -> Self {
        let rate = workload.rate;
        let ramp_s = workload.ramp.as_secs_f64();
        let ramp_ticks = rate * ramp_s / 2.0;
        let duration_s = workload.duration.as_secs_f64();
        let area = if duration_s < ramp_s {
            rate * duration_s * duration_s / (2.0 * ramp_s)
        } else {
            ramp_ticks + rate * (duration_s - ramp_s)
        };
        // A whole number that floating point made a hair larger is not one tick more.
        let ticks = (area - 1e-6).ceil().max(0.0) as u64;
        Self {
            rate,
            ramp_s,
            ramp_ticks,
            ticks,
        }
    }

    /// How many ticks there are.
    pub fn ticks(&self) -> u64 {
        self.ticks
    }

    /// Returns the intended start of a tick, in nanoseconds from the start of the load.
    pub fn offset_ns(&self, tick: u64) -> i64 {
        let tick = tick as f64;
        let seconds = if tick < self.ramp_ticks {
            (2.0 * self.ramp_s * tick / self.rate).sqrt()
        } else {
            self.ramp_s + (tick - self.ramp_ticks) / self.rate
        };
        (seconds * 1e9).round() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::workload;
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn ticks_are_evenly_spaced_from_zero() {
        let schedule = Schedule::new(&workload(500.0, Duration::from_secs(12)));
        assert_eq!(schedule.ticks(), 6_000);
        assert_eq!(schedule.offset_ns(0), 0);
        assert_eq!(schedule.offset_ns(1), 2_000_000);
        assert_eq!(schedule.offset_ns(5_999), 11_998_000_000);
    }

    #[test]
    fn a_ramp_grows_to_the_rate_and_goes_on_evenly() {
        let schedule = Schedule::new(&Workload {
            ramp: Duration::from_secs(2),
            ..workload(100.0, Duration::from_secs(4))
        });
        assert_eq!(schedule.ticks(), 100 + 200);
        assert_eq!(schedule.offset_ns(25), 1_000_000_000);
        assert_eq!(schedule.offset_ns(100), 2_000_000_000);
        assert_eq!(schedule.offset_ns(101), 2_010_000_000);
    }

    proptest! {
        #[test]
        fn starts_never_go_back_and_stay_inside(
            rate in 0.1f64..100_000.0, ramp_ms in 0u64..5_000, duration_ms in 1u64..5_000
        ) {
            let duration = Duration::from_millis(duration_ms);
            let schedule = Schedule::new(&Workload {
                ramp: Duration::from_millis(ramp_ms),
                ..workload(rate, duration)
            });
            let ticks = schedule.ticks();
            let step = (ticks / 1_000).max(1) as usize;
            let offsets: Vec<i64> = (0..ticks).step_by(step).map(|i| schedule.offset_ns(i)).collect();
            prop_assert!(offsets.is_sorted());
            if let Some(last) = ticks.checked_sub(1) {
                prop_assert!(schedule.offset_ns(last) <= duration.as_nanos() as i64);
            }
            // One tick more would be outside.
            prop_assert!(schedule.offset_ns(ticks) >= duration.as_nanos() as i64 - 100_000);
        }
    }
}
