//! Arbitrary histories, possible or not: on each of them every checker agrees with the slow model.

use super::model::{model, outcomes};
use crate::checkers::fixture::*;
use crate::history::{
    Body, History, Intent, Life, NONE, Outcome, Pending, PendingState, Request, Sighting, TruthRow,
};
use crate::scenario::StrategyKind;
use proptest::prelude::*;
use proptest::sample::Index;

const ORDERS: u32 = 4;
const ATTEMPTS: u32 = 14;

type Record = (bool, Index, i32, u32, u32, u32, u8, i64);

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
            },
        )
}

/// An attempt or an order of this run, rarely one that nobody made.
fn number(below: u32) -> impl Strategy<Value = u32> {
    prop_oneof![9 => 0..below, 1 => Just(NONE)]
}

fn record() -> impl Strategy<Value = Record> {
    (
        prop::bool::weighted(0.75),
        any::<Index>(),
        0..3i32,
        number(ATTEMPTS),
        number(ORDERS),
        0..5u32,
        prop_oneof![6 => Just(0u8), 1 => Just(1), 1 => Just(2)],
        0..40 * S,
    )
}

prop_compose! {
    /// Any history.
    pub(crate) fn soup()(
        requests in prop::collection::vec(request(), 1..12),
        truth in prop::collection::btree_map((number(ORDERS), 1u32..5), number(ATTEMPTS), 0..12),
        keep_order in any::<bool>(),
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
        history.truth = truth
            .into_iter()
            .map(|((order, version), attempt)| TruthRow { order, version, attempt, change: attempt })
            .collect();
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
            let length = history.log.len() as i64;
            crate::checkers::fixture::record(&mut history, partition, names, body, at_ns);
            // Offsets with gaps, as transaction markers leave them.
            if let Some(row) = history.log.open().last_mut() {
                row.offset = length * 3;
            }
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
        if !keep_order {
            history.truth.open().reverse();
            history.log.open().reverse();
        }
        history
    }
}

proptest! {
    #![proptest_config(cases(500))]
    #[test]
    fn checkers_agree_with_the_slow_model_on_any_history(history in soup()) {
        let judgement = judged(&history);
        prop_assert_eq!(counted(&judgement), model(&history));
        prop_assert_eq!(judgement.outcomes, outcomes(&history));
    }

    #[test]
    fn the_topic_is_always_accounted_for(history in soup()) {
        let judgement = judged(&history);
        let observed = judgement.reasons.iter().find(|r| r.contains("records are on the topic"));
        prop_assert_eq!(observed, None);
        let offered = judgement.reasons.iter().find(|r| r.contains("attempts were offered"));
        prop_assert_eq!(offered, None);
    }

    #[test]
    fn a_promised_duplicate_never_hides_a_loss(history in soup()) {
        // What is published twice and what is lost add up to what is on the topic and what is not.
        let counts = judged(&history).counts;
        let explained = counts.duplicated + counts.phantom + counts.corrupted + counts.foreign;
        let first = counts.observed - explained;
        prop_assert_eq!(
            counts.committed,
            first + counts.lost + counts.undrained + counts.undecided
        );
    }
}
