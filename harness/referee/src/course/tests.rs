use super::*;
use crate::checkers::fixture::*;
use crate::checkers::tests::arbitrary::arbitrary;
use crate::history::{Body, History, LogRow, Sighting, TraceRow, TruthRow};
use crate::scenario::{FaultKind, StrategyKind, Target};
use proptest::prelude::*;

fn course(history: &History) -> Course {
    Course::of(&Context::new(history))
}

/// The figures by going through the history anew for each moment: obvious, and slow.
struct SlowCourse<'h> {
    history: &'h History,
    until_ns: i64,
}

impl<'h> SlowCourse<'h> {
    fn of(history: &'h History) -> Self {
        let ends = history.fences.iter().map(|step| step.ended_ns);
        let until_ns = ends.max().unwrap().max(history.meta.load_until_ns);
        Self { history, until_ns }
    }

    /// By then, nanoseconds from the begin of the load; what is before it or behind the end counts there.
    fn is_by(&self, run_ns: i64, at_ns: i64) -> bool {
        let from_ns = self.history.meta.load_from_ns;
        run_ns.clamp(from_ns, self.until_ns) - from_ns <= at_ns
    }

    fn is_of(&self, record: &LogRow, row: &TruthRow) -> bool {
        let own = self.history.requests.get(row.attempt as usize);
        record.body == Body::Intact
            && own.is_some_and(|own| own.order == row.order)
            && (record.order, record.version, record.attempt)
                == (row.order, row.version, row.attempt)
    }

    fn events(&self, row: &TruthRow) -> Vec<LogRow> {
        let all = self.history.log.iter();
        let mut events: Vec<LogRow> = all.filter(|record| self.is_of(record, row)).collect();
        events.sort_by_key(|record| (record.partition, record.offset));
        events
    }

    fn appended_ns(&self, record: &LogRow) -> i64 {
        let unix_ns = i128::from(record.append_ms) * 1_000_000;
        (unix_ns - self.history.meta.clock.origin_unix_ns) as i64
    }

    fn arrived_ns(&self, row: &TruthRow) -> Option<i64> {
        let events = self.events(row);
        let of_it = |s: &Sighting| {
            let place = (s.partition, s.offset);
            events.iter().any(|e| (e.partition, e.offset) == place)
        };
        let sights = self.history.sightings.iter();
        let seen = sights.filter(of_it).map(|s| s.seen_ns).min();
        seen.or_else(|| Some(self.appended_ns(events.first()?)))
    }

    fn committed_ns(&self, row: &TruthRow) -> i64 {
        let request = self.history.requests.get(row.attempt as usize);
        let answered = request.map(|request| request.ended_ns);
        let known = answered.into_iter().chain(self.arrived_ns(row));
        known.min().unwrap_or(self.until_ns)
    }

    /// Committed, seen and twice.
    fn at(&self, at_ns: i64) -> [u64; 3] {
        let mut counts = [0; 3];
        for row in &self.history.truth {
            counts[0] += u64::from(self.is_by(self.committed_ns(&row), at_ns));
            let Some(arrived_ns) = self.arrived_ns(&row) else {
                continue;
            };
            counts[1] += u64::from(self.is_by(arrived_ns, at_ns));
            for again in self.events(&row).iter().skip(1) {
                let again_ns = self.appended_ns(again).max(arrived_ns);
                counts[2] += u64::from(self.is_by(again_ns, at_ns));
            }
        }
        counts
    }
}

proptest! {
    #![proptest_config(cases(300))]
    #[test]
    fn given_any_history_when_asked_for_a_moment_then_the_slow_model_says_the_same(
        history in arbitrary(),
        at_ns in prop::collection::vec(-S..45 * S, 1..8),
    ) {
        let (course, slow) = (course(&history), SlowCourse::of(&history));
        for at_ns in at_ns {
            let now = course.at(at_ns);
            let fast = [now.committed, now.seen, now.duplicated];
            prop_assert_eq!(fast.map(Option::unwrap), slow.at(at_ns), "at {} ns", at_ns);
        }
    }

    #[test]
    fn given_any_history_when_it_is_over_then_every_figure_is_that_of_the_record(history in arbitrary()) {
        let course = course(&history);
        let counts = judged(&history).counts;
        let end = course.at(course.lasts_ns());
        prop_assert_eq!(end.stage, CourseStage::Over);
        prop_assert_eq!(end, course.at(i64::MAX));
        prop_assert_eq!(
            [end.committed, end.lost, end.duplicated, end.phantom],
            [counts.committed, counts.lost, counts.duplicated, counts.phantom]
        );
        let gone = [counts.lost, counts.undrained, counts.undecided].map(Option::unwrap);
        prop_assert_eq!(end.missing(), Some(gone.iter().sum()));
    }

    #[test]
    fn given_any_history_when_time_goes_on_then_no_figure_goes_back(
        history in arbitrary(),
        mut at_ns in prop::collection::vec(-S..45 * S, 2..12),
    ) {
        let course = course(&history);
        at_ns.sort_unstable();
        let moments: Vec<Snapshot> = at_ns.iter().map(|at_ns| course.at(*at_ns)).collect();
        for pair in moments.windows(2) {
            let of = |now: &Snapshot| {
                [now.committed, now.seen, now.lost, now.duplicated, now.phantom].map(Option::unwrap)
            };
            for (before, after) in of(&pair[0]).into_iter().zip(of(&pair[1])) {
                prop_assert!(before <= after, "{:?} then {:?}", pair[0], pair[1]);
            }
        }
        // And what is lost is missing, which is committed.
        for now in moments {
            prop_assert!(now.lost <= now.missing() && now.seen <= now.committed, "{:?}", now);
        }
    }
}

