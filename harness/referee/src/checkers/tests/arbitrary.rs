//! Arbitrary histories, possible or not: on each of them every checker agrees with the slow model.

use super::model::{contradictions, model, outcomes};
use crate::checkers::Verdict;
use crate::checkers::fixture::*;
use crate::history::{
    Body, History, Intent, Life, LogRow, NONE, Outcome, Pending, PendingState, Request, Rows,
    Sighting, TruthRow,
};
use crate::scenario::StrategyKind;
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeMap;

const ORDERS: u32 = 4;
const ATTEMPTS: u32 = 14;

type ArbitraryRecord = (bool, Index, i32, u32, u32, u32, u8, i64);

/// How much of a history is as a run leaves it: each shortcut of the checkers is for some of that.
#[derive(Debug, Clone, Copy)]
struct Tidy {
    /// The versions of an order are 1, 2, 3, ...
    versions: bool,
    /// A version was made by an attempt at its order, where there is one.
    attempts: bool,
    /// It is stored as the change of its attempt.
    changes: bool,
    /// Records are on their order's partition, by version.
    records: bool,
    /// The tables of the database and of the topic are in order, and not reversed.
    rows: bool,
}

fn tidy() -> impl Strategy<Value = Tidy> {
    let any = prop::array::uniform5(any::<bool>());
    any.prop_map(|[versions, attempts, changes, records, rows]| Tidy {
        versions,
        attempts,
        changes,
        records,
        rows,
    })
}

fn request() -> impl Strategy<Value = Request> {
    (
        0..10u32,
        0..ORDERS,
        0..4usize,
        0..5u32,
        0..20_000i64,
        0..30_000i64,
    )
        .prop_map(
            |(change, order, outcome, told_version, sent_ms, took_ms)| Request {
                change,
                order,
                change_type: 0,
                intent: Intent::Commit,
                outcome: [
                    Outcome::NotSent,
                    Outcome::Committed,
                    Outcome::Rejected,
                    Outcome::Unknown,
                ][outcome],
                status: 0,
                told_version,
                intended_ns: sent_ms * MS,
                sent_ns: sent_ms * MS,
                ended_ns: (sent_ms + took_ms) * MS,
                lag_ns: 0,
                held_back: false,
            },
        )
}

/// An attempt or an order of this run, rarely one that nobody made.
fn number(below: u32) -> impl Strategy<Value = u32> {
    prop_oneof![9 => 0..below, 1 => Just(NONE)]
}

/// The attempt that made a version: any, and one among those at its order; the change it is
/// stored as.
fn made() -> impl Strategy<Value = (u32, Index, u32)> {
    (number(ATTEMPTS), any::<Index>(), 0..10u32)
}

fn record() -> impl Strategy<Value = ArbitraryRecord> {
    (
        prop::bool::weighted(0.75),
        any::<Index>(),
        -1..3i32,
        number(ATTEMPTS),
        number(ORDERS),
        0..5u32,
        prop_oneof![6 => Just(0u8), 1 => Just(1), 1 => Just(2)],
        0..40 * S,
    )
}

fn home(order: u32) -> i32 {
    (order % 3) as i32
}

/// What the database holds.
fn rows(
    requests: &Rows<Request>,
    truth: BTreeMap<(u32, u32), (u32, Index, u32)>,
    tidy: Tidy,
) -> Rows<TruthRow> {
    let mut versions = BTreeMap::new();
    let row = |((order, version), (any, pick, change)): ((u32, u32), (u32, Index, u32))| {
        let next = versions.entry(order).or_insert(0);
        *next += 1;
        let own: Vec<u32> = (0..)
            .zip(requests)
            .filter(|(_, request)| request.order == order)
            .map(|(attempt, _)| attempt)
            .collect();
        let attempt = if tidy.attempts && !own.is_empty() {
            *pick.get(&own)
        } else {
            any
        };
        let request = requests.get(attempt as usize);
        TruthRow {
            order,
            version: if tidy.versions { *next } else { version },
            attempt,
            change: request
                .filter(|_| tidy.changes)
                .map_or(change, |r| r.change),
        }
    };
    truth.into_iter().map(row).collect()
}

/// Has the records of each order come by version.
fn by_version(history: &mut History) {
    let mut log: Vec<LogRow> = history.log.iter().collect();
    let places: Vec<i64> = log.iter().map(|row| row.offset).collect();
    log.sort_by_key(|row| (row.order, row.version));
    for (row, offset) in log.iter_mut().zip(places) {
        row.offset = offset;
    }
    history.log = log.into_iter().collect();
}

