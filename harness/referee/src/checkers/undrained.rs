//! Undrained: committed, no valid event at the deadline, but the source still holds it.

use super::context::Context;
use super::fate::{Fate, Fates};
use super::tally::Tally;

/// Counts committed changes that the source still holds.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    for slot in Fates::new(context).slots(Fate::Undrained) {
        let span = context.view.delivery_span(slot);
        tally.add(span, || {
            let what = format!(
                "committed ({}), not published within the drain's bound, still held by the source",
                context.answer_of(slot)
            );
            context.slot_offence(slot, &what)
        });
    }
}
