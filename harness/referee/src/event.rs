//! A Kafka record, verified: is it an event of this run, and is every byte what its attempt implies?
//!
//! A record is *ours* if anything in it proves to be: the run field, an attempt or order id with a
//! valid tag, the key. A record that is ours and has anything else wrong is damaged; a record with
//! nothing of ours is foreign. The value must be the six fields with exactly the right texts; their
//! order and the white space between them are free, since a relay may serialise them again.

mod value;

use crate::envelope::{EventField, EventPlace, Wire};
use crate::history::{Body, NONE, Request, Rows};
use crate::identity::Identity;
use contract::order::ChangeType;
use std::borrow::Cow;
use uuid::Uuid;
use value::Fields;

/// This tells what a record turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The record is the harness's own sentinel.
    Sentinel,
    /// The record is an event, good or bad.
    Event(Verified),
}

/// This is an event and how far it verified; its fields are as in [`crate::history::LogRow`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// This is the number of the attempt that the event names, or NONE.
    pub attempt: u32,
    /// This is the index of the order that the event names, or NONE.
    pub order: u32,
    /// This is the version that the event names, or 0.
    pub version: u32,
    /// This says whether the event's bytes verified.
    pub body: Body,
    /// This says what did not verify; `None` if every byte did.
    pub reason: Option<String>,
}

/// The fence's sentinels have this key; their value starts with the run's sentinel mark.
pub const SENTINEL_KEY: &str = "outbox-harness-fence";

/// Verifies records against the run's identity and its requests.
pub struct Verifier<'a> {
    /// This is the run's identity, which tells its own ids from those of others.
    pub identity: &'a Identity,
    /// These are the requests by attempt number; `None` while the run goes on (then an event's order and type are not
    /// compared with what its attempt asked for).
    pub requests: Option<&'a Rows<Request>>,
    /// This is the length of every event's content, bytes.
    pub payload_bytes: usize,
}

