//! What is counted of consumers, against a slow and obvious model.

use super::order::shipped;
use super::*;
use contract::consumer::OffsetCommit;
use proptest::prelude::*;

/// The slow and obvious model: counts by searching everything for each thing.
fn model(history: &History) -> BTreeMap<String, u64> {
    let log: Vec<_> = history.log.iter().collect();
    let truth: Vec<_> = history.truth.iter().collect();
    let effects: Vec<_> = history.effects.iter().filter(|e| e.consumer == 0).collect();
    let is_valid = |key: (u32, u32, u32)| {
        let stored = truth.iter().any(|t| (t.order, t.version, t.attempt) == key);
        let published = log.iter().any(|r| (r.order, r.version, r.attempt) == key);
        stored && published
    };
    let key = |e: &EffectRow| (e.order, e.version, e.attempt);
    let of_valid = effects.iter().filter(|e| is_valid(key(e))).count();
    let mut applied: Vec<_> = effects.iter().map(key).filter(|k| is_valid(*k)).collect();
    applied.sort_unstable();
    applied.dedup();
    let valid: Vec<_> = effects.iter().filter(|e| is_valid(key(e))).collect();
    let taken_back = (0..valid.len()).filter(|at| {
        let (now, mut before) = (valid[*at], valid[..*at].iter());
        before.any(|e| e.order == now.order && e.version > now.version)
    });
    let taken_back = taken_back.count();
    let end = &history.meta.consumers[0];
    let read = |key: (u32, u32, u32)| {
        let of_it = log
            .iter()
            .filter(|r| (r.order, r.version, r.attempt) == key);
        let first = of_it.min_by_key(|r| (r.partition, r.offset)).unwrap();
        let committed = end.committed.get(&first.partition);
        committed.is_some_and(|committed| *committed > first.offset)
    };
    let mut events: Vec<_> = log
        .iter()
        .map(|r| (r.order, r.version, r.attempt))
        .filter(|k| is_valid(*k) && !applied.contains(k) && read(*k))
        .collect();
    events.sort_unstable();
    events.dedup();
    let mut counts = BTreeMap::from([
        (
            Metric::AppliedTwice.name(),
            (of_valid - applied.len()) as u64,
        ),
        (
            Metric::AppliedUnseen.name(),
            (effects.len() - of_valid) as u64,
        ),
        (Metric::Unapplied.name(), events.len() as u64),
        (Metric::AppliedOutOfOrder.name(), taken_back as u64),
    ]);
    // One that commits after its effects had done all if nothing was left.
    let is_left = log.iter().any(|r| {
        end.committed
            .get(&r.partition)
            .is_none_or(|at| *at <= r.offset)
    });
    let consumer = &history.meta.scenario.consumers[0];
    if !end.was_alive && (is_left || consumer.commit == OffsetCommit::Before) {
        counts.insert(Metric::Unapplied.name(), 0);
    }
    counts.retain(|_, count| *count > 0);
    counts
}

fn effects() -> impl Strategy<Value = Vec<EffectRow>> {
    let number = |below: u32| prop_oneof![12 => 0..below, 1 => Just(NONE)];
    let effect = (0..2u32, number(3), 0..5u32, number(14), 0..300i64);
    let effect = effect.prop_map(|(consumer, order, version, attempt, at_ms)| EffectRow {
        consumer,
        order,
        version,
        attempt,
        at_ns: FROM + at_ms * MS,
    });
    prop::collection::vec(effect, 0..6)
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn given_arbitrary_effects_when_judged_then_the_counts_are_those_of_the_slow_model(
        more in effects(),
        kept in prop::collection::vec(any::<bool>(), 9),
        again in prop::collection::vec((0..9usize, 0..PARTITIONS), 0..3),
        gone in prop::collection::vec(0..9usize, 0..3),
        come in prop::collection::btree_map(0..PARTITIONS, 0..8i64, 0..3),
        was_alive: bool,
        came_to_the_end: bool,
        commits_before: bool,
    ) {
        let mut history = shipped(3, Vec::new());
        let mut kept = kept.into_iter();
        history.effects.open().retain(|_| kept.next().unwrap_or(true));
        history.effects.extend(more);
        let made: Vec<_> = history.truth.iter().collect();
        for (which, partition) in again {
            let row = made[which];
            append(&mut history, partition, row.attempt, row.version, FROM + 60 * MS);
        }
        for which in gone {
            let attempt = made[which].attempt;
            if history.log.iter().any(|r| r.attempt == attempt) {
                unpublish(&mut history, attempt);
            }
        }
        finish(&mut history);
        let end = &mut history.meta.consumers[0];
        end.was_alive = was_alive;
        if came_to_the_end {
            let ends = history.partitions.iter().map(|p| (p.partition, p.end_offset));
            end.committed = ends.collect();
        } else {
            end.committed = come;
        }
        if commits_before {
            history.meta.scenario.consumers[0].commit = OffsetCommit::Before;
        }
        let second = history.meta.scenario.consumers[0].clone();
        history.meta.scenario.consumers.push(Consumer { name: "other".to_owned(), ..second });
        let context = crate::checkers::context::Context::new(&history);
        prop_assume!(context.reading.reasons().next().is_none());
        prop_assert_eq!(found(&judged(&history)).0, model(&history));
    }
}
