//! The broker has a clock of its own, and nothing of ours is measured by it.

use crate::checkers::fixture::{FROM, MS, S, add_fault, clean, judged, process};
use crate::checkers::{Context, Verdict};
use crate::history::{History, Life, Sample, topic_end_series};
use crate::scenario::{FaultKind, StrategyKind, Target, Victim};

/// A clean run whose topic was asked for its ends each 100 ms.
fn asked() -> History {
    let mut history = clean(200, StrategyKind::Cdc {});
    ask(&mut history, |_| true);
    history
}

/// Asks each 100 ms at which it is to be asked: records are there a millisecond before their sight.
fn ask(history: &mut History, when: impl Fn(i64) -> bool) {
    let until_ns = history.sightings.iter().map(|s| s.seen_ns).max().unwrap();
    let asked = (0..=until_ns / (100 * MS) + 1).map(|n| n * 100 * MS);
    for at_ns in asked.filter(|at_ns| when(*at_ns)) {
        for partition in 0..2 {
            let there = history
                .sightings
                .iter()
                .filter(|s| s.partition == partition && s.seen_ns - MS <= at_ns);
            history.samples.push(Sample {
                series: topic_end_series(partition),
                at_ns,
                value: there.count() as f64,
            });
        }
    }
}

fn shift(history: &mut History, ms: i64) {
    for row in history.log.open().iter_mut() {
        row.append_ms += ms;
    }
}

fn says(history: &History, what: &str) -> bool {
    judged(history).reasons.iter().any(|r| r.contains(what))
}

const LATE: &str = "ms after they were there at p99";

#[test]
fn given_a_broker_whose_clock_is_off_when_judged_then_the_observer_was_not_late() {
    for ms in [-2_000, 2_000] {
        let mut history = asked();
        shift(&mut history, ms);
        let judgement = judged(&history);
        assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    }
    // A history of before knows no better
    let mut before = clean(200, StrategyKind::Cdc {});
    shift(&mut before, -2_000);
    assert!(says(&before, LATE));
}

#[test]
fn given_a_broker_whose_clock_is_ahead_when_the_observer_was_late_then_it_is_noticed() {
    let mut history = asked();
    shift(&mut history, 2_000);
    for sighting in history.sightings.open().iter_mut() {
        sighting.seen_ns += 150 * MS;
    }
    assert!(says(&history, LATE));
}

#[test]
fn given_a_time_in_which_nobody_asked_when_records_came_then_their_lag_is_not_known() {
    let reason = "came while the ends of the topic were not known for up to 1.2 s";
    let mut history = clean(200, StrategyKind::Cdc {});
    ask(&mut history, |at_ns| {
        !(1_200 * MS..2_300 * MS).contains(&at_ns)
    });
    assert!(says(&history, reason), "{:?}", judged(&history).reasons);
    // It is a second that matters
    let mut history = clean(200, StrategyKind::Cdc {});
    ask(&mut history, |at_ns| {
        !(1_200 * MS..2_000 * MS).contains(&at_ns)
    });
    assert!(!says(&history, "were not known"));
}

#[test]
fn given_a_blind_observer_when_the_brokers_clock_is_ahead_then_it_is_noticed() {
    // Given records that came in the middle, and by the broker's clock long after the end
    let mut history = asked();
    shift(&mut history, 3_600_000);
    let half = history.sightings.len() / 2;
    history.sightings.open().truncate(half);
    for step in history.fences.iter_mut() {
        step.ended_ns += 10 * S;
    }
    assert!(says(&history, "that the observer never saw"));
}

#[test]
fn given_a_death_when_the_brokers_clock_is_off_then_a_record_is_not_told_to_be_of_its_time() {
    let mut history = asked();
    process(&mut history, "relay", 3 * S, Life::Exited, 9);
    shift(&mut history, 1_900);
    let context = Context::new(&history);
    let row = context
        .view
        .join
        .log
        .iter()
        .position(|r| r.attempt == 0)
        .unwrap();
    // Seen at 1.003 s of the run, the broker wrote 2.9 s.
    assert_eq!(context.meanwhile(context.view.record_span(row)), "");
}

const UNKNOWN: &str = "were not known";

/// A clean run of 600 events that were known to be there at 9.5 s, but for the last ones of a
/// partition, which came to be known so much later.
fn known_late(events: usize, later_ns: i64) -> History {
    let mut history = clean(200, StrategyKind::Cdc {});
    let ends = [0, 1].map(|p| history.log.iter().filter(|r| r.partition == p).count());
    let mut end = |partition: i32, at_ns: i64, end: usize| {
        history.samples.push(Sample {
            series: topic_end_series(partition),
            at_ns,
            value: end as f64,
        });
    };
    for partition in [0, 1] {
        end(partition, 9 * S, 0);
    }
    end(0, 9_500 * MS, ends[0] - events);
    end(0, 9_500 * MS + later_ns, ends[0]);
    end(1, 9_500 * MS, ends[1]);
    history
}

#[test]
fn given_one_in_a_hundred_records_that_came_while_nobody_asked_then_only_one_more_is_too_many() {
    assert!(!says(&known_late(6, 1_200 * MS), UNKNOWN));
    let more = known_late(7, 1_200 * MS);
    let sentence =
        "7 of 600 records came while the ends of the topic were not known for up to 1.2 s";
    assert!(says(&more, sentence), "{:?}", judged(&more).reasons);
    // Of 599 records as well
    let mut fewer = known_late(6, 1_200 * MS);
    let last = fewer.log.open().pop().unwrap();
    fewer
        .sightings
        .open()
        .retain(|s| (s.partition, s.offset) != (last.partition, last.offset));
    assert!(says(&fewer, "6 of 599 records came"));
}

#[test]
fn given_a_second_between_two_questions_then_what_came_in_it_is_known_well_enough() {
    assert!(!says(&known_late(7, S), UNKNOWN));
    assert!(says(&known_late(7, S + 1), UNKNOWN));
}

#[test]
fn given_records_that_were_there_at_the_first_question_then_nobody_failed_to_ask() {
    let mut history = known_late(0, S);
    history.samples.retain(|s| s.at_ns > 9 * S);
    assert!(!says(&history, UNKNOWN));
}

#[test]
fn given_a_fault_of_the_broker_then_records_from_a_second_before_to_five_after_it_are_left_out() {
    let known_ns = 10_700 * MS;
    let inconclusive = |from_ns: i64, until_ns: i64| {
        let mut history = known_late(7, 1_200 * MS);
        let broker = Target::Process(Victim::KAFKA);
        add_fault(&mut history, broker, FaultKind::Kill, 0, S);
        history.faults[0].injected_ns = Some(from_ns);
        history.faults[0].healed_ns = Some(until_ns);
        says(&history, UNKNOWN)
    };
    assert!(!inconclusive(known_ns + S, known_ns + 2 * S));
    assert!(inconclusive(known_ns + S + 1, known_ns + 2 * S));
    assert!(!inconclusive(FROM, known_ns - 5 * S));
    assert!(inconclusive(FROM, known_ns - 5 * S - 1));
}
