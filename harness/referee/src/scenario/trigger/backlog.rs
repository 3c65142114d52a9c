//! `backlog`: so many changes wait for their events.

use super::{Trigger, TriggerInfo, count};

pub(super) const INFO: TriggerInfo = TriggerInfo {
    example: "when = { backlog = 500 }",
    what: "so many more changes were acknowledged as committed than different valid events were seen",
    keys: &["backlog"],
    read: |s, most| count(s, "backlog", most).map(Trigger::Backlog),
};