impl Verifier<'_> {
    /// Verifies a record by its key and its value, which are `None` where the record has none.
    pub fn verify(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Record {
        self.verify_with(key, value, |_| None)
    }

    /// Does the same; `besides` says what is wrong with a record whose key and value are right.
    fn verify_with(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        besides: impl Fn(&Fields<'_>) -> Option<String>,
    ) -> Record {
        if self.is_sentinel(key, value) {
            return Record::Sentinel;
        }
        let Some(value) = value else {
            return self.unreadable(key, &[], "it has no value (a tombstone)".into());
        };
        match value::parse(value, self.payload_bytes) {
            Ok(fields) => Record::Event(self.judge(key, &fields, besides)),
            Err(reason) => self.unreadable(key, value, reason),
        }
    }

    /// Verifies what a record has in these places. Where it has nothing there, it is looked at as a whole,
    /// so that what proves to be ours is not taken for a stranger's. Where both are right, its headers are looked at.
    pub fn verify_at(&self, place: &EventPlace, record: &(impl Wire + ?Sized)) -> Record {
        let (key, value) = (record.key(), record.value());
        let besides = |fields: &Fields<'_>| header_fault(place, record, fields);
        if place.is_usual() || self.is_sentinel(key, value) {
            return self.verify_with(key, value, besides);
        }
        let placed_key = place.key.find(record);
        match place.value.find(record) {
            Some(placed) => self.verify_with(placed_key.as_deref(), Some(&placed), besides),
            None => {
                let reason = "it has no event where its relay's file says that it is".to_owned();
                self.unreadable(placed_key.as_deref().or(key), value.unwrap_or(&[]), reason)
            }
        }
    }

    /// Whether a record is the harness's own; cheaper than verifying it.
    pub fn is_sentinel(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> bool {
        key == Some(SENTINEL_KEY.as_bytes())
            && value.is_some_and(|v| v.starts_with(self.identity.sentinel_mark().as_bytes()))
    }

    /// A record whose value has the six fields.
    fn judge(
        &self,
        key: Option<&[u8]>,
        fields: &Fields<'_>,
        besides: impl Fn(&Fields<'_>) -> Option<String>,
    ) -> Verified {
        let attempt = canonical(&fields.attempt).and_then(|id| self.identity.attempt_number(id));
        let order = canonical(&fields.order_id).and_then(|id| self.identity.order_index(id));
        let key_order = self.key_order(key);
        let own_run = fields.run == self.identity.run();
        let fault = if !own_run && attempt.is_none() && order.is_none() && key_order.is_none() {
            Some((Body::Foreign, format!("its run is `{}`", fields.run)))
        } else {
            self.fault(key, fields, attempt, order)
                .or_else(|| besides(fields))
                .map(|reason| (Body::Damaged, reason))
        };
        let (body, reason) = match fault {
            None => (Body::Intact, None),
            Some((body, reason)) => (body, Some(reason)),
        };
        Verified {
            attempt: attempt.unwrap_or(NONE),
            order: order.or(key_order).unwrap_or(NONE),
            version: fields.version,
            body,
            reason,
        }
    }

    /// The first thing that is not as the attempt implies.
    fn fault(
        &self,
        key: Option<&[u8]>,
        fields: &Fields<'_>,
        attempt: Option<u32>,
        order: Option<u32>,
    ) -> Option<String> {
        if fields.run != self.identity.run() {
            return Some(format!("its run is `{}`", fields.run));
        }
        let Some(attempt) = attempt else {
            return Some(format!(
                "its attempt `{}` is not of this run",
                fields.attempt
            ));
        };
        let Some(order) = order else {
            return Some(format!(
                "its order `{}` is not of this run",
                fields.order_id
            ));
        };
        if key != Some(fields.order_id.as_bytes()) {
            return Some(match key {
                None => "it has no key".into(),
                Some(_) => "its key is not its order id".into(),
            });
        }
        let Some(kind) = ChangeType::from_event_type(&fields.kind) else {
            return Some(format!("its type `{}` is none of an order", fields.kind));
        };
        if fields.version == 0 {
            return Some("its version is 0, and versions begin at 1".into());
        }
        if let Some(requests) = self.requests {
            let Some(request) = requests.get(attempt as usize) else {
                return Some(format!("its attempt {attempt} was never sent"));
            };
            if request.order != order {
                return Some(format!(
                    "attempt {attempt} was for order {}, the event names order {order}",
                    request.order
                ));
            }
            if request.change_type != kind.code() {
                return Some(format!(
                    "attempt {attempt} is not of type `{}`",
                    fields.kind
                ));
            }
        }
        let content = fields.content.as_bytes();
        if !self
            .identity
            .content_matches(attempt, self.payload_bytes, content)
        {
            return Some(format!(
                "its content ({} bytes) is not that of attempt {attempt} ({} bytes)",
                content.len(),
                self.payload_bytes
            ));
        }
        None
    }

    /// A record whose value is not the six fields: ours if anything in it still proves to be.
    fn unreadable(&self, key: Option<&[u8]>, value: &[u8], reason: String) -> Record {
        let mut attempt = None;
        let mut order = None;
        for id in value::ids(value) {
            attempt = attempt.or_else(|| self.identity.attempt_number(id));
            order = order.or_else(|| self.identity.order_index(id));
        }
        let order = order.or_else(|| self.key_order(key));
        let names_run = value::contains(value, self.identity.run().as_bytes());
        let body = if names_run || attempt.is_some() || order.is_some() {
            Body::Damaged
        } else {
            Body::Foreign
        };
        Record::Event(Verified {
            attempt: attempt.unwrap_or(NONE),
            order: order.unwrap_or(NONE),
            version: 0,
            body,
            reason: Some(reason),
        })
    }

    fn key_order(&self, key: Option<&[u8]>) -> Option<u32> {
        let text = std::str::from_utf8(key?).ok()?;
        self.identity.order_index(Uuid::try_parse(text).ok()?)
    }
}

/// The first header that an event's record must have and has not; of nearly all relays none is asked for.
fn header_fault(
    place: &EventPlace,
    record: &(impl Wire + ?Sized),
    fields: &Fields<'_>,
) -> Option<String> {
    let field = |field: EventField| match field {
        EventField::Attempt => Cow::Borrowed(&*fields.attempt),
        EventField::OrderId => Cow::Borrowed(&*fields.order_id),
        EventField::Version => Cow::Owned(fields.version.to_string()),
        EventField::EventType => Cow::Borrowed(&*fields.kind),
        EventField::Run => Cow::Borrowed(&*fields.run),
    };
    let mut required = place.headers.iter();
    required.find_map(|header| header.fault(record, field))
}

/// The id, if `text` is its one canonical form: hyphenated and lower-case.
fn canonical(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    let mut buffer = Uuid::encode_buffer();
    (id.hyphenated().encode_lower(&mut buffer) == text).then_some(id)
}

#[cfg(test)]
mod tests;
