//! When the records of a topic could be seen by readers of what is committed.
//!
//! A record outside of Kafka's transactions can be seen from its append on. One inside can be seen
//! when its transaction is committed, which the record does not tell: but the marker of the commit
//! takes an offset, and what follows that gap was appended after it.

use crate::view::Join;

/// Returns the rows of the log, last first, each with the time by which it could be seen at the latest. On a topic
/// with transactions, rows behind the last gap of their partition are left out.
pub(super) fn rows<'a>(join: &'a Join<'_>) -> impl Iterator<Item = (usize, i64)> + 'a {
    let transactions = has_gaps(join);
    let mut after_gap_ns = None;
    (0..join.log.len()).rev().filter_map(move |row| {
        if !transactions {
            return Some((row, join.on_topic_ns(row)));
        }
        match next(join, row) {
            None => after_gap_ns = None,
            Some(following) if is_gap(join, row) => {
                after_gap_ns = Some(join.on_topic_ns(following));
            }
            Some(_) => {}
        }
        after_gap_ns.map(|ns| (row, ns))
    })
}

fn has_gaps(join: &Join<'_>) -> bool {
    let following = join.log.iter().skip(1);
    join.log.iter().zip(following).any(|(row, next)| {
        row.partition == next.partition && next.offset != row.offset.saturating_add(1)
    })
}

/// Whether offsets are missing between a row and the next one of its partition.
fn is_gap(join: &Join<'_>, row: usize) -> bool {
    next(join, row)
        .is_some_and(|next| join.log.at(next).offset != join.log.at(row).offset.saturating_add(1))
}

fn next(join: &Join<'_>, row: usize) -> Option<usize> {
    let following = join.log.get(row + 1)?;
    (following.partition == join.log.at(row).partition).then_some(row + 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::checkers::fixture::{MS, clean, judged, naive};
    use crate::history::History;

    const RECORDS: i64 = 50;

    /// One transaction after the other in each partition, of fifty records, which are appended when
    /// it begins, and seen `late_ns` after the next one begins.
    fn in_transactions(late_ns: i64) -> History {
        let mut history = clean(200, naive());
        let begins = history.log.clone();
        let begin_ms = |partition: i32, transaction: i64| {
            let mut of_it = begins.iter().filter(|row| row.partition == partition);
            of_it
                .nth((transaction * RECORDS) as usize)
                .map(|row| row.append_ms)
        };
        for row in history.log.open().iter_mut() {
            let transaction = row.offset / RECORDS;
            row.append_ms = begin_ms(row.partition, transaction).unwrap();
            row.offset += transaction;
        }
        let origin_ms = (history.meta.clock.origin_unix_ns / 1_000_000) as i64;
        for sighting in history.sightings.open().iter_mut() {
            let transaction = sighting.offset / RECORDS;
            if let Some(next_ms) = begin_ms(sighting.partition, transaction + 1) {
                sighting.seen_ns = (next_ms - origin_ms) * MS;
            }
            sighting.offset += transaction;
            sighting.seen_ns += late_ns;
        }
        for partition in &mut history.partitions {
            let end = partition.end_offset + partition.end_offset / RECORDS;
            partition.end_offset = end;
            partition.stable_offset = end;
            partition.read_offset = end;
        }
        history
    }

    fn observer_was_late(history: &History) -> bool {
        let reasons = judged(history).reasons;
        reasons
            .iter()
            .any(|r| r.contains("the observer saw records"))
    }

    #[test]
    fn given_long_transactions_when_judged_then_their_length_is_not_the_observers() {
        assert!(!observer_was_late(&in_transactions(0)));
    }

    #[test]
    fn given_long_transactions_when_the_observer_was_late_then_that_is_said() {
        assert!(observer_was_late(&in_transactions(700 * MS)));
    }

    #[test]
    fn given_no_transactions_when_appends_were_long_before_the_sight_then_the_observer_was_late() {
        let mut history = clean(200, naive());
        for row in history.log.open().iter_mut() {
            row.append_ms -= 300;
        }
        assert!(observer_was_late(&history));
    }
}
