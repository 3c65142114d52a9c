//! Reordered: per order and within one partition, by offset, over the first valid event of each
//! version: the versions for which some later version came before them. Across partitions there
//! is no order to break; an order on several is `split`.

use super::Offence;
use super::context::Context;
use super::tally::Tally;
use crate::view::{Class, Latest};

/// Counts versions that were overtaken by a later one.
pub fn check(context: &Context<'_>, tally: &mut Tally<'_>) {
    let join = &context.view.join;
    if join.is_calm() {
        return;
    }
    // Of each order, in the partition being read.
    let nothing = Latest {
        partition: -1,
        version: 0,
    };
    let mut latest = vec![nothing; join.orders()];
    for row in join.rows_of(Class::First) {
        let record = join.log.at(row);
        let Some(before) = latest.get_mut(record.order as usize) else {
            continue;
        };
        if before.partition != record.partition || before.version < record.version {
            *before = Latest {
                partition: record.partition,
                version: record.version,
            };
            continue;
        }
        let later = before.version;
        let span = context.view.record_span(row);
        tally.add(span, || {
            let what = format!(
                "its event ({}) came after that of version {later}{}",
                context.place(row),
                context.meanwhile(span)
            );
            Offence {
                against: later,
                ..context.record_offence(row, &what)
            }
        });
    }
}
