//! `[stack]`: what the servers of a local stack are to be like.

use super::StackSettings;
use super::keys::{KeyInfo, Shape};
use super::section::Section;

/// These are the keys that `[stack]` can have.
pub(super) const KEYS: [KeyInfo; 1] = [KeyInfo::usually(
    "synchronous_standby",
    Shape::Flag,
    "false",
    "every commit waits for a standby that flushes the log (local stack only)",
)];

/// Reads `[stack]`; a key that is missing or wrong has its default.
pub(super) fn read(mut s: Section<'_>) -> StackSettings {
    let standby = s.get("synchronous_standby").and_then(|e| s.flag(e));
    s.finish();
    StackSettings {
        synchronous_standby: standby.unwrap_or_default(),
    }
}
