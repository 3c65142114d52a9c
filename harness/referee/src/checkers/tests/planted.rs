//! Runs in which each order met a fate of its own, bad or merely odd, their events interleaved at
//! random: what was planted is what is reported, and nothing else.

use crate::checkers::fixture::*;
use crate::history::{Body, History, Intent, NONE, Outcome, Pending, PendingState, Request};
use crate::scenario::{Metric, StrategyKind};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

/// What becomes of an order of three versions.
#[derive(Debug, Clone, Copy)]
enum PlantedFate {
    // Harmless
    Clean,
    SeenBeforeItsAnswer,
    SlowWithinBounds,
    RetriedAndTold,
    RolledBackBetween,
    NotSentBetween,
    // At least once
    ReplayedWhole,
    RepeatedInPlace(u8),
    // Offences
    Lost(u8),
    Undrained,
    Phantom,
    PhantomVersionUsedAgain,
    Foreign,
    Swapped,
    Backwards,
    Split,
    Corrupted,
    WrongKey,
    Missing,
    DoubleApplied,
    FalseRejection,
    Unacknowledged,
    Late,
}

/// An event to append: partition, attempt, order, version, body, delay from its answer.
#[derive(Clone, Copy)]
struct PlantedEvent {
    partition: i32,
    attempt: u32,
    order: u32,
    version: u32,
    body: Body,
    delay_ns: i64,
}

fn fate() -> impl Strategy<Value = PlantedFate> {
    use PlantedFate::*;
    prop_oneof![
        Just(Clean),
        Just(SeenBeforeItsAnswer),
        Just(SlowWithinBounds),
        Just(RetriedAndTold),
        Just(RolledBackBetween),
        Just(NotSentBetween),
        Just(ReplayedWhole),
        (1..4u8).prop_map(RepeatedInPlace),
        (1..4u8).prop_map(Lost),
        Just(Undrained),
        Just(Phantom),
        Just(PhantomVersionUsedAgain),
        Just(Foreign),
        Just(Swapped),
        Just(Backwards),
        Just(Split),
        Just(Corrupted),
        Just(WrongKey),
        Just(Missing),
        Just(DoubleApplied),
        Just(FalseRejection),
        Just(Unacknowledged),
        Just(Late),
    ]
}

/// Lives one order's life; gives its events in the order of their append and what they count for.
fn live(
    history: &mut History,
    order: u32,
    fate: PlantedFate,
) -> (Vec<PlantedEvent>, Vec<(Metric, u64)>) {
    let partition = order as i32 % PARTITIONS;
    let attempts: Vec<u32> = (1..=3)
        .map(|version| commit(history, order, version))
        .collect();
    let event = |version: u32| PlantedEvent {
        partition,
        attempt: attempts[version as usize - 1],
        order,
        version,
        body: Body::Intact,
        delay_ns: MS,
    };
    let mut events: Vec<PlantedEvent> = (1..=3).map(event).collect();
    let request = |history: &mut History, version: usize, change: fn(&mut Request)| {
        change(&mut history.requests.open()[attempts[version - 1] as usize]);
    };
    let counts = match fate {
        PlantedFate::Clean => vec![],
        PlantedFate::SeenBeforeItsAnswer => {
            events[1].delay_ns = -2 * MS;
            vec![]
        }
        PlantedFate::SlowWithinBounds => {
            events[2].delay_ns = 14 * S;
            vec![]
        }
        PlantedFate::RetriedAndTold => {
            request(history, 3, |r| {
                (r.outcome, r.told_version) = (Outcome::Unknown, 0)
            });
            let retry = offer(history, order, Intent::Commit, Outcome::Committed) as usize;
            history.requests.open()[retry].told_version = 3;
            history.requests.open()[retry].change = attempts[2];
            vec![]
        }
        PlantedFate::RolledBackBetween => {
            veto(history, order);
            vec![]
        }
        PlantedFate::NotSentBetween => {
            offer(history, order, Intent::Commit, Outcome::NotSent);
            vec![]
        }
        PlantedFate::ReplayedWhole => {
            events.extend_from_within(..);
            vec![(Metric::Duplicated, 3)]
        }
        PlantedFate::RepeatedInPlace(times) => {
            (0..times).for_each(|_| events.insert(1, events[1]));
            vec![(Metric::Duplicated, times.into())]
        }
        PlantedFate::Lost(versions) => {
            events.truncate(3 - usize::from(versions));
            vec![(Metric::Lost, versions.into())]
        }
        PlantedFate::Undrained => {
            let held = events.pop().unwrap().attempt;
            history.pending.push(Pending {
                attempt: held,
                state: PendingState::OutboxRow,
                lsn: 0,
            });
            vec![(Metric::Undrained, 1)]
        }
        PlantedFate::Phantom => {
            let attempt = veto(history, order);
            events.push(PlantedEvent {
                attempt,
                version: 4,
                ..event(3)
            });
            vec![(Metric::Phantom, 1)]
        }
        PlantedFate::PhantomVersionUsedAgain => {
            let attempt = veto(history, order);
            events.insert(
                1,
                PlantedEvent {
                    attempt,
                    ..event(2)
                },
            );
            vec![(Metric::Phantom, 1)]
        }
        PlantedFate::Foreign => {
            let nobody = PlantedEvent {
                attempt: NONE,
                order: NONE,
                version: 0,
                body: Body::Foreign,
                ..event(1)
            };
            events.push(nobody);
            vec![(Metric::Foreign, 1)]
        }
        PlantedFate::Swapped => {
            events.swap(1, 2);
            vec![(Metric::Reordered, 1)]
        }
        PlantedFate::Backwards => {
            events.reverse();
            vec![(Metric::Reordered, 2)]
        }
        PlantedFate::Split => {
            events[1].partition = 1 - partition;
            vec![(Metric::Split, 1)]
        }
        PlantedFate::Corrupted => {
            events[1].body = Body::Damaged;
            vec![(Metric::Corrupted, 1), (Metric::Lost, 1)]
        }
        PlantedFate::WrongKey => {
            events[1].order = order + 1;
            vec![(Metric::Corrupted, 1), (Metric::Lost, 1)]
        }
        PlantedFate::Missing => {
            let promised = offer(history, order, Intent::Commit, Outcome::Committed) as usize;
            history.requests.open()[promised].told_version = 3;
            vec![(Metric::Missing, 1)]
        }
        PlantedFate::DoubleApplied => {
            let retry = commit(history, order, 4);
            history.requests.open()[retry as usize].change = attempts[2];
            history.truth.open().last_mut().unwrap().change = attempts[2];
            events.push(PlantedEvent {
                attempt: retry,
                version: 4,
                ..event(3)
            });
            vec![(Metric::DoubleApplied, 1)]
        }
        PlantedFate::FalseRejection => {
            request(history, 3, |r| {
                (r.outcome, r.told_version) = (Outcome::Rejected, 0)
            });
            vec![(Metric::FalseRejection, 1)]
        }
        PlantedFate::Unacknowledged => {
            request(history, 3, |r| {
                (r.outcome, r.told_version) = (Outcome::Unknown, 0)
            });
            vec![(Metric::Unacknowledged, 1)]
        }
        PlantedFate::Late => {
            events[0].delay_ns = 16 * S;
            vec![(Metric::Late, 1)]
        }
    };
    (events, counts)
}

