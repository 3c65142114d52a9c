//! How hard a service tries that publishes by itself.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// No pause before a retry is longer.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A publish that failed is made again in this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishPolicy {
    /// So many times a publish that failed is made again.
    pub retries: u32,
    /// This is the pause before the first retry, in milliseconds; each further one is twice as long.
    pub backoff_ms: u64,
    /// Whether the broker is told which records are repeated by the client library itself (Kafka's idempotent
    /// producer). It knows nothing of retries.
    pub idempotent_producer: bool,
}

impl Default for PublishPolicy {
    fn default() -> Self {
        Self {
            retries: 0,
            backoff_ms: 100,
            idempotent_producer: true,
        }
    }
}

impl PublishPolicy {
    /// Returns the pause before a retry; the first is number 1.
    pub fn pause_before(self, retry: u32) -> Duration {
        let doublings = retry.saturating_sub(1).min(20);
        let pause = Duration::from_millis(self.backoff_ms).saturating_mul(1 << doublings);
        pause.min(LONGEST_PAUSE)
    }

    /// Returns how long all of it takes at most, where one publish takes no longer than `one`.
    pub fn within(self, one: Duration) -> Duration {
        let pauses = (1..=self.retries).map(|retry| self.pause_before(retry));
        pauses.fold(one, |sum, pause| {
            sum.saturating_add(pause).saturating_add(one)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_retries_when_they_are_summed_then_each_pause_is_twice_the_last_and_bounded() {
        let ms = Duration::from_millis;
        let policy = PublishPolicy {
            retries: 3,
            backoff_ms: 100,
            ..PublishPolicy::default()
        };
        assert_eq!(policy.pause_before(3), ms(400));
        assert_eq!(policy.pause_before(u32::MAX), LONGEST_PAUSE);
        assert_eq!(policy.within(ms(50)), ms(4 * 50 + 100 + 200 + 400));
        assert_eq!(PublishPolicy::default().within(ms(50)), ms(50));
    }
}
