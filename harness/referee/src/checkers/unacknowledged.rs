//! Unacknowledged: committed, and the client was told nothing (timeout, reset, bare 5xx), neither
//! by this attempt nor by another at the same change: the ambiguous ones.

use super::context::Context;
use super::tally::Tally;

/// Counts committed versions of which the client knows nothing.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    let join = &context.view.join;
    let answers = context.client_answers();
    for slot in 0..join.truth.len() {
        let is_told = |change| answers.committed(change) || answers.rejected(change);
        if join.change(slot).is_none_or(is_told) {
            continue;
        }
        let Some(request) = join.request(slot) else {
            continue;
        };
        let span = context.view.request_span(request);
        tally.add(span, || {
            let what = format!(
                "committed, but the client was told nothing ({}){}",
                context.answer(request),
                context.meanwhile(span)
            );
            context.slot_offence(slot, &what)
        });
    }
}
