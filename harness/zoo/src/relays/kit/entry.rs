//! One row of the outbox, owned.

use relays::source::{Event, Held, SourceError};

/// An event that may be dropped, repeated, moved and changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// This is the order's id, which is the key of its records.
    pub key: String,
    /// This is the event's id, as the outbox has it.
    pub id: String,
    /// This is the event's type, as the outbox has it.
    pub event_type: String,
    /// This is the version of the order, decimal.
    pub version: String,
    /// This is the event itself, which is the value of its record.
    pub payload: String,
}

impl Entry {
    /// A copy of what a source holds.
    pub fn copy(event: &Event<'_>) -> Self {
        Self {
            key: event.key.to_owned(),
            id: event.id.to_owned(),
            event_type: event.event_type.to_owned(),
            version: event.version.to_owned(),
            payload: event.payload.to_owned(),
        }
    }

    /// Returns a partition, of so many, that is the same for all events of its order.
    pub fn partition(&self, partitions: i32) -> i32 {
        let sum: i32 = self.key.bytes().map(i32::from).sum();
        sum.checked_rem(partitions).unwrap_or(0)
    }

    /// Returns the attempt that made it, as its text has it.
    pub fn attempt(&self) -> Result<String, String> {
        let event: serde_json::Value =
            serde_json::from_str(&self.payload).map_err(|e| e.to_string())?;
        let attempt = event["attempt"].as_str();
        Ok(attempt.ok_or("an event without an attempt")?.to_owned())
    }

    /// Returns order and version as `ORDER/VERSION`, for a confession.
    pub fn name(&self) -> String {
        format!("{}/{}", self.key, self.version)
    }
}

impl Held for Entry {
    fn event(&self) -> Result<Event<'_>, SourceError> {
        Ok(Event {
            key: &self.key,
            id: &self.id,
            event_type: &self.event_type,
            version: &self.version,
            payload: &self.payload,
        })
    }
}
