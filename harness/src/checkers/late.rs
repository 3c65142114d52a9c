//! Late: valid, first seen later than the scenario's `late_after` after its answer (or after the
//! request's end, when there was none).

use super::context::Context;
use super::tally::Tally;

/// Counts events that came, but too late. One that no live observer saw counts by its append.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    let join = &context.join;
    let limit = context.history().meta.scenario.drain.late_after;
    let limit_ns = i64::try_from(limit.as_nanos()).unwrap_or(i64::MAX);
    for slot in 0..join.truth.len() {
        let Some(request) = join.request(slot) else {
            continue;
        };
        let Some(row) = join.first_row(slot) else {
            continue;
        };
        let seen_ns = join.seen(slot).unwrap_or_else(|| join.appended_ns(row));
        let delay_ns = seen_ns.saturating_sub(request.ended_ns);
        if delay_ns <= limit_ns {
            continue;
        }
        let span = context.delivery_span(slot);
        tally.add(span, || {
            let what = format!(
                "{}, first seen at {}, {:.3} s later{}",
                context.answer(request),
                context.at(seen_ns),
                delay_ns as f64 / 1e9,
                context.meanwhile(span)
            );
            context.slot_offence(slot, &what)
        });
    }
}
