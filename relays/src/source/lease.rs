//! How long the server goes without a word of a relay before it ends its session; learned.
//!
//! A session that ends too early is a session whose work is done again: on a link on which one answer takes longer
//! than the lease, nothing would ever be confirmed. So each loss that the lease can have caused doubles it,
//! and what becomes durable over a quick link halves it again.

use std::time::Duration;

/// Of a relay that nobody waits for. None is longer.
const LONG: Duration = Duration::from_secs(30);
/// Of one of several, as long as the link is quick: so long the others wait when it hangs.
const SHORT: Duration = Duration::from_secs(3);
/// The lease is halved only where no answer took more than this share of it: the half is then twice as long as
/// an answer.
const QUICK: u32 = 4;
/// A relay that has nothing to ask asks something so often within it.
const RENEWALS: u32 = 6;

/// How long nothing may be heard of a relay before the server ends its session, and with it what it holds.
/// The kernel of a relay that hangs answers keepalives all the same, so only this ends its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionLease {
    least: Duration,
    term: Duration,
}

impl SessionLease {
    /// Of a relay that nobody waits for.
    pub(crate) const ALONE: Self = Self {
        least: LONG,
        term: LONG,
    };
    /// This is the lease of a relay that is one of several.
    pub(crate) const OF_SEVERAL: Self = Self {
        least: SHORT,
        term: SHORT,
    };

    /// Of a relay that is one of several, or alone.
    pub(crate) fn of(one_of_several: bool) -> Self {
        match one_of_several {
            true => Self::OF_SEVERAL,
            false => Self::ALONE,
        }
    }

    /// How long it is.
    pub(crate) fn term(self) -> Duration {
        self.term
    }

    /// Whether it is as short as it gets.
    pub(crate) fn is_least(self) -> bool {
        self.term == self.least
    }

    /// So often at least something is to be heard of the relay.
    pub(crate) fn renewal(self) -> Duration {
        self.term / RENEWALS
    }

    /// As the server has it, in milliseconds.
    pub(crate) fn setting(self) -> String {
        self.term.as_millis().to_string()
    }

    /// Returns the settings of an SQL session with this lease: each name, and the time in milliseconds.
    pub(crate) fn settings(self) -> [(&'static str, String); 2] {
        [
            "idle_in_transaction_session_timeout",
            "idle_session_timeout",
        ]
        .map(|name| (name, self.setting()))
    }

    /// A session of this lease was lost, of which the server had heard nothing for up to `silence`. If the
    /// lease can have been the reason, the next one is twice as long.
    pub(crate) fn lost(&mut self, silence: Duration) {
        if silence >= self.term / 2 {
            self.term = (2 * self.term).min(LONG);
        }
    }

    /// Something became durable and was confirmed, and what came of the database before that took `slowest` at
    /// most. Where that is quick, the next lease is half as long.
    pub(crate) fn progressed(&mut self, slowest: Duration) {
        if slowest <= self.term / QUICK {
            self.term = (self.term / 2).max(self.least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn given_answers_that_take_longer_when_sessions_are_lost_then_each_next_lease_is_twice_as_long()
    {
        let mut lease = SessionLease::OF_SEVERAL;
        let mut terms = Vec::new();
        for _ in 0..6 {
            terms.push(lease.term().as_secs());
            lease.lost(lease.term());
        }
        assert_eq!(terms, [3, 6, 12, 24, 30, 30]);
    }

    #[test]
    fn given_a_long_lease_when_work_goes_on_over_a_quick_link_then_it_is_short_again() {
        let mut lease = SessionLease::OF_SEVERAL;
        for _ in 0..6 {
            lease.lost(lease.term());
        }
        let mut terms = Vec::new();
        for _ in 0..5 {
            lease.progressed(Duration::from_millis(5));
            terms.push(lease.term().as_millis());
        }
        assert_eq!(terms, [15_000, 7_500, 3_750, 3_000, 3_000]);
        assert!(lease.is_least());
    }

    #[test]
    fn given_a_session_that_ends_while_much_is_heard_of_it_then_the_lease_stays() {
        let mut lease = SessionLease::OF_SEVERAL;
        lease.lost(Duration::from_millis(400));
        assert!(lease.is_least());
    }

    #[test]
    fn given_a_relay_alone_when_its_session_is_lost_then_its_lease_stays() {
        let mut lease = SessionLease::ALONE;
        lease.lost(Duration::from_secs(40));
        lease.progressed(Duration::ZERO);
        assert_eq!(lease, SessionLease::ALONE);
    }

    proptest! {
        /// Whatever an answer takes, as long as the longest lease bears it: a few sessions are lost, and from
        /// then on none.
        #[test]
        fn given_a_link_of_any_speed_when_sessions_are_lost_then_they_are_few(answer_ms in 0_u64..30_000) {
            let answer = Duration::from_millis(answer_ms);
            let mut lease = SessionLease::OF_SEVERAL;
            let mut losses = 0;
            for _ in 0..100 {
                if answer < lease.term() {
                    lease.progressed(answer);
                } else {
                    lease.lost(answer);
                    losses += 1;
                }
            }
            prop_assert!(losses <= 4, "{losses}");
            prop_assert!(answer < lease.term());
        }
    }
}
