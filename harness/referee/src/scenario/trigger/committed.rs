//! `committed`: so many changes were acknowledged.

use super::{Trigger, TriggerInfo, count};

pub(super) const INFO: TriggerInfo = TriggerInfo {
    example: "when = { committed = 2000 }",
    what: "the generator was told of so many changes that they are committed",
    keys: &["committed"],
    read: |s, most| count(s, "committed", most).map(Trigger::Committed),
};
