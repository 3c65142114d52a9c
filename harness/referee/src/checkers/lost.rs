//! Lost: committed, no valid event on the fenced topic, and nothing that could still deliver it.

use super::context::Context;
use super::fate::{Fate, Fates};
use super::tally::Tally;

/// Counts committed changes whose event is gone.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    for slot in Fates::new(context).slots(Fate::Lost) {
        let span = context.view.delivery_span(slot);
        tally.add(span, || {
            let what = format!(
                "committed ({}), no event on the topic{}",
                context.answer_of(slot),
                context.meanwhile(span)
            );
            context.slot_offence(slot, &what)
        });
    }
}
