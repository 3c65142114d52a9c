//! What was overtaken, beyond one order's events: small histories whose answer is plain, and a slow model
//! that asks every event about every other.

use super::arbitrary::arbitrary;
use crate::checkers::Verdict;
use crate::checkers::fixture::*;
use crate::history::{Body, History, Intent, LogRow, Outcome, Request, Rows, TruthRow};
use crate::scenario::{Comparison, Metric, OrderTest, StrategyKind};
use crate::view::{Class, Join};
use proptest::prelude::*;
use proptest::sample::Index;

/// Word for word: an event is overtaken if another one lies before it on its partition, of a change that was
/// first sent, by any of its attempts, after a client had been told of its own.
fn model(history: &History) -> u64 {
    let join = Join::new(history);
    let requests = || history.requests.iter();
    let told = |row: &LogRow| {
        let change = history.requests.get(row.attempt as usize)?.change;
        requests()
            .filter(|r| r.outcome == Outcome::Committed && r.change == change)
            .filter(|r| (r.order, r.told_version) == (row.order, row.version))
            .map(|r| r.ended_ns)
            .min()
    };
    let sent = |row: &LogRow| {
        let change = history.requests.get(row.attempt as usize)?.change;
        let attempts = requests().filter(|r| r.change == change);
        attempts.map(|r| r.sent_ns).min()
    };
    let firsts = || join.rows_of(Class::First).map(|row| join.log.at(row));
    let overtaken = |own: &LogRow| {
        firsts().any(|other| {
            other.partition == own.partition
                && other.offset < own.offset
                && told(own)
                    .zip(sent(&other))
                    .is_some_and(|(told, sent)| told < sent)
        })
    };
    firsts().filter(overtaken).count() as u64
}

fn overtaken(history: &History) -> u64 {
    count(&judged(history), Metric::Overtaken)
}

/// A change: its order, when it is sent, how long it takes, whether its client is told, and when after the
/// first one it is sent again, if it is.
type TimedChange = (u32, i64, i64, bool, Option<i64>);

prop_compose! {
    /// Generates what a run could leave: changes of some orders at about the same time, some of them repeated
    /// by their clients, and their events in any order at all.
    fn crowded()(
        sent in prop::collection::vec(
            (0..5u32, 0..40i64, 1..10i64, any::<bool>(), prop::option::of(1..20i64)),
            1..16,
        ),
        picks in prop::collection::vec(any::<Index>(), 16),
        partitions in 1..3i32,
    ) -> History {
        let mut history = clean(0, StrategyKind::Cdc {});
        let mut waiting = change(&mut history, &sent);
        for pick in picks {
            if waiting.is_empty() {
                break;
            }
            let (attempt, order, version) = waiting.swap_remove(pick.index(waiting.len()));
            let partition = order as i32 % partitions;
            record(&mut history, partition, (attempt, order, version), Body::Intact, FROM + 60 * MS);
        }
        finish(&mut history);
        history
    }
}

/// Commits them by when they were sent; gives the events that are to come of it.
fn change(history: &mut History, sent: &[TimedChange]) -> Vec<(u32, u32, u32)> {
    let mut sent = sent.to_vec();
    sent.sort_by_key(|(order, at_ms, ..)| (*at_ms, *order));
    let mut events = Vec::new();
    let (mut requests, mut truth) = (Vec::new(), Vec::new());
    for (change, (order, at_ms, took_ms, told, again_ms)) in sent.into_iter().enumerate() {
        let made = truth
            .iter()
            .filter(|row: &&TruthRow| row.order == order)
            .count();
        let version = made as u32 + 1;
        let (change, attempt) = (change as u32, requests.len() as u32);
        let at_ns = FROM + at_ms * MS;
        let request = Request {
            change,
            order,
            change_type: 0,
            intent: Intent::Commit,
            outcome: if told {
                Outcome::Committed
            } else {
                Outcome::Unknown
            },
            status: 0,
            told_version: if told { version } else { 0 },
            intended_ns: at_ns,
            sent_ns: at_ns,
            ended_ns: at_ns + took_ms * MS,
            lag_ns: 0,
            held_back: false,
        };
        requests.push(request);
        requests.extend(again_ms.map(|again_ms| Request {
            outcome: Outcome::Committed,
            told_version: version,
            sent_ns: request.sent_ns + again_ms * MS,
            ended_ns: request.ended_ns + again_ms * MS,
            ..request
        }));
        truth.push(TruthRow {
            order,
            version,
            attempt,
            change,
        });
        events.push((attempt, order, version));
    }
    history.requests = requests.into_iter().collect();
    history.truth = truth.into_iter().collect::<Rows<TruthRow>>();
    events
}

proptest! {
    #![proptest_config(cases(500))]
    #[test]
    fn given_any_history_then_what_was_overtaken_is_what_the_slow_model_says(history in arbitrary()) {
        prop_assert_eq!(overtaken(&history), model(&history));
    }

    #[test]
    fn given_changes_at_about_the_same_time_then_what_was_overtaken_is_what_the_slow_model_says(
        history in crowded(),
    ) {
        prop_assert_eq!(overtaken(&history), model(&history));
    }

    #[test]
    fn given_events_in_the_order_of_their_answers_then_none_was_overtaken(history in crowded()) {
        let mut history = history;
        let answered = |row: &LogRow| history.requests.at(row.attempt as usize).ended_ns;
        let mut log: Vec<LogRow> = history.log.iter().collect();
        log.sort_by_key(answered);
        for (offset, row) in log.iter_mut().enumerate() {
            (row.partition, row.offset) = (0, offset as i64);
        }
        history.log = log.into_iter().collect();
        prop_assert_eq!(overtaken(&history), 0);
    }
}

