//! JSON as it was written, with fields that come twice: a tree that keeps the last of them would hide the
//! others from whoever verifies what is in an envelope.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use std::fmt;

/// This is a JSON value, with the fields of its objects in their order.
#[derive(Debug)]
pub(super) enum Json {
    /// This value is neither a list nor an object.
    Plain(Value),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Returns what a pointer (RFC 6901) leads to; `None` where it leads to nothing, or there are two ways.
    pub(super) fn at(self, pointer: &str) -> Option<Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        let mut steps = pointer.strip_prefix('/')?.split('/');
        steps.try_fold(self, |json, step| {
            json.step(&step.replace("~1", "/").replace("~0", "~"))
        })
    }

    fn step(self, name: &str) -> Option<Self> {
        match self {
            Self::Plain(_) => None,
            Self::List(items) => {
                let is_number = name == "0" || !name.starts_with(['0', '+']);
                let number: usize = name.parse().ok().filter(|_| is_number)?;
                items.into_iter().nth(number)
            }
            Self::Object(fields) => {
                let mut of_name = fields.into_iter().filter(|(field, _)| field == name);
                let (_, found) = of_name.next()?;
                of_name.next().is_none().then_some(found)
            }
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => value.serialize(serializer),
            Self::List(items) => items.serialize(serializer),
            Self::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Plain(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Plain(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Object(fields))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str, pointer: &str) -> Option<String> {
        let json: Json = serde_json::from_str(text).unwrap();
        Some(serde_json::to_string(&json.at(pointer)?).unwrap())
    }

    #[test]
    fn given_a_field_that_comes_twice_then_what_it_is_in_has_both_and_no_way_leads_through_it() {
        let text = r#"{"e":{"v":1,"w":{"v":1},"v":2},"x":0,"x":0}"#;
        assert_eq!(
            at(text, "/e").as_deref(),
            Some(r#"{"v":1,"w":{"v":1},"v":2}"#)
        );
        assert_eq!(at(text, "/e/w/v").as_deref(), Some("1"));
        assert_eq!(at(text, "/e/v"), None);
        assert_eq!(at(text, "/x"), None);
    }

    proptest! {
        /// Where nothing comes twice, it is what everybody's JSON is.
        #[test]
        fn without_doubles_every_pointer_leads_where_it_leads_in_any_tree(
            numbers: [i64; 3], fraction: f32, text: String, step in "[a-c0-3~/+]{0,3}",
        ) {
            let value = serde_json::json!({
                "a": [numbers, text, null, {"0": fraction, "b": {}}],
                "b": {"a/b": true, "c~d": {"": text}},
                "c": text,
            });
            let written = value.to_string();
            for pointer in ["", "/a", "/a/0/2", "/a/3/b", "/a/01", "/b/a~1b", "/b/c~0d/", "/c/x"] {
                for pointer in [pointer.to_owned(), format!("{pointer}/{step}")] {
                    let found = at(&written, &pointer);
                    let expected = value.pointer(&pointer).map(Value::to_string);
                    let same = |text: String| serde_json::from_str::<Value>(&text).unwrap();
                    prop_assert_eq!(found.map(same), expected.map(same), "{}", pointer);
                }
            }
        }
    }
}
