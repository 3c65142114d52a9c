//! Split: an order with valid events on several partitions; nothing orders those.

use super::Offence;
use super::context::Context;
use super::join::{Bits, Class};
use super::tally::Tally;
use crate::history::NONE;

/// Counts orders on more than one partition.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    let join = &context.join;
    let mut home = vec![NONE; join.orders()];
    let mut split = Bits::new(join.orders());
    for (row, record) in join.log.numbered() {
        if !matches!(join.class(row), Class::First | Class::Duplicate) {
            continue;
        }
        let order = record.order as usize;
        let Some(first) = home.get_mut(order) else {
            continue;
        };
        if *first == NONE {
            *first = row as u32;
        }
        let other = join.log.at(*first as usize).partition;
        if other == record.partition || split.get(order) {
            continue;
        }
        split.set(order);
        let span = context
            .record_span(*first as usize)
            .hull(context.record_span(row));
        tally.add(span, || Offence {
            against: join.log.at(*first as usize).version,
            what: format!(
                "order {order}: on partition {other} and, with version {}, on partition {}",
                record.version, record.partition
            ),
            ..context.record_offence(row, "")
        });
    }
}
