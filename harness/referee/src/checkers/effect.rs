//! What can be a fault's effect, of times: those of changes that a fault overlaps, beside those that
//! were over before the first fault began and show whether the strategy was as slow by itself. (Of
//! counts, the tally keeps both.)

use super::context::Context;
use crate::history::Request;
use crate::measure::{Latencies, Recorder, latencies_where};
use crate::scenario::LatencyKind;
use crate::view::Span;

/// An effect has the latencies of one kind: those that a fault overlaps, and those before all faults.
pub struct Effect {
    /// These are the latencies of what a fault overlaps.
    pub within: Recorder,
    /// Of what was over before the first fault began.
    pub before: Recorder,
}

impl Effect {
    /// Measures the latency of this kind, of changes that a fault overlaps and of those before all faults.
    pub fn of(context: &Context<'_>, kind: LatencyKind) -> Self {
        let until_seen = kind != LatencyKind::Order;
        let of_it = |latencies: Latencies| match kind {
            LatencyKind::Order => latencies.order,
            LatencyKind::Propagation => latencies.propagation,
            LatencyKind::EndToEnd => latencies.end_to_end,
        };
        let within = |span: Span| context.view.windows.iter().any(|w| w.span.overlaps(span));
        let before = |span: Span| context.view.is_before_faults(span);
        Self {
            within: of_it(latencies_where(&context.view, until_seen, within)),
            before: of_it(latencies_where(&context.view, until_seen, before)),
        }
    }
}

/// When the last change that a fault overlaps was first seen, of those that `counts` lets count, with
/// how many there are; `None` for the time if one of them never was.
pub fn last_sight_ns(
    context: &Context<'_>,
    counts: impl Fn(Request) -> bool,
) -> (u64, Option<i64>) {
    let join = &context.view.join;
    let mut count = 0;
    let mut last_ns = Some(i64::MIN);
    for slot in 0..join.truth.len() {
        if !join.request(slot).is_some_and(&counts) {
            continue;
        }
        let span = context.view.delivery_span(slot);
        if context.view.windows.iter().any(|w| w.span.overlaps(span)) {
            count += 1;
            last_ns = last_ns.zip(join.seen(slot)).map(|(last, at)| last.max(at));
        }
    }
    (count, last_ns)
}
