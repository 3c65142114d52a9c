//! Events that a fault met: committed and not yet seen, kept waiting, seen again. What was lost before
//! the fault waits for nobody.

use super::Demand;
use crate::history::{Body, History, Intent, NONE, Outcome, Places};
use std::ops::RangeInclusive;

/// When intact events were seen.
pub(super) struct EventSights {
    /// This is, by attempt, when its event was first seen: run time, nanoseconds; `i64::MAX`: never.
    pub first_ns: Vec<i64>,
    /// These are the sights of records beyond the first of their attempt: the attempt and when it was seen.
    again: Vec<(u32, i64)>,
}

impl EventSights {
    pub fn of(history: &History) -> Self {
        let log = history.log.sorted_by_key(|r| (r.partition, r.offset));
        let intact = |row: usize| log.get(row).filter(|record| record.body == Body::Intact);
        let mut first_row = vec![NONE; history.requests.len()];
        for row in (0..log.len()).rev() {
            let attempt = intact(row).map(|record| record.attempt as usize);
            if let Some(first) = attempt.and_then(|attempt| first_row.get_mut(attempt)) {
                *first = row as u32;
            }
        }
        let mut places = Places::new(&log);
        let mut first_ns = vec![i64::MAX; history.requests.len()];
        let mut again = Vec::new();
        for sighting in &history.sightings {
            let row = places.row(sighting.partition, sighting.offset);
            let Some((row, record)) = row.and_then(|row| Some((row, intact(row)?))) else {
                continue;
            };
            let Some(first) = first_ns.get_mut(record.attempt as usize) else {
                continue;
            };
            *first = sighting.seen_ns.min(*first);
            if first_row[record.attempt as usize] as usize != row {
                again.push((record.attempt, sighting.seen_ns));
            }
        }
        Self { first_ns, again }
    }
}

