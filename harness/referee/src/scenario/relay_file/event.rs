//! `[event]` of a relay's file: where its records have the order's id and the event, and the headers that
//! each must have.

use super::template;
use super::template::TemplatePiece;
use crate::envelope::{EventField, EventPlace, HeaderPiece, Part, RequiredHeader};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::section::{Entry, Section};

/// A relay is asked for no more headers than this.
const MOST_HEADERS: usize = 32;

/// Placeholders in a header's value, each with what it stands for.
const FIELDS: [(&str, EventField); 6] = [
    ("event_id", EventField::Attempt),
    ("attempt", EventField::Attempt),
    ("order_id", EventField::OrderId),
    ("version", EventField::Version),
    ("event_type", EventField::EventType),
    ("run", EventField::Run),
];

/// These are the keys that `[event]` can have.
pub(super) const KEYS: [KeyInfo; 3] = [
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
    KeyInfo::optional(
        "headers",
        Shape::TextsByName,
        "none",
        "headers that every record must have, with their values: `{ id = \"${event_id}\" }`",
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
    let headers = match s.get("headers") {
        Some(entry) => headers(&s, entry),
        None => Some(usual.headers),
    };
    s.finish();
    Some(EventPlace {
        key: key?,
        value: value?,
        headers: headers?,
    })
}

/// Reads the headers; notes all that is wrong with them, each at its place.
fn headers(s: &Section<'_>, entry: Entry<'_>) -> Option<Vec<RequiredHeader>> {
    let table = Section::of(entry, "`headers`", Vec::new(), s.problems())?;
    let entries = table.entries();
    if entries.len() > MOST_HEADERS {
        s.problem(
            entry.span(),
            format!("`headers` asks for {} headers", entries.len()),
            format!("ask for {MOST_HEADERS} at most"),
        );
        return None;
    }
    let headers = entries.into_iter().map(|entry| header(&table, entry));
    // Each of them is looked at before the first that is wrong ends it.
    headers.collect::<Vec<_>>().into_iter().collect()
}

fn header(table: &Section<'_>, entry: Entry<'_>) -> Option<RequiredHeader> {
    let name = entry.key;
    if name.is_empty() || name.trim() != name || name.contains(char::is_control) {
        table.problem(
            entry.key_span(),
            format!("`{name}` is no name of a header"),
            "write the name as it is in the records, without blanks around it: headers = { id = \"${event_id}\" }",
        );
        return None;
    }
    let text = table.text(entry)?;
    let known = FIELDS.map(|(name, _)| name);
    let value = template(table, entry, text, &known)?;
    let pieces = value.pieces().filter_map(|piece| match piece {
        TemplatePiece::Text(text) => Some(HeaderPiece::Text(text.to_owned())),
        // Whoever is none of them was refused.
        TemplatePiece::Name(name) => {
            let mut of_it = FIELDS.iter().filter(|(known, _)| *known == name);
            of_it.next().map(|(_, field)| HeaderPiece::Field(*field))
        }
    });
    Some(RequiredHeader {
        name: name.to_owned(),
        value: pieces.collect(),
    })
}
