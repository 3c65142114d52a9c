//! One row of the outbox, whichever way it came.

use crate::source::{Event, Held, SourceError};
use crate::trace::Stage;

/// This is a row of the outbox, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MariaDbRow {
    /// This is its number in the outbox.
    pub seq: i64,
    /// This is the event's id.
    pub id: String,
    /// This is the aggregate's id.
    pub key: String,
    /// This is the event's type.
    pub event_type: String,
    /// This is the version of the aggregate.
    pub version: String,
    /// This is the event's text.
    pub payload: String,
    /// As what a trace notes that it was taken, and the detail to that.
    pub taken_as: (Stage, u64),
}

impl MariaDbRow {
    /// Returns how many bytes it takes to hold it, about.
    pub fn bytes(&self) -> usize {
        let texts = [
            &self.id,
            &self.key,
            &self.event_type,
            &self.version,
            &self.payload,
        ];
        texts.iter().map(|text| text.len()).sum::<usize>() + size_of::<Self>()
    }
}

impl Held for MariaDbRow {
    fn event(&self) -> Result<Event<'_>, SourceError> {
        Ok(Event {
            key: &self.key,
            id: &self.id,
            event_type: &self.event_type,
            version: &self.version,
            payload: &self.payload,
        })
    }

    fn taken_as(&self) -> Option<(Stage, u64)> {
        Some(self.taken_as)
    }
}
