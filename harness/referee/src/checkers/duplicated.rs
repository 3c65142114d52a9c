//! Duplicated: valid events beyond the first for the same committed version. At-least-once allows
//! them; consumers must know how many to expect.

use super::context::Context;
use super::tally::Tally;
use crate::view::Class;

/// Counts repeated events. One that was published again because of a fault was committed before
/// the fault's heal and repeated after its injection, so its span runs from the intended start to
/// the repetition.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    let join = &context.view.join;
    for row in join.rows_of(Class::Duplicate) {
        let span = context.view.record_span(row);
        tally.add(span, || {
            let record = join.log.at(row);
            let first = join
                .slot(record.order, record.version)
                .and_then(|slot| join.first_row(slot))
                .map_or_else(String::new, |first| {
                    format!(" (first: {})", context.place(first))
                });
            let what = format!(
                "published again: {}{first}{}",
                context.place(row),
                context.meanwhile(span)
            );
            context.record_offence(row, &what)
        });
    }
}
