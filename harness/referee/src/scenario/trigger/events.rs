//! `events`: so many events came through.

use super::{COUNT, Trigger, TriggerInfo, count};
use crate::scenario::keys::KeyInfo;

pub(super) const INFO: TriggerInfo = TriggerInfo {
    example: "when = { events = 1000 }",
    what: "so many different valid events were seen on the topic",
    keys: &[KeyInfo::required(
        "events",
        COUNT,
        "so many different valid events seen on the topic",
    )],
    read: |s, most| count(s, "events", most).map(Trigger::Events),
};
