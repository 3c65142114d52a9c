//! False rejection: the client was told no in so many words, and the change is committed.

use super::context::Context;
use super::tally::Tally;

/// Counts committed versions whose client was told no.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    let join = &context.view.join;
    let answers = context.client_answers();
    for slot in 0..join.truth.len() {
        if !join.change(slot).is_some_and(|c| answers.rejected(c)) {
            continue;
        }
        let Some(request) = join.request(slot) else {
            continue;
        };
        let span = context.view.request_span(request);
        tally.add(span, || {
            let what = format!(
                "the client was told no, and it is committed ({}){}",
                context.answer(request),
                context.meanwhile(span)
            );
            context.slot_offence(slot, &what)
        });
    }
}