#[test]
fn given_a_dual_write_when_a_change_is_lost_then_it_is_from_its_answer_on_and_stays_missing() {
    let mut history = clean(20, naive());
    let gone = attempt(&history, 7, 2);
    unpublish(&mut history, gone);
    let answered_ns = history.requests.at(gone as usize).ended_ns - FROM;
    let course = course(&history);
    assert_eq!(course.at(answered_ns - 1).lost, Some(0));
    assert_eq!(course.at(answered_ns).lost, Some(1));
    let end = course.at(course.lasts_ns());
    assert_eq!((end.missing(), end.lost), (Some(1), Some(1)));
}

#[test]
fn given_a_service_that_says_when_it_committed_then_the_change_is_missing_before_it_is_given_up() {
    let mut history = clean(20, naive());
    let gone = attempt(&history, 7, 2);
    unpublish(&mut history, gone);
    let request = history.requests.at(gone as usize);
    let without = course(&history);
    // And once more, earlier than it can have been, of another one.
    for (attempt, at_ns) in [(gone, request.sent_ns + 1_000), (gone + 1, 0)] {
        history.trace.push(TraceRow {
            tracer: Tracer::OrderService,
            pid: 1,
            at_ns,
            attempt,
            version: 2,
            stage: Stage::Committed,
            detail: 0,
        });
    }
    let course = course(&history);
    let committed = |course: &Course, at_ns| course.at(at_ns - FROM).committed.unwrap();
    let said_ns = request.sent_ns + 1_000;
    assert_eq!(
        committed(&course, said_ns - 1),
        committed(&without, said_ns - 1)
    );
    assert_eq!(
        committed(&course, said_ns),
        committed(&without, said_ns) + 1
    );
    assert_eq!(course.at(said_ns - FROM).lost, Some(0));
    let end_ns = course.lasts_ns();
    assert_eq!(course.at(end_ns).committed, without.at(end_ns).committed);
    let next = history.requests.at(gone as usize + 1).sent_ns;
    assert_eq!(committed(&course, next - 1), committed(&without, next - 1));
    assert_eq!(committed(&course, next), committed(&without, next) + 1);
}

#[test]
fn given_an_outbox_when_an_event_waits_then_it_is_missing_until_it_is_seen_and_not_lost() {
    let mut history = clean(20, StrategyKind::Cdc {});
    let late = attempt(&history, 7, 2);
    unpublish(&mut history, late);
    let answered_ns = history.requests.at(late as usize).ended_ns - FROM;
    let came_ns = history.meta.load_until_ns;
    append(&mut history, 0, late, 2, came_ns);
    let course = course(&history);
    let at = |at_ns| (course.at(at_ns).missing(), course.at(at_ns).lost);
    assert_eq!(at(answered_ns), (Some(1), Some(0)));
    assert_eq!(at(came_ns - FROM), (Some(1), Some(0)));
    assert_eq!(at(came_ns - FROM + MS), (Some(0), Some(0)));
}

#[test]
fn given_a_fence_that_did_not_read_the_database_then_nothing_is_said_of_any_moment() {
    let mut history = clean(20, naive());
    history.fences[3].ok = false;
    let course = course(&history);
    for at_ns in [0, S, course.lasts_ns()] {
        let now = course.at(at_ns);
        let figures = [now.committed, now.seen, now.lost, now.duplicated];
        assert_eq!(figures, [None; 4]);
        assert_eq!(now.missing(), None);
    }
    assert_eq!(course.rates(course.lasts_ns(), 100), Vec::new());
}

#[test]
fn given_a_fault_then_it_is_in_force_from_its_begin_to_its_heal() {
    let mut history = clean(200, naive());
    add_fault(
        &mut history,
        Target::KAFKA,
        FaultKind::Down,
        100 * MS,
        200 * MS,
    );
    let course = course(&history);
    let [fault] = course.faults() else {
        panic!("{:?}", course.faults());
    };
    let until_ns = fault.until_ns.unwrap();
    assert!(!fault.is_in_force(fault.from_ns - 1) && fault.is_in_force(fault.from_ns));
    assert!(fault.is_in_force(until_ns - 1) && !fault.is_in_force(until_ns));
}

#[test]
fn given_a_steady_load_then_each_quarter_of_a_second_has_its_rate_and_what_is_recent_its_p99() {
    let history = clean(300, naive());
    let course = course(&history);
    // Three of four requests are committed, one every 2 ms.
    let rates = course.rates(S, 100);
    assert_eq!(rates.len(), 4);
    let all = rates.iter().map(|(committed, _)| committed).sum::<u64>();
    assert!((1480..=1520).contains(&all), "{rates:?}");
    assert_eq!(course.rates(S, 2), rates[2..]);
    // Seen 2 ms after the answer.
    assert_eq!(course.at(S).propagation_p99_ns, Some(2 * MS));
    assert_eq!(course.at(0).propagation_p99_ns, None);
    assert_eq!(course.at(S).stage, CourseStage::Load);
    let fenced = course.at(course.load_lasts_ns() + 1).stage;
    assert!(matches!(fenced, CourseStage::Fence(_)), "{fenced:?}");
}
