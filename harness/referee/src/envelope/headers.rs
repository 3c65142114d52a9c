//! Headers that a record must have besides key and value, each with its value.

use super::Wire;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// This is a header that every record must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequiredHeader {
    /// The header has this name; of several with it, the last counts.
    pub name: String,
    /// Its value is made of these pieces, one behind the other.
    pub value: Vec<HeaderPiece>,
}

/// A piece of a header's value is the same in every record, or one of the event's own texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeaderPiece {
    /// It is this text in every record.
    Text(String),
    /// It is what the event has in this field.
    Field(EventField),
}

/// These are the fields of an event that a header can repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventField {
    /// This is the id of the event, which is that of the attempt that made it.
    Attempt,
    /// This is the order's id.
    OrderId,
    /// This is the version of the order, decimal.
    Version,
    /// This is the event's type.
    EventType,
    /// This is the run's id.
    Run,
}

/// So much of a header's value is shown, characters.
const SHOWN: usize = 100;

impl RequiredHeader {
    /// Says what is not as it must be; `None` if the record has the header with its value. Nothing is allocated
    /// where nothing is wrong, but for what `field` gives.
    pub fn fault<'v>(
        &self,
        record: &(impl Wire + ?Sized),
        field: impl Fn(EventField) -> Cow<'v, str>,
    ) -> Option<String> {
        let name = &self.name;
        let Some(found) = record.header(name) else {
            return Some(format!("it has no header `{name}`"));
        };
        let mut rest = Some(found);
        for piece in &self.value {
            rest = match piece {
                HeaderPiece::Text(text) => rest.and_then(|r| r.strip_prefix(text.as_bytes())),
                HeaderPiece::Field(of) => rest.and_then(|r| r.strip_prefix(field(*of).as_bytes())),
            };
        }
        if rest.is_some_and(<[u8]>::is_empty) {
            return None;
        }
        let pieces = self.value.iter().map(|piece| match piece {
            HeaderPiece::Text(text) => Cow::Borrowed(text.as_str()),
            HeaderPiece::Field(of) => field(*of),
        });
        let right: String = pieces.collect();
        let found: String = String::from_utf8_lossy(found).chars().take(SHOWN).collect();
        Some(format!("its header `{name}` is `{found}`, not `{right}`"))
    }
}
