//! Split: an order with valid events on several partitions; nothing orders those.

use super::Offence;
use super::context::Context;
use super::tally::Tally;
use crate::history::NONE;
use crate::view::{Bits, Class};

/// An order is at home where its first record is: in this row of the log and on this partition.
#[derive(Clone, Copy)]
struct Home {
    row: u32,
    partition: i32,
}

/// Counts orders on more than one partition.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    let join = &context.view.join;
    if join.is_calm() {
        return;
    }
    let nowhere = Home {
        row: NONE,
        partition: 0,
    };
    let mut home = vec![nowhere; join.orders()];
    let mut split = Bits::new(join.orders());
    for (row, record) in join.log.numbered() {
        if !matches!(join.class(row), Class::First | Class::Duplicate) {
            continue;
        }
        let order = record.order as usize;
        let Some(first) = home.get_mut(order) else {
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
                "order {order}: on partition {other} and, with version {}, on partition {}",
                record.version, record.partition
            ),
            ..context.record_offence(row, "")
        });
    }
}
