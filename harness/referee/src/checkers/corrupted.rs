//! Corrupted: key or value are not what the event's attempt implies.

use super::context::Context;
use super::raw_reason::raw_reason;
use super::tally::Tally;
use crate::view::Class;

/// Counts damaged records of this run.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    for row in context.view.join.rows_of(Class::Corrupted) {
        tally.add(context.view.record_span(row), || {
            let what = format!(
                "the record at {} is not what its attempt implies{}",
                context.place(row),
                raw_reason(context, row)
            );
            context.record_offence(row, &what)
        });
    }
}