/// Two orders of one partition, a version each, the second sent after the answer to the first; their events
/// in the wrong order.
fn swapped() -> History {
    let mut history = clean(0, StrategyKind::Cdc {});
    let (first, second) = (commit(&mut history, 0, 1), commit(&mut history, 2, 1));
    append(&mut history, 0, second, 1, FROM + 5 * MS);
    append(&mut history, 0, first, 1, FROM + 6 * MS);
    finish(&mut history);
    history
}

#[test]
fn given_two_orders_whose_events_are_swapped_then_one_is_overtaken_and_nothing_is_reordered() {
    let history = swapped();
    let judgement = judged(&history);
    assert_eq!(judgement.counts.overtaken, Some(1));
    assert!(counted(&judgement).is_empty(), "{:?}", counted(&judgement));
    let finding = judgement
        .findings
        .iter()
        .find(|f| f.metric == Metric::Overtaken);
    let offence = &finding.unwrap().examples[0];
    assert_eq!((offence.order, offence.version), (0, 1));
    assert_eq!((offence.against_order, offence.against), (2, 1));
    assert_eq!(
        offence.what,
        "order 0 version 1: its event (partition 0 offset 1, seen at 0.007 s) came after that of \
         order 2 version 1, which was sent at 0.002 s, when this one had been answered at 0.001 s"
    );
    // What nobody asked for fails nothing
    assert_ne!(judgement.verdict, Verdict::Fail);
}

#[test]
fn given_two_changes_that_were_under_way_together_then_either_event_may_come_first() {
    let mut history = swapped();
    // Answered in the very moment in which the other one is sent: nothing is proved
    let sent_ns = history.requests.at(1).sent_ns;
    history.requests.open()[0].ended_ns = sent_ns;
    assert_eq!(overtaken(&history), 0);
    history.requests.open()[0].ended_ns = sent_ns - 1;
    assert_eq!(overtaken(&history), 1);
}

#[test]
fn given_a_change_that_no_client_learned_of_then_it_is_not_overtaken() {
    let mut history = swapped();
    tell_nothing(&mut history, 0);
    assert_eq!(overtaken(&history), 0);
}

#[test]
fn given_a_change_that_had_been_sent_before_as_another_attempt_then_it_overtakes_nothing() {
    let mut history = swapped();
    let first_sent_ns = history.requests.at(0).sent_ns;
    let before = offer(&mut history, 2, Intent::Commit, Outcome::Unknown);
    let mut requests = history.requests.open();
    (
        requests[before as usize].change,
        requests[before as usize].sent_ns,
    ) = (1, first_sent_ns);
    drop(requests);
    assert_eq!(overtaken(&history), 0);
}

#[test]
fn given_events_on_two_partitions_then_nothing_is_overtaken() {
    let mut history = swapped();
    history.log.open()[1].partition = 1;
    finish(&mut history);
    assert_eq!(overtaken(&history), 0);
}

#[test]
fn given_a_copy_of_what_is_there_already_then_it_overtakes_nothing_and_is_not_overtaken() {
    let mut history = clean(20, StrategyKind::Cdc {});
    for row in &history.log.clone() {
        append(
            &mut history,
            row.partition,
            row.attempt,
            row.version,
            FROM + S,
        );
    }
    finish(&mut history);
    assert_eq!(overtaken(&history), 0);
}

#[test]
fn given_a_topic_that_was_not_read_whole_then_nothing_is_known_of_what_was_overtaken() {
    let mut history = swapped();
    expecting(
        &mut history,
        vec![expect(Metric::Overtaken, Comparison::Equal, 0.0)],
    );
    assert_eq!(judged(&history).expectations[0].met, Some(false));
    history.fences[6].ok = false;
    let judgement = judged(&history);
    assert_eq!(judgement.counts.overtaken, None);
    assert_eq!(judgement.expectations[0].met, None);
    assert_eq!(judgement.verdict, Verdict::Unknown);
}

#[test]
fn given_a_load_so_slow_that_nothing_could_be_overtaken_then_none_overtaken_proves_nothing() {
    let slow = |seen_earlier_ns: i64| {
        let mut history = clean(20, StrategyKind::Cdc {});
        for sighting in history.sightings.open().iter_mut() {
            sighting.seen_ns -= seen_earlier_ns;
        }
        let none = expect(Metric::Overtaken, Comparison::Equal, 0.0);
        expecting(&mut history, vec![none]);
        history
    };
    assert_eq!(judged(&slow(0)).expectations[0].met, Some(true));
    let mut history = slow(2 * MS);
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Unknown);
    let reason = &judgement.expectations[0].reason;
    assert!(
        reason.contains("none could have been overtaken"),
        "{reason}"
    );
    // A file that does not test the order asks for no proof of it, and is told of what it did not ask for
    history.meta.scenario.order = OrderTest::NotTested;
    assert!(judged(&history).expectations.is_empty());
    let mut history = swapped();
    expecting(
        &mut history,
        vec![expect(Metric::Overtaken, Comparison::Equal, 0.0)],
    );
    history.meta.scenario.order = OrderTest::NotTested;
    assert_eq!(judged(&history).verdict, Verdict::Fail);
}
