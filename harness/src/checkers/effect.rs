//! What can be a fault's effect, of times: those of changes that a fault overlaps, beside those that
//! were over before the first fault began and show whether the strategy was as slow by itself. (Of
//! counts, the tally keeps both.)

use super::context::Context;
use super::window::Span;
use crate::history::{Outcome, Request};
use crate::measure::Recorder;
use crate::scenario::LatencyKind;

/// Latencies of one kind.
#[derive(Default)]
pub struct Effect {
    /// Of what a fault overlaps.
    pub within: Recorder,
    /// Of what was over before the first fault began.
    pub before: Recorder,
}

impl Effect {
    /// Of one latency.
    pub fn of(context: &Context<'_>, kind: LatencyKind) -> Self {
        let mut effect = Self::default();
        match kind {
            LatencyKind::Order => {
                for request in &context.history().requests {
                    if let Some(took_ns) = answered_in(request) {
                        effect.add(context, context.request_span(request), took_ns);
                    }
                }
            }
            LatencyKind::Propagation => effect.add_events(context, |request| {
                (request.outcome == Outcome::Committed).then_some(request.ended_ns)
            }),
            LatencyKind::EndToEnd => {
                effect.add_events(context, |request| Some(request.intended_ns));
            }
        }
        effect
    }

    /// Of all that was committed, from what `since` says to the first sight.
    fn add_events(&mut self, context: &Context<'_>, since: impl Fn(Request) -> Option<i64>) {
        let join = &context.join;
        for slot in 0..join.truth.len() {
            let Some(since_ns) = join.request(slot).and_then(&since) else {
                continue;
            };
            let took_ns = join.seen(slot).map(|at| at.saturating_sub(since_ns));
            self.add(context, context.delivery_span(slot), took_ns);
        }
    }

    fn add(&mut self, context: &Context<'_>, span: Span, took_ns: Option<i64>) {
        if context.windows.iter().any(|w| w.span.overlaps(span)) {
            self.within.record(took_ns);
        } else if context.is_before_faults(span) {
            self.before.record(took_ns);
        }
    }
}

/// Until the answer; no time where there was none, and nothing for what was refused.
fn answered_in(request: Request) -> Option<Option<i64>> {
    match request.outcome {
        Outcome::Committed => Some(Some(request.ended_ns.saturating_sub(request.intended_ns))),
        Outcome::Unknown | Outcome::NotSent => Some(None),
        Outcome::Rejected => None,
    }
}

/// When the last change that a fault overlaps was first seen, of those that `counts` lets count, with
/// how many there are; `None` for the time if one of them never was.
pub fn last_sight_ns(
    context: &Context<'_>,
    counts: impl Fn(Request) -> bool,
) -> (u64, Option<i64>) {
    let join = &context.join;
    let mut count = 0;
    let mut last_ns = Some(i64::MIN);
    for slot in 0..join.truth.len() {
        if !join.request(slot).is_some_and(&counts) {
            continue;
        }
        let span = context.delivery_span(slot);
        if context.windows.iter().any(|w| w.span.overlaps(span)) {
            count += 1;
            last_ns = last_ns.zip(join.seen(slot)).map(|(last, at)| last.max(at));
        }
    }
    (count, last_ns)
}
