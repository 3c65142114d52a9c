//! `[event]` of a relay's file: the topics of its records, where these have the order's id and the event, and the
//! headers that each must have.

use super::template::TemplatePiece;
use super::{Template, template};
use crate::envelope::{EventField, EventPlace, HeaderPiece, Part, RequiredHeader};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::limits;
use crate::scenario::section::{Entry, Section};
use std::borrow::Cow;
use std::ops::Range;

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
pub(super) const KEYS: [KeyInfo; 4] = [
    KeyInfo::usually(
        "topics",
        Shape::Texts { least: 1 },
        "[\"${topic}\"]",
        "the topics to which it publishes",
    ),
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

/// This placeholder, which stands for the run's own topic, is the only one of a topic's name.
const TOPIC: &str = "topic";
/// Names that begin so are those of runs.
const OF_RUNS: &str = "oh.";

/// What `[event]` says.
pub(super) struct ForeignEvents {
    /// These are the topics of its records.
    pub topics: Vec<Template>,
    /// This says where a record has order and event.
    pub place: EventPlace,
    /// Where the file names several topics, the list stands at these bytes.
    pub several_at: Option<Range<usize>>,
}

impl Default for ForeignEvents {
    /// As the project's own relays have it: one topic, the run's.
    fn default() -> Self {
        Self {
            topics: usual_topics(),
            place: EventPlace::default(),
            several_at: None,
        }
    }
}

/// The run's own topic, and no other.
pub(super) fn usual_topics() -> Vec<Template> {
    vec![Template::of_ours("${topic}")]
}

pub(super) fn read(mut s: Section<'_>) -> Option<ForeignEvents> {
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
    let said = s.get("topics");
    let topics = match said {
        Some(entry) => topics(&s, entry),
        None => Some(usual_topics()),
    };
    s.finish();
    let topics = topics?;
    let several_at = said.filter(|_| topics.len() > 1).map(|e| e.span());
    Some(ForeignEvents {
        topics,
        place: EventPlace {
            key: key?,
            value: value?,
            headers: headers?,
        },
        several_at,
    })
}

/// Reads the names of its topics; notes what is wrong with them.
fn topics(s: &Section<'_>, entry: Entry<'_>) -> Option<Vec<Template>> {
    let texts = s.texts(entry)?;
    if texts.is_empty() || texts.len() > limits::TOPICS {
        s.problem(
            entry.span(),
            format!("`topics` names {} topics", texts.len()),
            format!(
                "name 1 to {}; without the line it is the run's own, [\"${{topic}}\"]",
                limits::TOPICS
            ),
        );
        return None;
    }
    let mut all: Vec<Template> = Vec::new();
    for text in &texts {
        let name = template(s, entry, text, &[TOPIC])?;
        if let Some(what) = no_name(text, &name) {
            s.problem(
                entry.span(),
                format!("`topics` has `{text}`, {what}"),
                "write names of letters, digits, `.`, `_` and `-`, with ${topic} for the run's own topic: \
                 [\"${topic}.created\", \"${topic}.paid\"]",
            );
            return None;
        }
        if all.contains(&name) {
            s.problem(
                entry.span(),
                format!("`topics` has `{text}` twice"),
                "name each topic once",
            );
            return None;
        }
        all.push(name);
    }
    Some(all)
}

/// Says why this cannot be the name of a topic; `None` where it can.
fn no_name(text: &str, name: &Template) -> Option<String> {
    // Any name that a run's topic can have.
    let filled = name.fill(|_| Cow::Borrowed("t"));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if filled.is_empty() || !filled.chars().all(is_plain) {
        return Some("which no topic can be called".to_owned());
    }
    if [".", ".."].contains(&filled.as_str()) {
        return Some("which Kafka takes for a folder".to_owned());
    }
    if text.len() > limits::TOPIC_NAME {
        let longest = limits::TOPIC_NAME;
        return Some(format!("which is longer than {longest} characters"));
    }
    if text.contains(".owns.") {
        return Some("and topics that are called so say which others are the run's".to_owned());
    }
    if text.starts_with(OF_RUNS) || text.starts_with("__") {
        return Some("and names that begin so are of runs, and of Kafka itself".to_owned());
    }
    None
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
