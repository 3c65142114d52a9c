//! What was read at a time: of each event no more than its effect needs.

use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use uuid::Uuid;

/// An event, as far as a consumer looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConsumedEvent {
    /// The order that changed.
    pub order: Uuid,
    /// The version that the change made.
    pub version: i32,
    /// The event's id, by which an inbox knows it again.
    pub id: Uuid,
}

/// These keys of an event's JSON are looked at; there are more.
#[derive(Deserialize)]
struct EventKeys<'a> {
    #[serde(borrow)]
    order_id: Cow<'a, str>,
    version: i32,
    #[serde(borrow)]
    attempt: Cow<'a, str>,
}

impl ConsumedEvent {
    /// Reads an event; `None` for a record that is none, which no consumer can do anything with.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let keys: EventKeys<'_> = serde_json::from_slice(value).ok()?;
        Some(Self {
            order: Uuid::try_parse(&keys.order_id).ok()?,
            version: keys.version,
            id: Uuid::try_parse(&keys.attempt).ok()?,
        })
    }
}

/// Events in the order in which they were read, and the offsets that they are from.
#[derive(Debug, Default)]
pub(super) struct ConsumedBatch {
    pub events: Vec<ConsumedEvent>,
    /// Where each of them is: partition and offset.
    places: Vec<(i32, i64)>,
    /// Records that were read, events or not.
    pub records: usize,
    /// By partition, the first offset that was read.
    pub first: BTreeMap<i32, i64>,
    /// By partition, the offset behind the last one.
    pub next: BTreeMap<i32, i64>,
}

impl ConsumedBatch {
    /// Adds a record.
    pub fn add(&mut self, partition: i32, offset: i64, value: Option<&[u8]>) {
        self.records += 1;
        self.first.entry(partition).or_insert(offset);
        self.next.insert(partition, offset + 1);
        if let Some(event) = value.and_then(ConsumedEvent::parse) {
            self.events.push(event);
            self.places.push((partition, offset));
        }
    }

    /// By partition, the offset of the first event that is not done, where so many from the first on are.
    pub fn undone(&self, done: usize) -> BTreeMap<i32, i64> {
        let mut undone = BTreeMap::new();
        for (partition, offset) in self.places.iter().skip(done) {
            undone.entry(*partition).or_insert(*offset);
        }
        undone
    }

    /// By partition, the offset behind what is done.
    pub fn done(&self, done: usize) -> BTreeMap<i32, i64> {
        let mut passed = self.next.clone();
        passed.extend(self.undone(done));
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_records_of_which_some_are_no_events_then_all_are_passed_and_the_events_are_kept() {
        let event = |version: i32| {
            format!(
                "{{\"run\":\"0\",\"order_id\":\"{}\",\"version\":{version},\"attempt\":\"{}\",\"type\":\"x\",\"content\":\"\"}}",
                Uuid::from_u128(0xA),
                Uuid::from_u128(0xB)
            )
        };
        let mut batch = ConsumedBatch::default();
        batch.add(1, 7, Some(event(3).as_bytes()));
        batch.add(1, 8, Some(b"no event"));
        batch.add(0, 2, None);
        batch.add(1, 9, Some(event(4).as_bytes()));
        let seen = |version| ConsumedEvent {
            order: Uuid::from_u128(0xA),
            version,
            id: Uuid::from_u128(0xB),
        };
        assert_eq!(batch.events, [seen(3), seen(4)]);
        assert_eq!(batch.records, 4);
        assert_eq!(batch.first, BTreeMap::from([(0, 2), (1, 7)]));
        assert_eq!(batch.next, BTreeMap::from([(0, 3), (1, 10)]));
        // Of which the first is done, and then both.
        assert_eq!(batch.undone(1), BTreeMap::from([(1, 9)]));
        assert_eq!(batch.done(1), BTreeMap::from([(0, 3), (1, 9)]));
        assert_eq!(batch.undone(0), BTreeMap::from([(1, 7)]));
        assert_eq!(batch.done(2), batch.next);
    }
}
