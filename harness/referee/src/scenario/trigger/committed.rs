//! `committed`: so many changes were acknowledged.

use super::{COUNT, Trigger, TriggerInfo, count};
use crate::scenario::keys::KeyInfo;

pub(super) const INFO: TriggerInfo = TriggerInfo {
    example: "when = { committed = 2000 }",
    what: "the generator was told of so many changes that they are committed",
    keys: &[KeyInfo::required(
        "committed",
        COUNT,
        "so many changes acknowledged as committed",
    )],
    read: |s, most| count(s, "committed", most).map(Trigger::Committed),
};
