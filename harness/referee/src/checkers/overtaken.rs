//! Overtaken: within one partition, by offset, over the first valid event of each change: those that
//! came behind the event of a change that happened after theirs, of whatever order. One change happened
//! after another if it was first sent when a client had learned already that the other is committed; of
//! two that were under way together either may come first.

use super::Offence;
use super::context::{Context, version_name};
use super::tally::Tally;
use crate::view::{Class, Span};

/// Of the changes whose events have come on this partition, the one that was sent last.
#[derive(Clone, Copy)]
struct Youngest {
    partition: i32,
    row: usize,
    sent_ns: i64,
}

/// Counts events behind one of a change that was sent after their own answer.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    let view = &context.view;
    let join = &view.join;
    let mut youngest: Option<Youngest> = None;
    for row in join.rows_of(Class::First) {
        let record = join.log.at(row);
        let Some(slot) = join.slot_of_row(row) else {
            continue;
        };
        let ahead = youngest.filter(|ahead| ahead.partition == record.partition);
        if let (Some(ahead), Some(answered_ns)) = (ahead, view.answered_ns(slot))
            && answered_ns < ahead.sent_ns
        {
            let span = time_of_it(context, row, slot);
            tally.add(span, || {
                let other = join.log.at(ahead.row);
                let what = format!(
                    "its event ({}) came after that of {}, which was sent at {}, when this one had been \
                     answered at {}{}",
                    place_of(context, row, slot),
                    version_name(other.order, other.version),
                    context.at(ahead.sent_ns),
                    context.at(answered_ns),
                    context.meanwhile(span)
                );
                Offence {
                    against_order: other.order,
                    against: other.version,
                    ..context.record_offence(row, &what)
                }
            });
        }
        if let Some(sent_ns) = view.first_sent_ns(slot)
            && ahead.is_none_or(|ahead| ahead.sent_ns < sent_ns)
        {
            youngest = Some(Youngest {
                partition: record.partition,
                row,
                sent_ns,
            });
        }
    }
}

/// When it can have come about: from the change's first send to the sight of its event. What nobody saw live has the
/// broker's time, which is worked out for a whole topic at once, and so only where it must be.
fn time_of_it(context: &Context<'_>, row: usize, slot: usize) -> Span {
    let view = &context.view;
    match (view.first_sent_ns(slot), view.join.seen(slot)) {
        (Some(from_ns), Some(until_ns)) => Span { from_ns, until_ns },
        _ => view.record_span(row),
    }
}

/// Where the event is, and when it was there; by the observer's time where it has one, as [`time_of_it`] says.
fn place_of(context: &Context<'_>, row: usize, slot: usize) -> String {
    let join = &context.view.join;
    let record = join.log.at(row);
    match join.seen(slot) {
        Some(seen_ns) => format!(
            "{} offset {}, seen at {}",
            context.partition(record.partition),
            record.offset,
            context.at(seen_ns)
        ),
        None => context.place(row),
    }
}
