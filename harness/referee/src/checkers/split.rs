//! Split: an order with valid events on several partitions of one topic; nothing orders those. A relay that publishes to
//! several topics has an order's events on several of them, and on one partition of each.

use super::Offence;
use super::context::Context;
use super::tally::Tally;
use crate::history::NONE;
use crate::view::{Bits, Class};

/// An order is at home on a topic where its first record there is: in this row of the log and on this partition.
#[derive(Clone, Copy)]
struct Home {
    row: u32,
    partition: i32,
}

/// Counts orders on more than one partition of a topic.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    let join = &context.view.join;
    if join.is_calm() {
        return;
    }
    let nowhere = Home {
        row: NONE,
        partition: 0,
    };
    let topics = context.history().meta.topics();
    let mut home = vec![nowhere; join.orders() * topics.names().len()];
    let mut split = Bits::new(join.orders());
    for (row, record) in join.log.numbered() {
        if !matches!(join.class(row), Class::First | Class::Duplicate) {
            continue;
        }
        let order = record.order as usize;
        let of_topic = topics.index_of(record.partition) * join.orders();
        if order >= join.orders() {
            continue;
        }
        let Some(first) = home.get_mut(of_topic + order) else {
            continue;
        };
        if first.row == NONE {
            *first = Home {
                row: row as u32,
                partition: record.partition,
            };
        }
        let other = first.partition;
        if other == record.partition || split.get(order) {
            continue;
        }
        split.set(order);
        let span = context
            .view
            .record_span(first.row as usize)
            .hull(context.view.record_span(row));
        tally.add(span, || Offence {
            against: join.log.at(first.row as usize).version,
            what: format!(
                "order {order}: on {} and, with version {}, on {}",
                topics.words(other),
                record.version,
                topics.words(record.partition)
            ),
            ..context.record_offence(row, "")
        });
    }
}
