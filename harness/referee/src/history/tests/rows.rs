//! Whatever rows are packed, the same rows come back: one by one, in order, backwards, from files.

use crate::checkers::fixture::cases;
use crate::history::reader::read_table;
use crate::history::row_store::RowStore;
use crate::history::writer::write_table;
use crate::history::{
    Body, CachedRow, Intent, LogRow, NONE, Outcome, Places, ReadOutcome, ReadRow, ReadSource,
    Request, Row, Rows, Sighting, Stage, TraceRow, Tracer, TruthRow,
};
use proptest::prelude::*;
use proptest::sample::select;
use std::fmt::Debug;

/// Any number; often one next to where something overflows, or close to its neighbours.
fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => 1_000_000_000_000i64..1_000_001_000_000,
        2 => -3i64..4,
        1 => any::<i64>(),
        1 => select(vec![i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX, 1 << 56, 1 << 57, -(1 << 57)]),
    ]
}

fn small() -> impl Strategy<Value = u32> {
    prop_oneof![
        6 => 0u32..2_000,
        1 => any::<u32>(),
        1 => select(vec![NONE, NONE - 1, i32::MAX as u32]),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let all = [
        Outcome::NotSent,
        Outcome::Committed,
        Outcome::Rejected,
        Outcome::Unknown,
    ];
    let codes = (
        0u8..5,
        select(vec![Intent::Commit, Intent::Hold, Intent::Veto]),
        select(all.to_vec()),
        any::<u16>(),
    );
    let numbers = prop::array::uniform3(small());
    let times = prop::array::uniform4(number());
    (codes, numbers, times).prop_map(|(codes, n, t)| Request {
        change: n[0],
        order: n[1],
        change_type: codes.0,
        intent: codes.1,
        outcome: codes.2,
        status: codes.3,
        told_version: n[2],
        intended_ns: t[0],
        sent_ns: t[1],
        ended_ns: t[2],
        lag_ns: t[3],
        held_back: codes.3 % 2 == 1,
    })
}

fn truth() -> impl Strategy<Value = TruthRow> {
    prop::array::uniform4(small()).prop_map(|n| TruthRow {
        order: n[0],
        version: n[1],
        attempt: n[2],
        change: n[3],
    })
}

fn log() -> impl Strategy<Value = LogRow> {
    let body = select(vec![Body::Intact, Body::Damaged, Body::Foreign]);
    let numbers = prop::array::uniform3(small());
    (any::<i32>(), number(), number(), numbers, body).prop_map(
        |(partition, offset, append_ms, n, body)| LogRow {
            partition,
            offset,
            append_ms,
            attempt: n[0],
            order: n[1],
            version: n[2],
            body,
        },
    )
}

fn sighting() -> impl Strategy<Value = Sighting> {
    (any::<i32>(), number(), number()).prop_map(|(partition, offset, seen_ns)| Sighting {
        partition,
        offset,
        seen_ns,
    })
}

fn step() -> impl Strategy<Value = TraceRow> {
    let tracer = select(vec![Tracer::OrderService, Tracer::Relay]);
    let stage = select(Stage::ALL.to_vec());
    let numbers = prop::array::uniform3(small());
    (tracer, numbers, number(), stage, any::<u64>()).prop_map(
        |(tracer, n, at_ns, stage, detail)| TraceRow {
            tracer,
            pid: n[0],
            at_ns,
            attempt: n[1],
            version: n[2],
            stage,
            detail,
        },
    )
}

fn read() -> impl Strategy<Value = ReadRow> {
    let outcomes = [
        ReadOutcome::NotSent,
        ReadOutcome::Answered,
        ReadOutcome::NotFound,
        ReadOutcome::Failed,
    ];
    let sources = [
        ReadSource::Unknown,
        ReadSource::Cache,
        ReadSource::Database,
        ReadSource::Fallback,
    ];
    let codes = (select(outcomes.to_vec()), select(sources.to_vec()));
    let times = prop::array::uniform4(number());
    (codes, small(), small(), times, any::<bool>()).prop_map(
        |(codes, order, version, t, held_back)| ReadRow {
            order,
            intended_ns: t[0],
            sent_ns: t[1],
            ended_ns: t[2],
            lag_ns: t[3],
            held_back,
            outcome: codes.0,
            source: codes.1,
            version,
        },
    )
}

fn cached() -> impl Strategy<Value = CachedRow> {
    (small(), small()).prop_map(|(order, version)| CachedRow { order, version })
}

fn come_back<R>(plain: &[R]) -> Result<(), TestCaseError>
where
    R: Row + PartialEq + Debug,
    Rows<R>: RowStore,
{
    let rows: Rows<R> = plain.iter().copied().collect();
    prop_assert_eq!(rows.len(), plain.len());
    prop_assert!(rows.iter().eq(plain.iter().copied()));
    let numbered = plain.iter().copied().enumerate();
    prop_assert!(rows.numbered().eq(numbered.clone()));
    prop_assert!(rows.numbered().rev().eq(numbered.rev()));
    prop_assert!(rows.iter().rev().eq(plain.iter().rev().copied()));
    prop_assert!(
        rows.iter()
            .skip(3)
            .step_by(5)
            .eq(plain.iter().skip(3).step_by(5).copied())
    );
    prop_assert!(rows.range(2..9).eq(plain.iter().skip(2).take(7).copied()));
    for number in 0..=plain.len() {
        prop_assert_eq!(rows.get(number), plain.get(number).copied());
    }
    prop_assert_eq!(rows.last(), plain.last().copied());
    let folder = tempfile::tempdir().unwrap();
    write_table(folder.path(), &rows).unwrap();
    let read: Rows<R> = read_table(folder.path()).unwrap();
    prop_assert_eq!(read, rows);
    Ok(())
}

proptest! {
    #![proptest_config(cases(64))]
    #[test]
    fn any_rows_come_back_from_where_they_are_packed(
        requests in prop::collection::vec(request(), 0..60),
        truth in prop::collection::vec(truth(), 0..60),
        log in prop::collection::vec(log(), 0..60),
        sightings in prop::collection::vec(sighting(), 0..60),
        trace in prop::collection::vec(step(), 0..60),
        reads in prop::collection::vec(read(), 0..60),
        cached in prop::collection::vec(cached(), 0..60),
    ) {
        come_back(&requests)?;
        come_back(&truth)?;
        come_back(&log)?;
        come_back(&sightings)?;
        come_back(&trace)?;
        come_back(&reads)?;
        come_back(&cached)?;
    }

    #[test]
    fn rows_are_sorted_as_a_list_is(truth in prop::collection::vec(truth(), 0..60)) {
        let rows: Rows<TruthRow> = truth.iter().copied().collect();
        let mut sorted = truth;
        sorted.sort_by_key(|row| (row.order, row.version));
        let own = rows.sorted_by_key(|row| (row.order, row.version));
        prop_assert!(own.iter().eq(sorted.iter().copied()));
        let least = (100, 1);
        let first = own.partition_point(0..own.len(), |row| (row.order, row.version) < least);
        prop_assert_eq!(first, sorted.partition_point(|row| (row.order, row.version) < least));
    }

    #[test]
    fn a_record_is_found_by_its_place_whatever_was_asked_before(
        places in prop::collection::btree_set((0i32..4, 0i64..30), 0..60),
        asked in prop::collection::vec((-1i32..5, -1i64..31), 0..60),
    ) {
        let row = |(partition, offset)| LogRow {
            partition,
            offset,
            append_ms: 0,
            attempt: 0,
            order: 0,
            version: 1,
            body: Body::Intact,
        };
        let log: Rows<LogRow> = places.iter().copied().map(row).collect();
        let mut found = Places::new(&log);
        for (partition, offset) in asked {
            let expected = places.iter().position(|place| *place == (partition, offset));
            prop_assert_eq!(found.row(partition, offset), expected);
        }
    }
}
