//! `events`: so many events came through.

use super::{Trigger, TriggerInfo, count};

pub(super) const INFO: TriggerInfo = TriggerInfo {
    example: "when = { events = 1000 }",
    what: "so many different valid events were seen on the topic",
    keys: &["events"],
    read: |s, most| count(s, "events", most).map(Trigger::Events),
};