prop_compose! {
    /// Generates any history, whether or not a run could leave it.
    pub(crate) fn arbitrary()(
        requests in prop::collection::vec(request(), 1..12),
        truth in prop::collection::btree_map((number(ORDERS), 1u32..5), made(), 0..12),
        tidy in tidy(),
        records in prop::collection::vec(record(), 0..24),
        sights in prop::collection::vec((any::<Index>(), 0..40 * S), 0..30),
        ghosts in 0..2usize,
        held in prop::collection::vec(number(ATTEMPTS), 0..3),
        dual in any::<bool>(),
        killed in any::<bool>(),
        start in prop::option::of(0..20 * S),
    ) -> History {
        let kind = if dual { naive() } else { StrategyKind::Cdc {} };
        let mut history = clean(0, kind);
        history.requests = requests.into_iter().collect();
        history.truth = rows(&history.requests, truth, tidy);
        // Events that mostly are of what is committed, so that valid ones are common.
        for (valid, pick, partition, attempt, order, version, body, at_ns) in records {
            let body = [Body::Intact, Body::Damaged, Body::Foreign][usize::from(body)];
            let names = match (valid, history.truth.is_empty()) {
                (true, false) => {
                    let row = history.truth.at(pick.index(history.truth.len()));
                    (row.attempt, row.order, row.version)
                }
                _ => (attempt, order, version),
            };
            let partition = if tidy.records { home(names.1) } else { partition };
            let length = history.log.len() as i64;
            crate::checkers::fixture::record(&mut history, partition, names, body, at_ns);
            // Offsets with gaps, as transaction markers leave them.
            if let Some(row) = history.log.open().last_mut() {
                row.offset = length * 3;
            }
        }
        if tidy.records {
            by_version(&mut history);
        }
        history.sightings = sights
            .into_iter()
            .filter(|_| !history.log.is_empty())
            .map(|(pick, seen_ns)| {
                let row = history.log.at(pick.index(history.log.len()));
                Sighting { partition: row.partition, offset: row.offset, seen_ns }
            })
            .collect();
        for offset in 0..ghosts as i64 {
            history.sightings.push(Sighting { partition: 5, offset, seen_ns: 0 });
        }
        history.pending = held
            .into_iter()
            .map(|attempt| Pending { attempt, state: PendingState::Slot, lsn: 1 })
            .collect();
        history.meta.service_killed_at_teardown = killed;
        if let Some(at_ns) = start {
            process(&mut history, "order-service", at_ns, Life::Started, 0);
        }
        if !tidy.rows {
            history.truth.open().reverse();
            history.log.open().reverse();
        }
        history
    }
}

proptest! {
    #![proptest_config(cases(500))]
    #[test]
    fn checkers_agree_with_the_slow_model_on_any_history(history in arbitrary()) {
        let judgement = judged(&history);
        prop_assert_eq!(counted(&judgement), model(&history));
        prop_assert_eq!(judgement.outcomes, outcomes(&history));
    }

    #[test]
    fn what_contradicts_itself_is_named_and_fails(history in arbitrary()) {
        let judgement = judged(&history);
        let said = |words: &String| {
            let mut of_the_accounting = judgement.reasons.iter().filter(|r| r.starts_with("accounting"));
            of_the_accounting.any(|r| r.contains(words))
        };
        let contradictions = contradictions(&history);
        let kinds = ["versions made by attempts", "should be", "was for order", "stored as change"];
        for kind in kinds.map(str::to_owned) {
            let expected = contradictions.iter().any(|words| words.contains(&kind));
            prop_assert_eq!(said(&kind), expected, "{}: {:?}", kind, judgement.reasons);
        }
        prop_assert!(contradictions.iter().all(said), "{:?}", judgement.reasons);
        prop_assert!(contradictions.is_empty() || judgement.verdict == Verdict::Fail);
    }

    #[test]
    fn a_version_that_is_there_twice_fails_whatever_else_there_is(
        history in arbitrary(),
        order in 0..ORDERS,
        version in 1u32..5,
        attempts in (number(ATTEMPTS), number(ATTEMPTS)),
    ) {
        // Given a version of an order of this run twice, by two attempts or by one
        let mut history = history;
        for attempt in [attempts.0, attempts.1] {
            history.truth.push(TruthRow { order, version, attempt, change: attempt });
        }
        // When it is judged, then it fails
        let judgement = judged(&history);
        prop_assert!(judgement.reasons.iter().any(|r| r.contains("should be")));
        prop_assert_eq!(judgement.verdict, Verdict::Fail);
    }

    #[test]
    fn the_topic_is_always_accounted_for(history in arbitrary()) {
        let judgement = judged(&history);
        let observed = judgement.reasons.iter().find(|r| r.contains("records are on the topic"));
        prop_assert_eq!(observed, None);
        let offered = judgement.reasons.iter().find(|r| r.contains("attempts were offered"));
        prop_assert_eq!(offered, None);
    }

    #[test]
    fn a_promised_duplicate_never_hides_a_loss(history in arbitrary()) {
        // What is published twice and what is lost add up to what is on the topic and what is not.
        let counts = judged(&history).counts;
        let sum = |figures: &[Option<u64>]| figures.iter().copied().sum::<Option<u64>>();
        let explained = [counts.duplicated, counts.phantom, counts.corrupted, counts.foreign];
        let absent = [counts.lost, counts.undrained, counts.undecided];
        prop_assert!(counts.observed.is_some());
        prop_assert_eq!(
            sum(&[counts.committed, sum(&explained)]),
            sum(&[counts.observed, sum(&absent)])
        );
    }
}
