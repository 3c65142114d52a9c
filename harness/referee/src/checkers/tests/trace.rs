//! The trace is the word of the system under test: it explains a verdict and never makes one.

use super::arbitrary::arbitrary;
use crate::checkers::fixture::*;
use crate::history::{Stage, TraceRow, Tracer};
use proptest::prelude::*;

fn row() -> impl Strategy<Value = TraceRow> {
    let numbers = (0..60 * S, 0..20u32, 0..6u32, any::<u64>());
    let stage = prop::sample::select(&Stage::ALL[..]);
    let tracer = prop::sample::select(&[Tracer::OrderService, Tracer::Relay][..]);
    (tracer, stage, numbers).prop_map(|(tracer, stage, (at_ns, attempt, version, detail))| {
        TraceRow {
            tracer,
            pid: 7,
            at_ns,
            attempt,
            version,
            stage,
            detail,
        }
    })
}

proptest! {
    #![proptest_config(cases(200))]
    #[test]
    fn whatever_the_trace_says_the_judgement_is_the_same(
        history in arbitrary(),
        trace in prop::collection::vec(row(), 1..40),
        cut in prop::option::of(0..60 * S),
    ) {
        let without = format!("{:?}", judged(&history));
        let mut with = history;
        with.trace = trace.into_iter().collect();
        with.meta.trace_cut_ns = cut;
        with.meta.trace_dropped = 3;
        prop_assert_eq!(format!("{:?}", judged(&with)), without);
    }
}
