//! The text of an event. Its version is only known where the order is written, so the text comes
//! in two parts, around the version; SQL or [`EventText::with_version`] puts them together.

use super::change::Change;
use std::fmt::Write;

/// This is the text of an event but for its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventText {
    /// This is the text up to and including `"version":`.
    pub prefix: String,
    /// This is the text from the comma after the version on.
    pub suffix: String,
}

impl EventText {
    /// Returns the event of a change; `run` is 16 hex digits, which need no escaping.
    pub fn new(run: &str, change: &Change) -> Self {
        let prefix = format!(
            r#"{{"run":"{run}","order_id":"{}","version":"#,
            change.order
        );
        let mut suffix = String::with_capacity(96 + change.content.len());
        let _ = write!(
            suffix,
            r#","attempt":"{}","type":"{}","content":"#,
            change.attempt,
            change.kind.event_type()
        );
        suffix.push_str(&serde_json::Value::from(change.content.as_str()).to_string());
        suffix.push('}');
        Self { prefix, suffix }
    }

    /// Returns the event's whole JSON text, with this version in its place.
    pub fn with_version(&self, version: u32) -> String {
        format!("{}{version}{}", self.prefix, self.suffix)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::order::{ChangeType, Directive};
    use proptest::prelude::*;
    use uuid::Uuid;

    fn change(content: String) -> Change {
        Change {
            order: Uuid::from_u128(0xA1),
            kind: ChangeType::Placed,
            change_id: Uuid::from_u128(1),
            attempt: Uuid::from_u128(0xB2),
            content,
            directive: Directive::Commit,
        }
    }

    #[test]
    fn an_event_is_exactly_as_agreed() {
        let text = EventText::new("0123456789abcdef", &change("c0ffee".into())).with_version(3);
        assert_eq!(
            text,
            "{\"run\":\"0123456789abcdef\",\
             \"order_id\":\"00000000-0000-0000-0000-0000000000a1\",\"version\":3,\
             \"attempt\":\"00000000-0000-0000-0000-0000000000b2\",\"type\":\"OrderPlaced\",\
             \"content\":\"c0ffee\"}"
        );
    }

    proptest! {
        #[test]
        fn any_content_comes_back_out_of_the_json(content: String, version: u32) {
            let text = EventText::new("0123456789abcdef", &change(content.clone()))
                .with_version(version);
            let event: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(event["content"].as_str(), Some(content.as_str()));
            prop_assert_eq!(event["version"].as_u64(), Some(version.into()));
        }
    }
}
