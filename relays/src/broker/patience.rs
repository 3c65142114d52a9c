//! How long whoever publishes waits for the next report before a connection is taken for dead, whatever the broker.

use std::time::Duration;

/// How long a report may stay away on a link that is not slow.
pub(super) const PATIENCE_MIN: Duration = Duration::from_secs(10);
/// No report may stay away for longer than this, however slow the link is.
pub(super) const PATIENCE_MAX: Duration = Duration::from_secs(300);
/// Bytes a second that a link is trusted to bring across, until it has shown that it does not.
const RATE_MIN: u64 = 20_000;

/// Grows with each connection in a row that was given up without a single report.
#[derive(Debug, Default)]
pub(super) struct Patience {
    fruitless: u32,
}

impl Patience {
    /// Returns how long a report may stay away that needs so many bytes across before it.
    pub(super) fn with(&self, outstanding_bytes: u64) -> Duration {
        patience(outstanding_bytes, self.fruitless)
    }

    /// Notes that a connection was given up on which so many events were taken, and so many reported.
    pub(super) fn gave_up(&mut self, taken: u64, reported: u64) {
        if reported > 0 {
            self.fruitless = 0;
        } else if taken > 0 {
            self.fruitless += 1;
        }
    }
}

/// How long a report may stay away with so many bytes on their way, after so many connections on which none came.
pub(super) fn patience(outstanding_bytes: u64, fruitless: u32) -> Duration {
    let crossing = Duration::from_millis(outstanding_bytes * 1_000 / RATE_MIN);
    (PATIENCE_MIN + crossing)
        .saturating_mul(1 << fruitless.min(10))
        .min(PATIENCE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT_MAX: u64 = 1 << 20;

    #[test]
    fn given_any_link_when_connections_are_given_up_then_patience_grows_until_the_largest_event_crosses()
     {
        for rate in [4_000, 10_000, 50_000, 500_000] {
            let needed = Duration::from_secs(EVENT_MAX / rate);
            let enough = (0..6).any(|fruitless| patience(EVENT_MAX, fruitless) > needed);
            assert!(enough, "{rate} bytes a second");
        }
        assert_eq!(patience(EVENT_MAX, u32::MAX), PATIENCE_MAX);
        // And what is small and lost is not waited for much longer than on a fast link
        assert!(patience(1_000, 0) < PATIENCE_MIN + Duration::from_secs(1));
    }

    #[test]
    fn given_connections_that_are_given_up_then_those_without_a_report_count_in_a_row() {
        let mut patience = Patience::default();
        let seconds = |patience: &Patience| patience.with(0).as_secs();
        // Where nothing was taken, no report was to come
        for (taken, reported, expected) in
            [(0, 0, 10), (5, 0, 20), (0, 0, 20), (5, 0, 40), (5, 1, 10)]
        {
            patience.gave_up(taken, reported);
            assert_eq!(seconds(&patience), expected, "{taken} {reported}");
        }
    }
}
