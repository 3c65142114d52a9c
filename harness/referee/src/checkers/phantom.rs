//! Phantom: an event offered in this run whose attempt is not committed at that version. Counted
//! by record: each of them misled whoever read it.

use super::context::Context;
use super::tally::Tally;
use crate::view::Class;

/// Counts events of what was never committed.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    let join = &context.view.join;
    for row in join.rows_of(Class::Phantom) {
        let span = context.view.record_span(row);
        tally.add(span, || {
            let record = join.log.at(row);
            let truth = match (
                join.slot(record.order, record.version),
                join.slot_of(record.attempt),
            ) {
                (_, Some(slot)) => format!(
                    "but its attempt is committed as version {}",
                    join.truth.at(slot).version
                ),
                (Some(_), None) => "but another attempt made that version".to_owned(),
                (None, None) => "but it is not in the database".to_owned(),
            };
            let answer = match context.history().requests.get(record.attempt as usize) {
                Some(request) => format!(" ({})", context.answer(request)),
                None => String::new(),
            };
            let what = format!(
                "event on the topic ({}), {truth}{answer}{}",
                context.place(row),
                context.meanwhile(span)
            );
            context.record_offence(row, &what)
        });
    }
}
