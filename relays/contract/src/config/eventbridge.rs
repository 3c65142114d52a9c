//! How a child reaches EventBridge, which bus is its strategy's, and in what an event travels there.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Every event has this source.
pub const EVENTBRIDGE_SOURCE: &str = "outbox-harness";

/// This says how to reach EventBridge, and which bus belongs to this strategy: it is named like its topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBridgeTarget {
    /// This is the `host:port` of the endpoint, or the proxy's where the link is proxied.
    pub address: String,
    /// The events go to the bus of this name.
    pub topic: String,
    /// By what a call counts as a success.
    pub looks_at: LooksAt,
}

/// By what whoever puts events takes them for delivered. A call whose status is 200 may have failed for some.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LooksAt {
    /// An event is delivered when its own entry of the answer has an id.
    #[default]
    Entries,
    /// All events of a call are delivered when its status is 200: the mistake.
    Status,
}

impl LooksAt {
    /// These are all of them.
    pub const ALL: [Self; 2] = [Self::Entries, Self::Status];

    /// Returns its name in files: `entries`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Status => "status",
        }
    }
}

/// This is an event as it stands in the `detail` of an entry. The payload is a text, so that it arrives byte for byte:
/// EventBridge reads a detail as JSON and writes it anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBridgeDetail<'e> {
    /// This is the order's id.
    #[serde(borrow)]
    pub key: Cow<'e, str>,
    /// These are what is a header elsewhere: id, type and version.
    #[serde(borrow)]
    pub headers: BTreeMap<Cow<'e, str>, Cow<'e, str>>,
    /// This is the event itself.
    #[serde(borrow)]
    pub payload: Cow<'e, str>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn given_an_event_when_its_detail_is_read_and_written_anew_then_the_payload_is_the_same_to_the_byte()
     {
        let payload = "{\"b\" : 1,  \"a\":\"\u{fc}\\u00fc\\\"\"}";
        let detail = EventBridgeDetail {
            key: "k".into(),
            headers: BTreeMap::from([("id".into(), "1".into())]),
            payload: payload.into(),
        };
        let value: serde_json::Value =
            serde_json::from_str(&serde_json::to_string(&detail).unwrap()).unwrap();
        let anew = serde_json::to_string_pretty(&value).unwrap();
        let read: EventBridgeDetail<'_> = serde_json::from_str(&anew).unwrap();
        assert_eq!((read.payload.as_ref(), &read), (payload, &detail));
    }
}