/// Builds the run; `picks`, taken round and round, decide whose event comes next.
fn run(fates: &[PlantedFate], picks: &[usize]) -> (History, BTreeMap<String, u64>) {
    let mut history = clean(0, StrategyKind::Cdc {});
    let mut expected = BTreeMap::new();
    let mut queues: Vec<VecDeque<PlantedEvent>> = Vec::new();
    for (order, fate) in fates.iter().enumerate() {
        let (events, counts) = live(&mut history, order as u32, *fate);
        queues.push(events.into());
        for (metric, n) in counts {
            *expected.entry(metric.name()).or_default() += n;
        }
    }
    let mut picks = picks.iter().cycle();
    while queues.iter().any(|q| !q.is_empty()) {
        let waiting: Vec<usize> = (0..queues.len())
            .filter(|n| !queues[*n].is_empty())
            .collect();
        let next = waiting[picks.next().unwrap() % waiting.len()];
        let event = queues[next].pop_front().unwrap();
        let answered = history.requests.get(event.attempt as usize);
        let at_ns = answered.map_or(FROM, |r| r.ended_ns) + event.delay_ns;
        let names = (event.attempt, event.order, event.version);
        record(&mut history, event.partition, names, event.body, at_ns);
    }
    finish(&mut history);
    (history, expected)
}

proptest! {
    #![proptest_config(cases(200))]
    #[test]
    fn what_was_planted_is_what_is_reported(
        fates in prop::collection::vec(fate(), 1..25),
        picks in prop::collection::vec(any::<usize>(), 1..100),
    ) {
        let (history, expected) = run(&fates, &picks);
        let judgement = judged(&history);
        prop_assert_eq!(counted(&judgement), expected);
        let accounting = judgement.reasons.iter().find(|r| r.contains("accounting"));
        prop_assert_eq!(accounting, None);
        for finding in &judgement.findings {
            prop_assert_eq!(finding.examples.len() as u64, finding.count.min(5));
        }
    }

    #[test]
    fn harmless_fates_alone_never_fail(
        picks in prop::collection::vec(any::<usize>(), 1..100),
        order in prop::collection::vec(0..8usize, 1..25),
    ) {
        use PlantedFate::*;
        let harmless = [
            Clean, SeenBeforeItsAnswer, SlowWithinBounds, RetriedAndTold,
            RolledBackBetween, NotSentBetween, ReplayedWhole, RepeatedInPlace(2),
        ];
        let fates: Vec<PlantedFate> = order.iter().map(|n| harmless[*n]).collect();
        let (history, _) = run(&fates, &picks);
        let judgement = judged(&history);
        prop_assert_ne!(judgement.verdict, crate::checkers::Verdict::Fail);
        prop_assert!(judgement.expectations.iter().all(|c| c.met != Some(false)));
    }
}

#[test]
fn the_fates_cover_every_count_that_a_relay_can_have() {
    use PlantedFate::*;
    let fates = [
        RepeatedInPlace(1),
        Lost(1),
        Undrained,
        Phantom,
        Foreign,
        Swapped,
        Split,
        Corrupted,
        Missing,
        DoubleApplied,
        FalseRejection,
        Unacknowledged,
        Late,
    ];
    let (history, expected) = run(&fates, &[0]);
    assert_eq!(counted(&judged(&history)), expected);
    assert_eq!(
        expected.len(),
        COUNTS.len() - 2,
        "all but undecided and overtaken: {expected:?}"
    );
}
