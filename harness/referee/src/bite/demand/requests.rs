//! Requests that a fault met. What failed before it, or for another reason, is none of them.

use super::{BASELINE_NS, Demand};
use crate::history::{Intent, Outcome, Request};

impl Demand<'_> {
    /// Requests that were on their way when the order service died between these two moments, and
    /// broke off: no answer of any kind, though their time was not up.
    pub fn cut_off(&self, from_ns: i64, until_ns: i64) -> usize {
        self.count(|r| {
            r.sent_ns <= until_ns
                && r.ended_ns >= from_ns
                && r.outcome == Outcome::Unknown
                && r.status == 0
                && !self.timed_out(r)
        })
    }

    /// Counts requests that found nobody who listened, in this time.
    pub fn refused(&self, from_ns: i64, until_ns: i64) -> usize {
        self.count(|r| r.outcome == Outcome::NotSent && (from_ns..=until_ns).contains(&r.sent_ns))
    }

    /// Counts requests sent and not yet answered at this moment.
    pub fn in_flight(&self, at_ns: i64) -> usize {
        self.count(|r| r.outcome != Outcome::NotSent && r.sent_ns <= at_ns && r.ended_ns > at_ns)
    }

    /// Requests sent in this time that got no answer in it, or none at all, and those that had just
    /// been sent when it began and waited through it, or failed in it before their time was up. None,
    /// where requests failed before it as well: then it is not what made them fail.
    pub fn hung(&self, from_ns: i64, until_ns: i64) -> usize {
        if self.failed_before(from_ns) {
            return 0;
        }
        let usual_ns = self.usual_ns(from_ns);
        self.count(|r| {
            let told_nothing = r.outcome == Outcome::Unknown;
            let waited_through = r.ended_ns - self.own_hold_ns(r) > until_ns;
            if r.outcome == Outcome::NotSent || r.sent_ns > until_ns {
                false
            } else if r.sent_ns >= from_ns {
                told_nothing || waited_through
            } else if r.ended_ns > until_ns {
                waited_through && from_ns - r.sent_ns <= usual_ns
            } else {
                told_nothing && r.ended_ns >= from_ns && !self.timed_out(r)
            }
        })
    }

    /// The longest that requests answered in the second before this moment had taken.
    fn usual_ns(&self, at_ns: i64) -> i64 {
        let baseline = at_ns.saturating_sub(BASELINE_NS)..at_ns;
        self.history
            .requests
            .iter()
            .filter(|r| matches!(r.outcome, Outcome::Committed | Outcome::Rejected))
            .filter(|r| baseline.contains(&r.ended_ns))
            .map(|r| r.ended_ns.saturating_sub(r.sent_ns))
            .max()
            .unwrap_or(BASELINE_NS)
    }

    /// Counts requests sent in this time that were answered, and took longer than any did before, and than `least_ns`
    /// nanoseconds.
    pub fn answered_late(&self, from_ns: i64, until_ns: i64, least_ns: i64) -> usize {
        let usual_ns = self.usual_ns(from_ns).max(least_ns);
        self.count(|r| {
            let took_ns = r.ended_ns.saturating_sub(r.sent_ns) - self.own_hold_ns(r);
            let answered = matches!(r.outcome, Outcome::Committed | Outcome::Rejected);
            answered && (from_ns..=until_ns).contains(&r.sent_ns) && took_ns > usual_ns
        })
    }

    /// Requests sent in this time that were never told anything, where none was left so before it.
    pub fn never_answered(&self, from_ns: i64, until_ns: i64) -> usize {
        let told_nothing = |r: &Request| r.outcome == Outcome::Unknown;
        let baseline = from_ns.saturating_sub(BASELINE_NS)..from_ns;
        if self.count(|r| told_nothing(r) && baseline.contains(&r.ended_ns)) > 0 {
            return 0;
        }
        self.count(|r| told_nothing(r) && (from_ns..=until_ns).contains(&r.sent_ns))
    }

    /// Requests acknowledged that were sent from this moment on.
    pub fn acknowledged_since(&self, from_ns: i64) -> usize {
        self.count(|r| r.outcome == Outcome::Committed && r.sent_ns >= from_ns)
    }

    /// Whether requests ended in the second before this moment, and none of them was given an answer.
    pub fn failed_before(&self, at_ns: i64) -> bool {
        let baseline = at_ns.saturating_sub(BASELINE_NS)..at_ns;
        let ended = |settled: bool| {
            self.count(|r| {
                let answered = matches!(r.outcome, Outcome::Committed | Outcome::Rejected);
                baseline.contains(&r.ended_ns) && answered == settled
            })
        };
        ended(false) > 0 && ended(true) == 0
    }

    fn count(&self, which: impl Fn(&Request) -> bool) -> usize {
        self.history.requests.iter().filter(which).count()
    }

    /// Tells whether the client gave up on a request by its own clock.
    fn timed_out(&self, request: &Request) -> bool {
        let timeout = self.history.meta.scenario.workload.request_timeout;
        let took = request.ended_ns.saturating_sub(request.sent_ns);
        took >= i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX)
    }

    /// How long it was asked to keep its transaction open: that long it waits by itself.
    pub(super) fn own_hold_ns(&self, request: &Request) -> i64 {
        match request.intent {
            Intent::Hold => {
                let hold = self.history.meta.scenario.workload.hold;
                i64::try_from(hold.as_nanos()).unwrap_or(i64::MAX)
            }
            Intent::Commit | Intent::Veto => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Demand;
    use crate::bite::staged::*;
    use crate::history::{Intent, Outcome};
    use crate::scenario::{FaultKind, Target};
    use std::time::Duration;

    fn load() -> Staged {
        Staged::new(Target::KAFKA, FaultKind::Down, polling())
    }

    #[test]
    fn cut_off_is_what_was_on_its_way_at_the_death_and_told_nothing() {
        let staged = load()
            .request(4.0, 5.0, Outcome::Unknown, None)
            .request(4.0, 5.0, Outcome::Committed, None)
            .request(3.0, 3.9, Outcome::Unknown, None)
            .request(4.6, 5.0, Outcome::Unknown, None);
        assert_eq!(Demand::of(&staged.0).cut_off(ns(4.0), ns(4.5)), 1);
    }

    #[test]
    fn given_a_request_whose_time_was_up_or_that_was_answered_when_the_service_died_then_it_was_not_cut_off()
     {
        // Given one that hung since long before and ran into its own timeout of 2 s at the death
        let mut staged = load()
            .request(2.2, 4.2, Outcome::Unknown, None)
            .request(2.5, 4.2, Outcome::Unknown, None)
            .request(4.1, 4.2, Outcome::Unknown, None);
        // And one that the living service answered with an error
        staged.0.requests.open()[2].status = 503;
        assert_eq!(Demand::of(&staged.0).cut_off(ns(4.0), ns(4.5)), 1);
    }

    #[test]
    fn refused_is_what_found_nobody() {
        let staged = load()
            .request(5.0, 5.0, Outcome::NotSent, None)
            .request(3.0, 3.0, Outcome::NotSent, None)
            .request(9.0, 9.0, Outcome::NotSent, None)
            .request(5.0, 5.0, Outcome::Unknown, None);
        assert_eq!(Demand::of(&staged.0).refused(ns(4.0), ns(8.0)), 1);
    }

    #[test]
    fn in_flight_is_what_was_sent_and_not_answered() {
        let staged = load()
            .request(4.0, 5.0, Outcome::Committed, None)
            .request(4.0, 5.0, Outcome::Unknown, None)
            .request(4.0, 5.0, Outcome::NotSent, None);
        let demand = Demand::of(&staged.0);
        assert_eq!(demand.in_flight(ns(3.9)), 0);
        assert_eq!(demand.in_flight(ns(4.0)), 2);
        assert_eq!(demand.in_flight(ns(5.0)), 0);
    }

    #[test]
    fn hung_is_what_got_no_answer_in_time_or_none_at_all() {
        let staged = load()
            // Answered after it, told nothing within it
            .request(5.0, 9.0, Outcome::Committed, None)
            .request(5.0, 6.0, Outcome::Unknown, None)
            // Just sent before it, and broken by it, or answered only after it
            .request(3.9, 4.1, Outcome::Unknown, None)
            .request(3.9, 9.0, Outcome::Committed, None)
            // Usual before it; answered within it, never sent, over before it, begun after it
            .request(3.5, 3.7, Outcome::Committed, None)
            .request(5.0, 6.0, Outcome::Committed, None)
            .request(5.0, 9.0, Outcome::NotSent, None)
            .request(2.0, 2.5, Outcome::Unknown, None)
            .request(8.5, 9.0, Outcome::Unknown, None)
            // Waiting since long before it, until after it or out of time by itself
            .request(3.5, 9.0, Outcome::Committed, None)
            .request(2.5, 4.5, Outcome::Unknown, None);
        assert_eq!(Demand::of(&staged.0).hung(ns(4.0), ns(8.0)), 4);
    }

    #[test]
    fn given_requests_that_failed_before_it_as_well_then_none_hung_because_of_it() {
        let failing = load().request(3.0, 3.5, Outcome::Unknown, None).request(
            5.0,
            7.0,
            Outcome::Unknown,
            None,
        );
        let hung = |staged: &Staged| Demand::of(&staged.0).hung(ns(4.0), ns(8.0));
        assert_eq!(hung(&failing), 0);
        // One that succeeded shows that they did not all fail
        let some = failing.request(3.0, 3.6, Outcome::Committed, None);
        assert_eq!(hung(&some), 1);
    }

    #[test]
    fn given_a_transaction_that_is_held_open_on_purpose_then_that_time_is_no_hanging() {
        let mut staged = load().request(7.5, 9.0, Outcome::Committed, None).request(
            7.5,
            10.0,
            Outcome::Committed,
            None,
        );
        staged.0.meta.scenario.workload.hold = Duration::from_millis(1_500);
        for request in staged.0.requests.open().iter_mut() {
            request.intent = Intent::Hold;
        }
        assert_eq!(Demand::of(&staged.0).hung(ns(4.0), ns(8.0)), 1);
    }

    #[test]
    fn never_answered_needs_a_time_before_in_which_all_were() {
        let staged = load().request(5.0, 7.0, Outcome::Unknown, None).request(
            5.0,
            9.0,
            Outcome::Committed,
            None,
        );
        let never = |staged: &Staged| Demand::of(&staged.0).never_answered(ns(4.0), ns(8.0));
        assert_eq!(never(&staged), 1);
        assert_eq!(never(&staged.request(1.9, 3.9, Outcome::Unknown, None)), 0);
    }

    #[test]
    fn acknowledged_since_counts_what_was_sent_since() {
        let staged = load()
            .request(5.0, 5.1, Outcome::Committed, None)
            .request(3.0, 6.0, Outcome::Committed, None)
            .request(5.0, 5.1, Outcome::Rejected, None);
        assert_eq!(Demand::of(&staged.0).acknowledged_since(ns(4.0)), 1);
    }

    fn one(sent: f64, ended: f64, outcome: Outcome) -> Staged {
        load().request(sent, ended, outcome, None)
    }

    #[test]
    fn given_a_request_that_found_nobody_when_the_service_died_then_it_was_not_cut_off() {
        let cut_off = |s: Staged| Demand::of(&s.0).cut_off(ns(4.0), ns(4.5));
        assert_eq!(cut_off(one(4.2, 5.0, Outcome::NotSent)), 0);
        assert_eq!(cut_off(one(4.5, 5.0, Outcome::Unknown)), 1);
        assert_eq!(cut_off(one(3.5, 4.0, Outcome::Unknown)), 1);
        assert_eq!(cut_off(one(4.501, 5.0, Outcome::Unknown)), 0);
        assert_eq!(cut_off(one(3.5, 3.999, Outcome::Unknown)), 0);
    }

    #[test]
    fn each_way_to_hang_is_told_from_its_neighbour() {
        let hung = |s: Staged| Demand::of(&s.0).hung(ns(4.0), ns(8.0));
        // Answered at the end of it, or a moment later
        assert_eq!(hung(one(4.0, 8.0, Outcome::Committed)), 0);
        assert_eq!(hung(one(4.0, 8.001, Outcome::Committed)), 1);
        // Sent as it began, and told nothing by the client's own timeout of 2 s
        assert_eq!(hung(one(4.0, 6.0, Outcome::Unknown)), 1);
        // Sent at its end, or a moment later
        assert_eq!(hung(one(8.0, 8.001, Outcome::Committed)), 1);
        assert_eq!(hung(one(8.001, 9.0, Outcome::Unknown)), 0);
        // Sent before it and told something in it, or nothing, or nothing by its own timeout of 2 s
        assert_eq!(hung(one(3.9, 4.1, Outcome::Committed)), 0);
        assert_eq!(hung(one(3.9, 4.0, Outcome::Unknown)), 1);
        assert_eq!(hung(one(2.5, 4.4, Outcome::Unknown)), 1);
        assert_eq!(hung(one(2.5, 4.5, Outcome::Unknown)), 0);
        // Told nothing as it ended, by a client with more patience
        let mut patient = one(3.9, 8.0, Outcome::Unknown);
        patient.0.meta.scenario.workload.request_timeout = Duration::from_secs(10);
        assert_eq!(hung(patient), 1);
    }

    #[test]
    fn just_sent_is_not_longer_ago_than_answers_usually_took() {
        let waits = |sent: f64, usual: Option<(f64, f64, Outcome)>| {
            let staged = one(sent, 9.0, Outcome::Committed);
            let staged = usual
                .into_iter()
                .fold(staged, |staged, (sent, ended, outcome)| {
                    staged.request(sent, ended, outcome, None)
                });
            Demand::of(&staged.0).hung(ns(4.0), ns(8.0))
        };
        // Where none was answered in the second before it, a second is usual
        assert_eq!(waits(3.0, None), 1);
        assert_eq!(waits(2.999, None), 0);
        for outcome in [Outcome::Committed, Outcome::Rejected] {
            assert_eq!(waits(3.5, Some((3.0, 3.5, outcome))), 1);
            assert_eq!(waits(3.499, Some((3.0, 3.5, outcome))), 0);
            assert_eq!(waits(2.5, Some((1.5, 3.0, outcome))), 1);
            assert_eq!(waits(2.5, Some((1.499, 2.999, outcome))), 0);
        }
        // The longest of several is usual, and what was told nothing is none of them
        let several = one(3.2, 9.0, Outcome::Committed)
            .request(3.0, 3.1, Outcome::Committed, None)
            .request(2.7, 3.5, Outcome::Committed, None);
        assert_eq!(Demand::of(&several.0).hung(ns(4.0), ns(8.0)), 1);
        let told_nothing = one(3.2, 9.0, Outcome::Committed)
            .request(3.0, 3.1, Outcome::Committed, None)
            .request(2.7, 3.5, Outcome::Unknown, None);
        assert_eq!(Demand::of(&told_nothing.0).hung(ns(4.0), ns(8.0)), 0);
    }

    #[test]
    fn given_a_held_transaction_that_was_just_sent_when_it_only_kept_its_time_then_it_did_not_hang()
    {
        let mut staged = one(3.9, 9.0, Outcome::Committed);
        staged.0.meta.scenario.workload.hold = Duration::from_millis(1_500);
        let hung = |staged: &Staged| Demand::of(&staged.0).hung(ns(4.0), ns(8.0));
        assert_eq!(hung(&staged), 1);
        staged.0.requests.open()[0].intent = Intent::Hold;
        assert_eq!(hung(&staged), 0);
    }

    #[test]
    fn never_answered_is_of_its_own_time_and_spoilt_only_by_the_like_a_second_before() {
        let never = |s: Staged| Demand::of(&s.0).never_answered(ns(4.0), ns(8.0));
        let hung = || one(5.0, 7.0, Outcome::Unknown);
        assert_eq!(never(hung().request(3.0, 3.5, Outcome::Committed, None)), 1);
        assert_eq!(never(hung().request(1.0, 3.0, Outcome::Unknown, None)), 0);
        assert_eq!(never(hung().request(1.0, 2.999, Outcome::Unknown, None)), 1);
        assert_eq!(never(hung().request(8.001, 9.0, Outcome::Unknown, None)), 1);
        assert_eq!(never(one(3.9, 4.1, Outcome::Unknown)), 0);
    }

    #[test]
    fn failed_before_is_all_failed_in_the_second_before() {
        let failed = |s: Staged| Demand::of(&s.0).failed_before(ns(4.0));
        assert!(failed(one(1.0, 3.0, Outcome::Unknown)));
        assert!(!failed(one(1.0, 2.999, Outcome::Unknown)));
        assert!(!failed(one(3.9, 4.0, Outcome::Unknown)));
        for outcome in [Outcome::Committed, Outcome::Rejected] {
            let answered = one(1.0, 3.0, Outcome::Unknown).request(3.1, 3.2, outcome, None);
            assert!(!failed(answered));
        }
    }

    #[test]
    fn acknowledged_since_has_what_was_sent_at_that_moment() {
        let since = |s: Staged| Demand::of(&s.0).acknowledged_since(ns(4.0));
        assert_eq!(since(one(4.0, 4.1, Outcome::Committed)), 1);
        assert_eq!(since(one(3.999, 4.1, Outcome::Committed)), 0);
    }
}
