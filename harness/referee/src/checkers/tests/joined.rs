//! What the join keeps in dense arrays is what a plain search through the history finds.

use super::arbitrary::arbitrary;
use crate::checkers::fixture::*;
use crate::history::{Body, History, LogRow, NONE, TruthRow};
use crate::view::{Class, Join};
use proptest::prelude::*;

/// A history's rows as the join numbers them.
struct Plain {
    truth: Vec<TruthRow>,
    log: Vec<LogRow>,
}

impl Plain {
    fn of(history: &History) -> Self {
        let mut truth: Vec<TruthRow> = history.truth.iter().collect();
        let mut log: Vec<LogRow> = history.log.iter().collect();
        truth.sort_by_key(|row| (row.order, row.version));
        log.sort_by_key(|row| (row.partition, row.offset));
        Self { truth, log }
    }

    /// The slot of an order's version; what is of no order of this run has none.
    fn slot(&self, order: u32, version: u32) -> Option<usize> {
        let mut rows = self.truth.iter();
        rows.position(|row| order != NONE && (row.order, row.version) == (order, version))
    }

    /// The slot whose event a record is, if it is valid.
    fn valid(&self, history: &History, record: &LogRow) -> Option<usize> {
        let request = history.requests.get(record.attempt as usize)?;
        let intact = record.body == Body::Intact && request.order == record.order;
        self.slot(record.order, record.version)
            .filter(|slot| intact && self.truth[*slot].attempt == record.attempt)
    }
}

proptest! {
    #![proptest_config(cases(500))]
    #[test]
    fn versions_are_found_where_they_are(history in arbitrary()) {
        let (plain, join) = (Plain::of(&history), Join::new(&history));
        for order in (0..10).chain([NONE]) {
            for version in (0..8).chain([NONE]) {
                prop_assert_eq!(join.slot(order, version), plain.slot(order, version));
            }
        }
        for (attempt, _) in history.requests.numbered() {
            let slot = plain.truth.iter().position(|row| row.attempt as usize == attempt);
            prop_assert_eq!(join.slot_of(attempt as u32), slot);
        }
    }

    #[test]
    fn every_version_has_the_request_and_the_change_that_made_it(history in arbitrary()) {
        let (plain, join) = (Plain::of(&history), Join::new(&history));
        for (slot, row) in plain.truth.iter().enumerate() {
            let request = history.requests.get(row.attempt as usize);
            prop_assert_eq!(join.attempt(slot), row.attempt);
            prop_assert_eq!(join.request(slot), request);
            prop_assert_eq!(join.change(slot), request.map(|request| request.change));
        }
    }

    #[test]
    fn every_valid_event_is_of_its_version_and_no_other_record_is(history in arbitrary()) {
        let (plain, join) = (Plain::of(&history), Join::new(&history));
        let valid: Vec<Option<usize>> =
            plain.log.iter().map(|record| plain.valid(&history, record)).collect();
        for (row, slot) in valid.iter().enumerate() {
            let class = match slot {
                Some(slot) if !valid[..row].contains(&Some(*slot)) => Some(Class::First),
                Some(_) => Some(Class::Duplicate),
                None => None,
            };
            let joined = join.class(row);
            let is_valid = matches!(joined, Class::First | Class::Duplicate);
            prop_assert_eq!(Some(joined).filter(|_| is_valid), class);
            if is_valid {
                prop_assert_eq!(join.slot_of_row(row), *slot);
            }
        }
        for slot in 0..plain.truth.len() {
            let first = valid.iter().position(|of| *of == Some(slot));
            prop_assert_eq!(join.first_row(slot), first);
            let seen = history.sightings.iter().filter(|sighting| {
                let place = (sighting.partition, sighting.offset);
                let here = |(row, record): (usize, &LogRow)| {
                    valid[row] == Some(slot) && (record.partition, record.offset) == place
                };
                plain.log.iter().enumerate().any(here)
            });
            prop_assert_eq!(join.seen(slot), seen.map(|sighting| sighting.seen_ns).min());
        }
    }
}
