//! Undecided: a publish that the teardown itself cut off, by killing a dual write's service that
//! did not stop in time. What would have become of it nobody knows: never called lost.

use super::context::Context;
use super::fate::{Fate, Fates};
use super::tally::Tally;

/// Counts committed changes whose publish the teardown cut off.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    for slot in Fates::new(context).slots(Fate::Undecided) {
        let span = context.view.delivery_span(slot);
        tally.add(span, || {
            let what = format!(
                "committed ({}), no event on the topic, and the teardown had to kill the \
                 order-service, which may still have been publishing it",
                context.answer_of(slot)
            );
            context.slot_offence(slot, &what)
        });
    }
}
