//! Late: valid, first seen later than the scenario's `late_after` after its answer (or after the
//! request's end, when there was none).

use super::context::Context;
use super::tally::Tally;
use crate::history::Request;
use crate::view::Join;

/// Counts events that came, but too late. One that no live observer saw counts by its append.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    let join = &context.view.join;
    let limit = context.history().meta.scenario.drain.late_after;
    let limit_ns = i64::try_from(limit.as_nanos()).unwrap_or(i64::MAX);
    let late = |slot: usize, request: Request| {
        let arrived_ns = arrived_ns(join, slot)?;
        let delay_ns = arrived_ns.saturating_sub(request.ended_ns);
        (delay_ns > limit_ns).then_some((arrived_ns, delay_ns))
    };
    // By attempts it is a shorter look than by slots, and nearly always there is nothing to be found.
    let mut attempts = join.history.requests.numbered();
    let any = attempts.any(|(attempt, request)| {
        let slot = join.slot_of(attempt as u32);
        slot.is_some_and(|slot| late(slot, request).is_some())
    });
    if !any && join.repeated().next().is_none() {
        return;
    }
    for slot in 0..join.truth.len() {
        let Some(request) = join.request(slot) else {
            continue;
        };
        let Some((arrived_ns, delay_ns)) = late(slot, request) else {
            continue;
        };
        let span = context.view.delivery_span(slot);
        tally.add(span, || {
            let what = format!(
                "{}, first seen at {}, {:.3} s later{}",
                context.answer(request),
                context.at(arrived_ns),
                delay_ns as f64 / 1e9,
                context.meanwhile(span)
            );
            context.slot_offence(slot, &what)
        });
    }
}

/// Returns when an event came: its first sight, or else its append; `None` for one that never came.
fn arrived_ns(join: &Join<'_>, slot: usize) -> Option<i64> {
    let row = join.first_row(slot)?;
    Some(join.seen(slot).unwrap_or_else(|| join.on_topic_ns(row)))
}
