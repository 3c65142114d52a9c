//! Where a record has what the referee verifies: the order's id and the event, in whatever envelope a
//! relay puts them, and the headers that must be there besides.

mod headers;
mod json;

use base64::Engine;
use json::Json;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

pub use headers::{EventField, HeaderPiece, RequiredHeader};

/// Where the two are, and what else is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPlace {
    /// This says where a record has the order's id.
    pub key: Part,
    /// This says where a record has the event.
    pub value: Part,
    /// A record must have these headers; in most files there are none.
    #[serde(default)]
    pub headers: Vec<RequiredHeader>,
}

/// Where one of them is, and how it is encoded there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// This is the place in the record at which it is found.
    pub of: Of,
    /// This says how the bytes at that place are encoded.
    #[serde(default)]
    pub coding: Coding,
}

/// This says which place in a record is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Of {
    /// It is the record's key.
    Key,
    /// It is the record's value.
    Value,
    /// It is the last header of this name.
    Header(String),
    /// It is what a JSON pointer (RFC 6901) finds in the record's value: a text's content, or anything else as JSON.
    Json(String),
}

/// How something is encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coding {
    /// The bytes are taken as they are.
    #[default]
    Plain,
    /// The bytes are Base64 (RFC 4648), padded or not.
    Base64,
    /// The bytes are hexadecimal digits, two for each byte that is meant.
    Hex,
}

/// A record as it is on the topic.
pub trait Wire {
    /// Returns the bytes of its key; `None` if it has none.
    fn key(&self) -> Option<&[u8]>;
    /// Returns the bytes of its value; `None` if it has none (a tombstone).
    fn value(&self) -> Option<&[u8]>;
    /// Returns the value of its last header of this name; `None` if it has none.
    fn header(&self, name: &str) -> Option<&[u8]>;
}

impl Default for EventPlace {
    /// As the project's own relays have it.
    fn default() -> Self {
        let plain = |of| Part {
            of,
            coding: Coding::Plain,
        };
        Self {
            key: plain(Of::Key),
            value: plain(Of::Value),
            headers: Vec::new(),
        }
    }
}

impl EventPlace {
    /// Whether key and value are simply the record's own.
    pub fn is_usual(&self) -> bool {
        let usual = |part: &Part, of: Of| part.of == of && part.coding == Coding::Plain;
        usual(&self.key, Of::Key) && usual(&self.value, Of::Value)
    }
}

impl Part {
    /// Reads `key`, `value`, `header:NAME` or `json:/POINTER`, with `base64` or `hex` after a blank.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (place, coding) = match text.rsplit_once(' ') {
            None => (text, Coding::Plain),
            Some((place, "base64")) => (place, Coding::Base64),
            Some((place, "hex")) => (place, Coding::Hex),
            Some((_, other)) => return Err(format!("there is no encoding `{other}`")),
        };
        let of = match place.trim() {
            "key" => Of::Key,
            "value" => Of::Value,
            place => match place.split_once(':') {
                Some(("header", name)) if !name.is_empty() => Of::Header(name.to_owned()),
                Some(("json", pointer)) if pointer.starts_with('/') => Of::Json(pointer.to_owned()),
                Some(("json", _)) => return Err("a JSON pointer begins with `/`".to_owned()),
                _ => return Err(format!("there is no place `{place}` in a record")),
            },
        };
        Ok(Self { of, coding })
    }

    /// What is there; nothing where it is not there, or not so encoded.
    pub fn find<'r>(&self, record: &'r (impl Wire + ?Sized)) -> Option<Cow<'r, [u8]>> {
        let found: Cow<'r, [u8]> = match &self.of {
            Of::Key => record.key()?.into(),
            Of::Value => record.value()?.into(),
            Of::Header(name) => record.header(name)?.into(),
            Of::Json(pointer) => {
                let value: Json = serde_json::from_slice(record.value()?).ok()?;
                match value.at(pointer)? {
                    Json::Plain(serde_json::Value::String(text)) => text.into_bytes().into(),
                    other => serde_json::to_vec(&other).ok()?.into(),
                }
            }
        };
        match self.coding {
            Coding::Plain => Some(found),
            Coding::Base64 => {
                let unpadded = found.trim_ascii_end();
                let padding = unpadded.iter().rev().take_while(|c| **c == b'=').count();
                let unpadded = &unpadded[..unpadded.len() - padding];
                let engine = base64::engine::general_purpose::STANDARD_NO_PAD;
                engine.decode(unpadded).ok().map(Cow::Owned)
            }
            Coding::Hex => hex::decode(&found).ok().map(Cow::Owned),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Default)]
    struct StagedRecord {
        key: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        headers: Vec<(&'static str, Vec<u8>)>,
    }

    impl Wire for StagedRecord {
        fn key(&self) -> Option<&[u8]> {
            self.key.as_deref()
        }
        fn value(&self) -> Option<&[u8]> {
            self.value.as_deref()
        }
        fn header(&self, name: &str) -> Option<&[u8]> {
            let mut of_name = self.headers.iter().filter(|(n, _)| *n == name);
            of_name.next_back().map(|(_, value)| value.as_slice())
        }
    }

    fn find(place: &str, record: &StagedRecord) -> Option<String> {
        let found = Part::parse(place).unwrap().find(record)?;
        Some(String::from_utf8(found.into_owned()).unwrap())
    }

    #[test]
    fn given_a_record_then_each_place_has_what_is_there() {
        let record = StagedRecord {
            key: Some(b"k".to_vec()),
            value: Some(
                br#"{"a":{"b":"text"},"o":{"x":1},"e":"eyJ4IjoxfQ==","u":"eyJ4IjoxfQ","t":{"x":1,"x":2}}"#
                    .to_vec(),
            ),
            headers: vec![("id", b"first".to_vec()), ("id", b"0a".to_vec())],
        };
        for (place, found) in [
            ("key", Some("k")),
            ("header:id", Some("0a")),
            ("header:id hex", Some("\n")),
            ("header:none", None),
            ("json:/a/b", Some("text")),
            ("json:/o", Some(r#"{"x":1}"#)),
            ("json:/e base64", Some(r#"{"x":1}"#)),
            ("json:/u base64", Some(r#"{"x":1}"#)),
            ("json:/a/b hex", None),
            ("json:/none", None),
            ("json:/t", Some(r#"{"x":1,"x":2}"#)),
            ("json:/t/x", None),
        ] {
            assert_eq!(find(place, &record).as_deref(), found, "{place}");
        }
        assert_eq!(find("value", &StagedRecord::default()), None);
    }

    #[test]
    fn given_a_place_that_is_none_then_it_is_refused() {
        for place in ["", "body", "header:", "json:a", "value rot13"] {
            assert!(Part::parse(place).is_err(), "{place}");
        }
    }

    proptest! {
        #[test]
        fn no_value_and_no_place_makes_it_panic(
            value: Vec<u8>, pointer in "(/[a-z~0-9]{0,3}){0,3}", coding in 0usize..3,
        ) {
            let record = StagedRecord { value: Some(value), ..StagedRecord::default() };
            let coding = [Coding::Plain, Coding::Base64, Coding::Hex][coding];
            let _ = Part { of: Of::Json(pointer), coding }.find(&record);
        }
    }
}