impl Demand<'_> {
    /// Changes committed by this moment whose event had not been seen by then. One that never came,
    /// and that something sent later had passed by then, is lost and waits no more.
    pub fn unseen(&self, at_ns: i64) -> usize {
        self.left_over(at_ns, at_ns)
    }

    /// Of these, the ones that were not seen by a later moment either.
    pub fn left_over(&self, at_ns: i64, later_ns: i64) -> usize {
        let passed_ns = self
            .committed()
            .filter(|(_, seen_ns)| *seen_ns <= at_ns)
            .map(|(r, _)| r.sent_ns)
            .max()
            .unwrap_or(i64::MIN);
        self.committed()
            .filter(|(r, seen_ns)| r.ended_ns <= at_ns && *seen_ns > later_ns)
            .filter(|(r, seen_ns)| *seen_ns < i64::MAX || r.ended_ns >= passed_ns)
            .count()
    }

    /// Counts changes committed in this time and seen only from a later moment on.
    pub fn kept_waiting(&self, committed: RangeInclusive<i64>, seen_from_ns: i64) -> usize {
        self.committed()
            .filter(|(r, _)| committed.contains(&r.ended_ns))
            .filter(|(_, seen_ns)| (seen_from_ns..i64::MAX).contains(seen_ns))
            .count()
    }

    /// Counts changes that are committed, although their client had been told nothing by this moment, and whose event
    /// was first seen from it on.
    pub fn left_in_doubt(&self, at_ns: i64) -> usize {
        self.committed()
            .filter(|(r, _)| r.outcome == Outcome::Unknown && r.ended_ns <= at_ns)
            .filter(|(_, seen_ns)| (at_ns..i64::MAX).contains(seen_ns))
            .count()
    }

    /// Transactions that were held open when the reader of the log died, and whose events were first
    /// seen from its successor on: it had to read them from their beginning.
    pub fn open_in_log(&self, died_ns: i64, seen_from_ns: i64) -> usize {
        self.committed()
            .filter(|(r, _)| r.intent == Intent::Hold && r.sent_ns < died_ns)
            .filter(|(r, _)| r.ended_ns - self.own_hold_ns(r) < died_ns && r.ended_ns > died_ns)
            .filter(|(_, seen_ns)| (seen_from_ns..i64::MAX).contains(seen_ns))
            .count()
    }

    /// Records of events seen in this time that had been seen on another record by `died_ns`.
    pub fn came_again(&self, died_ns: i64, again: RangeInclusive<i64>) -> usize {
        let sights = self.sights();
        sights
            .again
            .iter()
            .filter(|(_, seen_ns)| again.contains(seen_ns))
            .filter(|(attempt, _)| sights.first_ns[*attempt as usize] <= died_ns)
            .count()
    }

    /// Counts changes sent in this time, committed, and seen in it.
    pub fn carried(&self, time: RangeInclusive<i64>) -> usize {
        self.committed()
            .filter(|(r, seen_ns)| time.contains(&r.sent_ns) && time.contains(seen_ns))
            .count()
    }

    /// The longest time, in nanoseconds, for which an event had been waited for at this moment, from the commit of its
    /// change on: of those seen in the second before, and of those that came later. One that never came is left out.
    pub fn longest_before(&self, at_ns: i64) -> i64 {
        let since_ns = at_ns.saturating_sub(super::BASELINE_NS);
        let waits = self
            .committed()
            .filter(|(r, seen_ns)| r.ended_ns < at_ns && (since_ns..i64::MAX).contains(seen_ns))
            .map(|(r, seen_ns)| seen_ns.min(at_ns).saturating_sub(r.ended_ns));
        waits.max().unwrap_or(0)
    }

    /// Counts changes committed in this time whose event was waited for longer than `over_ns` nanoseconds. One that never
    /// came is left out.
    pub fn seen_late(&self, time: RangeInclusive<i64>, over_ns: i64) -> usize {
        self.committed()
            .filter(|(r, seen_ns)| *seen_ns < i64::MAX && time.contains(&r.ended_ns))
            .filter(|(r, seen_ns)| seen_ns.saturating_sub(r.ended_ns) > over_ns)
            .count()
    }

    /// Changes whose event was first seen from this moment on.
    pub fn seen_since(&self, from_ns: i64) -> usize {
        let first_ns = self.sights().first_ns.iter();
        first_ns
            .filter(|seen_ns| (from_ns..i64::MAX).contains(*seen_ns))
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::Demand;
    use crate::bite::staged::*;
    use crate::history::{Body, Intent, Outcome, TruthRow};
    use crate::scenario::{FaultKind, Target};
    use std::time::Duration;

    fn load() -> Staged {
        Staged::new(Target::KAFKA, FaultKind::Down, polling())
    }

    #[test]
    fn unseen_is_committed_by_then_and_seen_later_or_never() {
        let staged = load()
            .request(3.0, 3.1, Outcome::Committed, Some(9.0))
            .request(3.0, 3.1, Outcome::Committed, None)
            .request(3.0, 3.1, Outcome::Committed, Some(3.2))
            .request(3.0, 3.1, Outcome::Unknown, None)
            .request(3.0, 5.0, Outcome::Committed, None);
        assert_eq!(Demand::of(&staged.0).unseen(ns(4.0)), 2);
    }

    #[test]
    fn given_a_change_that_was_lost_and_passed_before_then_it_is_not_unseen() {
        let staged = load().request(1.0, 1.1, Outcome::Committed, None).request(
            1.2,
            1.3,
            Outcome::Committed,
            Some(1.4),
        );
        assert_eq!(Demand::of(&staged.0).unseen(ns(4.0)), 0);
        // One that comes late after all is: it waited
        let staged = staged.request(1.0, 1.1, Outcome::Committed, Some(9.0));
        assert_eq!(Demand::of(&staged.0).unseen(ns(4.0)), 1);
    }

    #[test]
    fn given_a_change_that_only_the_database_knows_as_committed_then_it_is_unseen_as_well() {
        let mut staged = load().request(3.0, 3.1, Outcome::Unknown, Some(9.0));
        assert_eq!(Demand::of(&staged.0).unseen(ns(4.0)), 0);
        staged.0.truth.push(TruthRow {
            order: 0,
            version: 1,
            attempt: 0,
            change: 0,
        });
        assert_eq!(Demand::of(&staged.0).unseen(ns(4.0)), 1);
    }

    #[test]
    fn left_in_doubt_is_committed_without_a_word_to_its_client_and_seen_afterwards() {
        let mut staged = load()
            .request(5.0, 6.0, Outcome::Unknown, Some(8.0))
            // Seen before, never seen, with a client that waits longer, told, and not committed
            .request(5.0, 6.0, Outcome::Unknown, Some(7.9))
            .request(5.0, 6.0, Outcome::Unknown, None)
            .request(5.0, 8.1, Outcome::Unknown, Some(8.5))
            .request(5.0, 6.0, Outcome::Committed, Some(8.5))
            .request(5.0, 6.0, Outcome::Unknown, Some(8.5));
        let committed = (0..5).map(|attempt| TruthRow {
            order: attempt,
            version: 1,
            attempt,
            change: attempt,
        });
        staged.0.truth.extend(committed);
        assert_eq!(Demand::of(&staged.0).left_in_doubt(ns(8.0)), 1);
    }

    #[test]
    fn kept_waiting_is_committed_meanwhile_and_seen_only_afterwards() {
        let staged = load()
            .request(5.0, 5.1, Outcome::Committed, Some(9.0))
            .request(5.0, 5.1, Outcome::Committed, Some(5.2))
            .request(5.0, 5.1, Outcome::Committed, None)
            .request(3.0, 3.1, Outcome::Committed, Some(9.0))
            .request(8.5, 8.6, Outcome::Committed, Some(9.0));
        let demand = Demand::of(&staged.0);
        assert_eq!(demand.kept_waiting(ns(4.0)..=ns(8.0), ns(8.0)), 1);
    }

    #[test]
    fn carried_is_sent_and_seen_in_one_time() {
        let staged = load()
            .request(5.0, 5.1, Outcome::Committed, Some(5.2))
            .request(4.0, 4.1, Outcome::Committed, Some(8.0))
            // Sent before it, seen after it, never seen, and never committed
            .request(3.9, 4.1, Outcome::Committed, Some(5.0))
            .request(5.0, 5.1, Outcome::Committed, Some(8.1))
            .request(5.0, 5.1, Outcome::Committed, None)
            .request(5.0, 5.1, Outcome::Unknown, Some(5.2));
        assert_eq!(Demand::of(&staged.0).carried(ns(4.0)..=ns(8.0)), 2);
    }

    #[test]
    fn open_in_the_log_is_begun_before_the_death_and_committed_after_it() {
        let mut staged = load()
            .request(3.0, 6.0, Outcome::Committed, Some(9.0))
            // Held, but committed before the death, begun after it, or sent before and begun after it
            .request(0.5, 3.5, Outcome::Committed, Some(9.0))
            .request(4.5, 7.5, Outcome::Committed, Some(9.0))
            .request(3.0, 7.5, Outcome::Committed, Some(9.0))
            // Never committed, and seen before the successor came
            .request(3.0, 6.0, Outcome::Unknown, None)
            .request(3.0, 6.0, Outcome::Committed, Some(6.1));
        staged.0.meta.scenario.workload.hold = Duration::from_secs(3);
        let open = |staged: &Staged| Demand::of(&staged.0).open_in_log(ns(4.0), ns(8.0));
        assert_eq!(open(&staged), 0, "nothing is held");
        for request in staged.0.requests.open().iter_mut() {
            request.intent = Intent::Hold;
        }
        assert_eq!(open(&staged), 1);
    }

    #[test]
    fn came_again_is_seen_before_the_death_and_once_more_from_the_successor() {
        let staged = load()
            .request(3.0, 3.1, Outcome::Committed, Some(3.2))
            .request(3.0, 3.1, Outcome::Committed, Some(3.2))
            .request(5.0, 5.1, Outcome::Committed, Some(5.2))
            .again(0, 8.5)
            .again(1, 3.3)
            .again(2, 8.5);
        let again = |from, until| Demand::of(&staged.0).came_again(ns(4.0), ns(from)..=ns(until));
        assert_eq!(again(8.0, 9.0), 1);
        // Not what another successor repeated
        assert_eq!(again(8.6, 9.0), 0);
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
            .request(3.0, 3.1, Outcome::Committed, Some(3.2))
            .again(1, 9.0);
        let mut twice = staged.0.sightings.at(0);
        twice.seen_ns = ns(9.0);
        staged.0.sightings.push(twice);
        let demand = Demand::of(&staged.0);
        assert_eq!(demand.seen_since(ns(8.0)), 0);
        // And a record that was seen twice did not come again
        assert_eq!(demand.came_again(ns(4.0), ns(8.0)..=ns(9.5)), 1);
    }

    #[test]
    fn given_changes_that_were_seen_when_one_sent_before_the_latest_was_not_then_it_was_passed() {
        let lost = load().request(1.0, 1.1, Outcome::Committed, None);
        let seen = |staged: Staged, sent: f64, at: f64| {
            staged.request(sent, sent + 0.1, Outcome::Committed, Some(at))
        };
        let unseen = |staged: &Staged| Demand::of(&staged.0).unseen(ns(4.0));
        let passed = seen(seen(lost, 0.5, 0.6), 1.2, 1.4);
        assert_eq!(unseen(&passed), 0);
        // One that is itself seen only afterwards has passed nobody by then
        let lost = load().request(1.0, 1.1, Outcome::Committed, None);
        assert_eq!(unseen(&seen(lost, 1.2, 9.0)), 2);
    }

    #[test]
    fn a_moment_belongs_to_what_was_committed_or_seen_at_it() {
        let unseen = |ended: f64, seen: Option<f64>| {
            let staged = load().request(3.0, ended, Outcome::Committed, seen);
            Demand::of(&staged.0).left_over(ns(4.0), ns(6.0))
        };
        assert_eq!(unseen(4.0, Some(6.1)), 1);
        assert_eq!(unseen(3.5, Some(6.0)), 0);
        // One that was sent and seen as the other ended, or at the moment itself, has not passed it
        // or has
        let beside = |sent: f64, seen: f64| {
            let staged = load().request(1.0, 1.1, Outcome::Committed, None).request(
                sent,
                sent + 0.1,
                Outcome::Committed,
                Some(seen),
            );
            Demand::of(&staged.0).unseen(ns(4.0))
        };
        assert_eq!(beside(1.1, 1.3), 1);
        assert_eq!(beside(1.2, 4.0), 0);
    }

    #[test]
    fn open_in_the_log_is_held_and_begun_before_the_death() {
        let open = |sent: f64, ended: f64| {
            let mut staged = load().request(sent, ended, Outcome::Committed, Some(9.0));
            staged.0.meta.scenario.workload.hold = Duration::from_secs(3);
            staged.0.requests.open()[0].intent = Intent::Hold;
            Demand::of(&staged.0).open_in_log(ns(4.0), ns(8.0))
        };
        assert_eq!(open(3.999, 6.9), 1);
        assert_eq!(open(4.0, 6.9), 0, "sent at the death");
        assert_eq!(open(3.5, 7.0), 0, "begun at the death");
        assert_eq!(open(3.5, 4.0), 0, "committed at the death");
        assert_eq!(open(3.5, 4.001), 1);
    }

    #[test]
    fn what_was_seen_at_the_death_was_seen_before_it_came_again() {
        let again = |first: f64| {
            let staged = load()
                .request(3.0, 3.1, Outcome::Committed, Some(first))
                .again(0, 8.5);
            Demand::of(&staged.0).came_again(ns(4.0), ns(8.0)..=ns(9.0))
        };
        assert_eq!((again(4.0), again(4.001)), (1, 0));
    }
}
