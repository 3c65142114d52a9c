//! `broker = "nats"`: a stream of NATS JetStream, which has one order for everything on it.

use super::{BrokerChoice, BrokerInfo};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::section::Section;
use contract::broker::BrokerKind;
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub(super) const INFO: BrokerInfo = BrokerInfo {
    kind: BrokerKind::Nats,
    what: "JetStream: a stream in a file, with a subject an order and one order for everything; each event is acknowledged, and says its id (Nats-Msg-Id), by which the stream knows it again within its window",
    example: "kind = \"polling\", broker = \"nats\", nats = { duplicate_window = \"2m\" }",
    keys: &KEYS,
    table: Some(KeyInfo::optional(
        "nats",
        Shape::Table,
        "as NATS has it by itself",
        "settings of its broker; with `broker = \"nats\"` only",
    )),
    read,
};

/// The shortest window that a server takes, and no longer one than any run needs.
const WINDOW: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(86_400));
/// What a server has by itself.
const WINDOW_USUAL: Duration = Duration::from_secs(120);

const KEYS: [KeyInfo; 2] = [
    KeyInfo::usually(
        "message_id",
        Shape::Flag,
        "true",
        "whether each event is sent with its id (Nats-Msg-Id), by which the stream leaves out what it has",
    ),
    KeyInfo::usually(
        "duplicate_window",
        Shape::Duration {
            least: WINDOW.0,
            most: WINDOW.1,
        },
        "\"2m\"",
        "so long the stream knows an id again; what is sent again later is there twice",
    ),
];

/// What a strategy wants of NATS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatsSettings {
    /// Whether each event says its id.
    pub message_id: bool,
    /// So long its stream knows an id again, in milliseconds.
    pub duplicate_window_ms: u64,
}

impl Default for NatsSettings {
    fn default() -> Self {
        Self {
            message_id: true,
            duplicate_window_ms: WINDOW_USUAL.as_millis() as u64,
        }
    }
}

impl NatsSettings {
    /// Returns for how long its stream knows an id again.
    pub fn duplicate_window(self) -> Duration {
        Duration::from_millis(self.duplicate_window_ms)
    }
}

fn read(section: Option<&mut Section<'_>>) -> Option<BrokerChoice> {
    let mut settings = NatsSettings::default();
    if let Some(s) = section {
        if let Some(entry) = s.get("message_id") {
            settings.message_id = s.flag(entry)?;
        }
        if let Some(entry) = s.get("duplicate_window") {
            let window = s.duration(entry, WINDOW.0..=WINDOW.1)?;
            settings.duplicate_window_ms = window.as_millis() as u64;
        }
    }
    Some(BrokerChoice::Nats(settings))
}
