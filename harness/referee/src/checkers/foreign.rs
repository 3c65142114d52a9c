//! Foreign: an event of another run, or of nobody.

use super::context::Context;
use super::raw_reason::raw_reason;
use super::tally::Tally;
use crate::view::Class;

/// Counts records that nobody in this run can have meant.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    for row in context.view.join.rows_of(Class::Foreign) {
        tally.add(context.view.record_span(row), || {
            let what = format!(
                "the record at {} is not of this run{}",
                context.place(row),
                raw_reason(context, row)
            );
            context.record_offence(row, &what)
        });
    }
}
