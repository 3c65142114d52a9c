//! `broker = "eventbridge"`: a bus of EventBridge, which promises no order. It is an emulator's.

use super::{BrokerChoice, BrokerInfo};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::section::Section;
use contract::broker::BrokerKind;
use contract::config::LooksAt;
use serde::{Deserialize, Serialize};

pub(super) const INFO: BrokerInfo = BrokerInfo {
    kind: BrokerKind::EventBridge,
    what: "an emulator of it (moto): a bus, with a queue that the referee alone reads; calls of at most 10 events and 256 KB, of which each is accepted or refused by itself in an answer with status 200; no order is promised, so none is judged; for some 20 orders a second",
    example: "kind = \"polling\", broker = \"eventbridge\", eventbridge = { looks_at = \"entries\" }",
    keys: &KEYS,
    table: Some(KeyInfo::optional(
        "eventbridge",
        Shape::Table,
        "each of its keys as it usually is",
        "settings of whoever publishes to EventBridge, where that is the broker",
    )),
    read,
};

fn looks_at_words() -> Vec<&'static str> {
    LooksAt::ALL.map(LooksAt::name).to_vec()
}

const KEYS: [KeyInfo; 1] = [KeyInfo::usually(
    "looks_at",
    Shape::Word(looks_at_words),
    "\"entries\"",
    "by what an event counts as delivered: by its own entry of the answer, or (\"status\") by the status of the call, which is 200 also where some of its events failed: a mistake that loses them",
)];

/// What a strategy wants of EventBridge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBridgeSettings {
    /// By what its events count as delivered.
    pub looks_at: LooksAt,
}

fn read(section: Option<&mut Section<'_>>) -> Option<BrokerChoice> {
    let mut settings = EventBridgeSettings::default();
    let words = LooksAt::ALL.map(|looks_at| (looks_at.name(), looks_at));
    if let Some(s) = section
        && let Some(entry) = s.get("looks_at")
    {
        settings.looks_at = s.word(entry, &words)?;
    }
    Some(BrokerChoice::EventBridge(settings))
}
