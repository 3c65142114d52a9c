//! Many changes in few orders, and few in many: the same counts, and no more work than there are
//! changes.

use crate::checkers::fixture::*;
use crate::checkers::{Judgement, Verdict, judge};
use crate::history::{Body, History, Intent, LogRow, Outcome, Request, Sighting, TruthRow};
use crate::scenario::{Metric, StrategyKind};
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// So many orders of so many changes each, 100 us apart, each change sent after the answer to the
/// one before and before its event is seen; at the end one that is rolled back. Built row by row:
/// what looks a row's place up is no measure of anything.
fn large(orders: u32, changes: u32) -> History {
    let mut history = clean(0, StrategyKind::Cdc {});
    let origin_ms = (history.meta.clock.origin_unix_ns / 1_000_000) as i64;
    let step_ns = MS / 10;
    let mut offsets = [0i64; PARTITIONS as usize];
    for version in 1..=changes {
        for order in 0..orders {
            let attempt = history.requests.len() as u32;
            let at_ns = FROM + i64::from(attempt) * step_ns;
            history.requests.push(Request {
                change: attempt,
                order,
                change_type: 0,
                intent: Intent::Commit,
                outcome: Outcome::Committed,
                status: 200,
                told_version: version,
                intended_ns: at_ns,
                sent_ns: at_ns,
                ended_ns: at_ns + step_ns / 2,
                lag_ns: 0,
                held_back: false,
            });
            let (change, partition) = (attempt, order as i32 % PARTITIONS);
            history.truth.push(TruthRow {
                order,
                version,
                attempt,
                change,
            });
            let offset = &mut offsets[partition as usize];
            history.log.push(LogRow {
                partition,
                offset: *offset,
                append_ms: origin_ms + at_ns / MS,
                attempt,
                order,
                version,
                body: Body::Intact,
            });
            let seen_ns = at_ns + 2 * MS;
            history.sightings.push(Sighting {
                partition,
                offset: *offset,
                seen_ns,
            });
            *offset += 1;
        }
    }
    let last = history.requests.last();
    veto(&mut history, 0);
    if let (Some(last), Some(veto)) = (last, history.requests.open().last_mut()) {
        (veto.intended_ns, veto.sent_ns) = (last.ended_ns, last.ended_ns);
        veto.ended_ns = last.ended_ns + step_ns;
    }
    finish(&mut history);
    history
}

/// A judgement and the processor's time that it took: other people's load does not count.
fn judged_in(history: &History) -> (Judgement, Duration) {
    let used = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
    let before = used();
    let judgement = judge(history, &[]);
    (judgement, used() - before)
}

#[test]
fn one_order_with_100_000_changes_and_100_000_orders_with_one() {
    for (orders, changes) in [(1, 100_000), (100_000, 1)] {
        let mut history = large(orders, changes);
        if orders > 1 {
            // One change an order: no two versions are in flight together.
            expecting(
                &mut history,
                vec![expect(
                    Metric::Lost,
                    crate::scenario::Comparison::Equal,
                    0.0,
                )],
            );
        }
        let judgement = judge(&history, &[]);
        assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
        assert_eq!(judgement.counts.committed, Some(100_000));
        assert_eq!(judgement.counts.observed, Some(100_000));
        // When every hundredth event is gone, and every hundredth after it is there twice
        let again: Vec<LogRow> = history.log.iter().skip(1).step_by(100).collect();
        let ends = history.partitions.clone();
        let mut number = 0;
        history.log.open().retain(|_| {
            number += 1;
            number % 100 != 1
        });
        for (n, mut row) in again.into_iter().enumerate() {
            row.offset = ends[row.partition as usize].end_offset + n as i64;
            history.log.push(row);
        }
        // Then they are counted, and nothing else
        let expected = [(Metric::Lost, 1_000), (Metric::Duplicated, 1_000)];
        let expected = expected.map(|(metric, n)| (metric.name(), n)).into();
        assert_eq!(counted(&judge(&history, &[])), expected);
    }
}

#[test]
#[ignore = "a measurement: run it alone, with --nocapture"]
fn ten_times_the_changes_take_ten_times_as_long() {
    for (name, one_order) in [("one order", true), ("one change an order", false)] {
        let mut before = None;
        for size in [10_000u32, 100_000, 1_000_000] {
            let (orders, changes) = if one_order { (1, size) } else { (size, 1) };
            let history = large(orders, changes);
            let (judgement, mut took) = judged_in(&history);
            for _ in 0..2 {
                took = took.min(judged_in(&history).1);
            }
            assert_eq!(judgement.counts.committed, Some(u64::from(size)));
            let ratio = before.map_or(0.0, |b: Duration| took.as_secs_f64() / b.as_secs_f64());
            eprintln!("{name}: {size} changes judged in {took:?} ({ratio:.1} times as long)");
            before = Some(took);
        }
    }
}
