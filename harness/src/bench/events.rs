//! The events of a benchmark that has no order service: what is in them, and what would have been asked for.

use crate::history::{Intent, Outcome, Request, Rows};
use crate::identity::Identity;
use relays::order::ChangeType;
use relays::source::{Event, Held, SourceError};
use std::fmt::Write;
use std::ops::Range;
use uuid::Uuid;

/// Each order is changed so often: it has the versions 1 to this.
pub(super) const CHANGES_PER_ORDER: u32 = 4;
/// An event's content is so long, in bytes.
pub(super) const PAYLOAD_BYTES: usize = 256;

/// One of them, as an outbox has it. Attempt `n` is event `n`: a version of order `n / 4`.
#[derive(Debug)]
pub(super) struct BenchEvent {
    /// It is the event's id.
    pub id: String,
    /// It is the order's.
    pub key: String,
    pub kind: &'static str,
    pub version: u32,
    /// The same, as it is published.
    version_text: String,
    pub payload: String,
}

impl Held for BenchEvent {
    fn event(&self) -> Result<Event<'_>, SourceError> {
        Ok(Event {
            key: &self.key,
            id: &self.id,
            event_type: self.kind,
            version: &self.version_text,
            payload: &self.payload,
        })
    }
}

/// Makes those of these numbers.
pub(super) fn events(
    identity: &Identity,
    numbers: Range<u32>,
) -> impl Iterator<Item = BenchEvent> + '_ {
    numbers.map(|event| {
        let (order, version) = order_and_version(event);
        let kind = ChangeType::for_version(version).event_type();
        let key = identity.order_id(order).to_string();
        BenchEvent {
            id: Uuid::new_v4().to_string(),
            payload: payload(identity, event, &key, version, kind),
            key,
            kind,
            version,
            version_text: version.to_string(),
        }
    })
}

fn order_and_version(event: u32) -> (u32, u32) {
    (event / CHANGES_PER_ORDER, event % CHANGES_PER_ORDER + 1)
}

/// What would have been asked for, for those who check the events.
pub(super) fn requests(events: u32) -> Rows<Request> {
    let request = |event| {
        let (order, version) = order_and_version(event);
        Request {
            change: event,
            order,
            change_type: ChangeType::for_version(version).code(),
            intent: Intent::Commit,
            outcome: Outcome::Committed,
            status: 201,
            told_version: version,
            intended_ns: 0,
            sent_ns: 0,
            ended_ns: 0,
            lag_ns: 0,
            held_back: false,
        }
    };
    (0..events).map(request).collect()
}

/// Returns the event as the order service writes it.
fn payload(identity: &Identity, attempt: u32, key: &str, version: u32, kind: &str) -> String {
    let mut text = String::with_capacity(PAYLOAD_BYTES + 256);
    let _ = write!(
        text,
        r#"{{"run":"{}","order_id":"{key}","version":{version},"attempt":"{}","type":"{kind}","content":""#,
        identity.run(),
        identity.attempt_id(attempt)
    );
    identity.write_content(attempt, PAYLOAD_BYTES, &mut text);
    text.push_str("\"}");
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::event::{Record, Verifier};
    use crate::history::Body;
    use crate::identity::RunKey;

    #[test]
    fn an_event_of_the_backlog_verifies() {
        let identity = RunKey::random().identity().unwrap();
        let requests = requests(8);
        let event = events(&identity, 6..7).next().unwrap();
        let verifier = Verifier {
            identity: &identity,
            requests: Some(&requests),
            payload_bytes: PAYLOAD_BYTES,
        };
        match verifier.verify(Some(event.key.as_bytes()), Some(event.payload.as_bytes())) {
            Record::Event(event) => assert_eq!((event.attempt, event.body), (6, Body::Intact)),
            Record::Sentinel => unreachable!(),
        }
    }
}
