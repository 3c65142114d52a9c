//! The value of an event, taken apart: exactly six fields, nothing judged yet.

use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use uuid::Uuid;

/// The fields are the texts of an event's value, and its version.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    pub run: Cow<'a, str>,
    pub order_id: Cow<'a, str>,
    pub version: u32,
    pub attempt: Cow<'a, str>,
    pub kind: Cow<'a, str>,
    pub content: Cow<'a, str>,
}

/// Takes a value apart; the error says what it is not.
pub(super) fn parse(value: &[u8], payload_bytes: usize) -> Result<Fields<'_>, String> {
    let text =
        std::str::from_utf8(value).map_err(|e| format!("its value is not UTF-8 text: {e}"))?;
    if let Some(fields) = parse_canonical(text, payload_bytes) {
        return Ok(fields);
    }
    serde_json::from_str(text).map_err(|e| format!("its value is not an event: {e}"))
}

/// Parses the form the service writes, without a JSON parser: most records by far have it. `None` is any other form.
fn parse_canonical(text: &str, payload_bytes: usize) -> Option<Fields<'_>> {
    let rest = text.strip_prefix("{\"run\":\"")?;
    let (run, rest) = plain(rest, 16)?;
    let rest = rest.strip_prefix("\",\"order_id\":\"")?;
    let (order_id, rest) = plain(rest, 36)?;
    let rest = rest.strip_prefix("\",\"version\":")?;
    let (digits, rest) = rest.split_at(rest.find(',')?);
    let version = plain_number(digits)?;
    let rest = rest.strip_prefix(",\"attempt\":\"")?;
    let (attempt, rest) = plain(rest, 36)?;
    let rest = rest.strip_prefix("\",\"type\":\"")?;
    let (kind, rest) = plain(rest, rest.find('"')?)?;
    let rest = rest.strip_prefix("\",\"content\":\"")?;
    let (content, rest) = plain(rest, payload_bytes)?;
    (rest == "\"}").then_some(Fields {
        run: run.into(),
        order_id: order_id.into(),
        version,
        attempt: attempt.into(),
        kind: kind.into(),
        content: content.into(),
    })
}

/// The first `length` bytes, if a JSON string holds them as they are.
fn plain(text: &str, length: usize) -> Option<(&str, &str)> {
    let (head, rest) = text.split_at_checked(length)?;
    head.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        .then_some((head, rest))
}

/// Digits as JSON has them: no sign, no leading zero.
fn plain_number(digits: &str) -> Option<u32> {
    let all_digits = digits.bytes().all(|b| b.is_ascii_digit());
    (all_digits && !(digits.len() > 1 && digits.starts_with('0')))
        .then(|| digits.parse().ok())
        .flatten()
}

/// Returns the ids anywhere in a value that could not be taken apart.
pub(super) fn ids(value: &[u8]) -> impl Iterator<Item = Uuid> {
    value
        .windows(36)
        .filter(|w| w[8] == b'-' && w[13] == b'-' && w[18] == b'-' && w[23] == b'-')
        .filter_map(|w| Uuid::try_parse_ascii(w).ok())
}

/// Tells whether `part` occurs in `value`; an empty one never does.
pub(super) fn contains(value: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && value.windows(part.len()).any(|w| w == part)
}

// By hand, since the derived form would also take an array, and each field must come once.
impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// This is a string that borrows where JSON's escapes allow it.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with run, order_id, version, attempt, type and content")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut version = None;
        let [mut run, mut order_id, mut attempt, mut kind, mut content] =
            [const { None::<Cow<'de, str>> }; 5];
        while let Some(Text(name)) = map.next_key()? {
            let slot = match &*name {
                "version" => {
                    if version.replace(map.next_value()?).is_some() {
                        return Err(A::Error::duplicate_field("version"));
                    }
                    continue;
                }
                "run" => &mut run,
                "order_id" => &mut order_id,
                "attempt" => &mut attempt,
                "type" => &mut kind,
                "content" => &mut content,
                other => {
                    let message = format!("field `{other}` is not part of an event");
                    map.next_value::<IgnoredAny>()?;
                    return Err(A::Error::custom(message));
                }
            };
            let Text(text) = map.next_value()?;
            if slot.replace(text).is_some() {
                return Err(A::Error::custom(format!("field `{name}` comes twice")));
            }
        }
        let needed =
            |field: Option<Cow<'de, str>>, name| field.ok_or_else(|| A::Error::missing_field(name));
        Ok(Fields {
            run: needed(run, "run")?,
            order_id: needed(order_id, "order_id")?,
            version: version.ok_or_else(|| A::Error::missing_field("version"))?,
            attempt: needed(attempt, "attempt")?,
            kind: needed(kind, "type")?,
            content: needed(content, "content")?,
        })
    }
}
