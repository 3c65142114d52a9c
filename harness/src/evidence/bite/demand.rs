//! What was asked of the system, and how far it got: the demand that a fault met.

use crate::history::{Body, History, Outcome, Places};
use std::sync::OnceLock;

/// Requests and sightings, ready to be asked.
pub(super) struct Demand<'h> {
    history: &'h History,
    /// First sight of the valid event of each attempt; `i64::MAX`: never. Worked out when asked for.
    first_seen: OnceLock<Vec<i64>>,
}

impl<'h> Demand<'h> {
    pub fn of(history: &'h History) -> Self {
        Self {
            history,
            first_seen: OnceLock::new(),
        }
    }

    /// Requests that were on their way when the order service died between these two moments, and
    /// were told nothing.
    pub fn cut_off(&self, from_ns: i64, until_ns: i64) -> usize {
        self.history
            .requests
            .iter()
            .filter(|r| r.sent_ns <= until_ns && r.ended_ns >= from_ns)
            .filter(|r| r.outcome == Outcome::Unknown)
            .count()
    }

    /// Requests sent and not yet answered at this moment.
    pub fn in_flight(&self, at_ns: i64) -> usize {
        self.history
            .requests
            .iter()
            .filter(|r| r.outcome != Outcome::NotSent)
            .filter(|r| r.sent_ns <= at_ns && r.ended_ns > at_ns)
            .count()
    }

    /// Requests on their way in this time that got no answer in it, or none at all.
    pub fn hung(&self, from_ns: i64, until_ns: i64) -> usize {
        self.history
            .requests
            .iter()
            .filter(|r| r.outcome != Outcome::NotSent)
            .filter(|r| r.sent_ns <= until_ns && r.ended_ns >= from_ns)
            .filter(|r| r.ended_ns > until_ns || r.outcome == Outcome::Unknown)
            .count()
    }

    /// Requests acknowledged that were sent from this moment on.
    pub fn acknowledged_since(&self, from_ns: i64) -> usize {
        self.history
            .requests
            .iter()
            .filter(|r| r.outcome == Outcome::Committed && r.sent_ns >= from_ns)
            .count()
    }

    /// Changes acknowledged by this moment whose event had not been seen by then.
    pub fn unseen(&self, at_ns: i64) -> usize {
        let first_seen = self.first_seen();
        self.history
            .requests
            .iter()
            .zip(first_seen)
            .filter(|(r, _)| r.outcome == Outcome::Committed && r.ended_ns <= at_ns)
            .filter(|(_, seen)| **seen > at_ns)
            .count()
    }

    /// Changes whose event was first seen from this moment on.
    pub fn seen_since(&self, from_ns: i64) -> usize {
        self.first_seen()
            .iter()
            .filter(|seen| **seen >= from_ns && **seen < i64::MAX)
            .count()
    }

    fn first_seen(&self) -> &[i64] {
        self.first_seen.get_or_init(|| {
            let history = self.history;
            let log = history.log.sorted_by_key(|r| (r.partition, r.offset));
            let mut places = Places::new(&log);
            let mut first = vec![i64::MAX; history.requests.len()];
            for sighting in &history.sightings {
                let seen = places.row(sighting.partition, sighting.offset);
                let intact = seen
                    .and_then(|row| log.get(row))
                    .filter(|row| row.body == Body::Intact);
                if let Some(at) = intact.and_then(|row| first.get_mut(row.attempt as usize)) {
                    *at = sighting.seen_ns.min(*at);
                }
            }
            first
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Demand;
    use crate::evidence::bite::staged::*;
    use crate::history::{Body, Outcome};
    use crate::scenario::{FaultKind, Target};

    fn load() -> Staged {
        Staged::new(Target::Kafka, FaultKind::Down, polling())
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
            // Answered within it, never sent, over before it, begun after it
            .request(5.0, 6.0, Outcome::Committed, None)
            .request(5.0, 9.0, Outcome::NotSent, None)
            .request(3.0, 3.5, Outcome::Unknown, None)
            .request(8.5, 9.0, Outcome::Unknown, None);
        assert_eq!(Demand::of(&staged.0).hung(ns(4.0), ns(8.0)), 2);
    }

    #[test]
    fn acknowledged_since_counts_what_was_sent_since() {
        let staged = load()
            .request(5.0, 5.1, Outcome::Committed, None)
            .request(3.0, 6.0, Outcome::Committed, None)
            .request(5.0, 5.1, Outcome::Rejected, None);
        assert_eq!(Demand::of(&staged.0).acknowledged_since(ns(4.0)), 1);
    }

    #[test]
    fn unseen_is_acknowledged_by_then_and_seen_later_or_never() {
        let staged = load()
            .request(3.0, 3.1, Outcome::Committed, Some(9.0))
            .request(3.0, 3.1, Outcome::Committed, None)
            .request(3.0, 3.1, Outcome::Committed, Some(3.2))
            .request(3.0, 3.1, Outcome::Unknown, None)
            .request(3.0, 5.0, Outcome::Committed, None);
        assert_eq!(Demand::of(&staged.0).unseen(ns(4.0)), 2);
    }

    #[test]
    fn seen_since_counts_first_sights_of_what_is_intact() {
        let mut staged = load()
            .request(3.0, 3.1, Outcome::Committed, Some(9.0))
            .request(3.0, 3.1, Outcome::Committed, Some(3.2))
            .request(3.0, 3.1, Outcome::Committed, Some(9.0))
            .request(3.0, 3.1, Outcome::Committed, None);
        staged.0.log.open()[2].body = Body::Damaged;
        assert_eq!(Demand::of(&staged.0).seen_since(ns(8.0)), 1);
    }

    #[test]
    fn the_first_sight_of_a_change_is_that_of_whichever_record_was_seen_first() {
        // Given a record that was seen twice, and a change that is on the topic twice
        let mut staged = load()
            .request(3.0, 3.1, Outcome::Committed, Some(3.2))
            .request(3.0, 3.1, Outcome::Committed, Some(3.2));
        let mut again = staged.0.sightings.at(0);
        again.seen_ns = ns(9.0);
        staged.0.sightings.push(again);
        let mut copy = staged.0.log.at(1);
        copy.offset = 100;
        staged.0.log.push(copy);
        again.offset = 100;
        staged.0.sightings.push(again);
        assert_eq!(Demand::of(&staged.0).seen_since(ns(8.0)), 0);
    }
}
