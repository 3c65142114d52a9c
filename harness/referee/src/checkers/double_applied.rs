//! Double applied: one change at two versions.

use super::context::Context;
use super::tally::Tally;
use crate::view::Bits;

/// Counts versions made by a change that had made one already.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    let join = &context.view.join;
    let mut applied = Bits::new(context.client_answers().changes());
    for slot in 0..join.truth.len() {
        let Some(change) = join.change(slot) else {
            continue;
        };
        if !applied.get(change as usize) {
            applied.set(change as usize);
            continue;
        }
        let Some(request) = join.request(slot) else {
            continue;
        };
        let span = context.view.request_span(request);
        tally.add(span, || {
            let what = format!(
                "change {change} made this version ({}) and an earlier one{}",
                context.answer(request),
                context.meanwhile(span)
            );
            context.slot_offence(slot, &what)
        });
    }
}
