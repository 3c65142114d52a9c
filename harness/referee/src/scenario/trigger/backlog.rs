//! `backlog`: so many changes wait for their events.

use super::{COUNT, Trigger, TriggerInfo, count};
use crate::scenario::keys::KeyInfo;

pub(super) const INFO: TriggerInfo = TriggerInfo {
    example: "when = { backlog = 500 }",
    what: "so many more changes were acknowledged as committed than different valid events were seen",
    keys: &[KeyInfo::required(
        "backlog",
        COUNT,
        "so many more changes acknowledged than events seen",
    )],
    read: |s, most| count(s, "backlog", most).map(Trigger::Backlog),
};
