//! How long it took until the last committed change had arrived.

use super::ns;
use crate::checkers::join::Join;
use crate::checkers::window::windows;
use crate::history::History;

/// When the last fault that was in force was healed.
pub fn last_heal_ns(history: &History) -> Option<i64> {
    let windows = windows(history);
    windows.iter().map(|w| w.span.until_ns).max()
}

/// Seconds from the last heal or the end of the load, whichever is later, to the last committed
/// change's first sight; 0 if that was earlier, `None` if something never arrived.
pub fn drain_s(join: &Join<'_>) -> Option<f64> {
    let from_ns = last_heal_ns(join.history)
        .unwrap_or(i64::MIN)
        .max(join.history.meta.load_until_ns);
    let mut last_ns = None;
    for slot in 0..join.truth.len() {
        last_ns = last_ns.max(Some(join.seen(slot)?));
    }
    let waited_ns = last_ns?.saturating_sub(from_ns).max(0);
    Some(waited_ns.min(ns(std::time::Duration::MAX)) as f64 / 1e9)
}
