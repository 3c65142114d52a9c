//! `[event]` of a relay's file: where its records have the order's id and the event.

use crate::envelope::{EventPlace, Part};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::section::Section;

/// These are the keys that `[event]` can have.
pub(super) const KEYS: [KeyInfo; 2] = [
    KeyInfo::usually(
        "key",
        Shape::PartOfRecord,
        "\"key\"",
        "where a record has the order's id",
    ),
    KeyInfo::usually(
        "value",
        Shape::PartOfRecord,
        "\"value\"",
        "where a record has the event",
    ),
];

pub(super) fn read(mut s: Section<'_>) -> Option<EventPlace> {
    let usual = EventPlace::default();
    let mut part = |key: &'static str, usual: Part| match s.get(key) {
        None => Some(usual),
        Some(entry) => {
            let text = s.text(entry)?;
            match Part::parse(text) {
                Ok(part) => Some(part),
                Err(what) => {
                    s.problem(
                        entry.span(),
                        format!("`{key}` is `{text}`: {what}"),
                        "write key, value, header:NAME or json:/POINTER (into the value), and base64 or hex after a blank where it is encoded",
                    );
                    None
                }
            }
        }
    };
    let (key, value) = (part("key", usual.key), part("value", usual.value));
    s.finish();
    Some(EventPlace {
        key: key?,
        value: value?,
    })
}
