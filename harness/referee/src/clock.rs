//! The run's clock: CLOCK_MONOTONIC, in nanoseconds since the strategy's run began.

use serde::{Deserialize, Serialize};

/// The clock holds the origin of a strategy run's time line. Copy it freely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunClock {
    /// This is CLOCK_MONOTONIC at the origin, nanoseconds.
    pub origin_monotonic_ns: u64,
    /// This is the wall clock at the origin, nanoseconds since 1970 (for matching logs).
    pub origin_unix_ns: i128,
}

impl RunClock {
    /// A clock whose zero is now.
    pub fn start() -> Self {
        let unix = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| d.as_nanos() as i128);
        Self {
            origin_monotonic_ns: contract::signal::monotonic_ns(),
            origin_unix_ns: unix,
        }
    }

    /// Returns the run time that it is now: nanoseconds since the origin.
    pub fn now_ns(&self) -> i64 {
        self.at(contract::signal::monotonic_ns())
    }

    /// Returns the run time, in nanoseconds, of a CLOCK_MONOTONIC reading of any process on this host.
    pub fn at(&self, monotonic_ns: u64) -> i64 {
        monotonic_ns as i64 - self.origin_monotonic_ns as i64
    }

    /// How far wall clock and monotonic clock have drifted apart since the origin, nanoseconds:
    /// a jump of the wall clock shows here.
    pub fn wall_drift_ns(&self) -> i128 {
        let now = Self::start();
        let wall = now.origin_unix_ns - self.origin_unix_ns;
        let monotonic = i128::from(now.origin_monotonic_ns) - i128::from(self.origin_monotonic_ns);
        wall - monotonic
    }
}
