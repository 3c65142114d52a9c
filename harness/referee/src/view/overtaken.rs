//! When was it clear that a relay had left a change behind? An event that never came has no end,
//! so by itself it would overlap every fault that follows it. But once a change that was sent
//! after this one's end has been seen, the relay has passed it: what made it lost had happened by
//! then, and no later fault explains it.

use super::NEVER;
use super::join::Join;

/// By sent time, in bins: the earliest sight of anything sent in the bin or later.
pub struct Overtaken {
    from_ns: i64,
    width_ns: i64,
    earliest: Vec<i64>,
}

const BINS: i64 = 1 << 20;
const FINEST_NS: i64 = 1_000_000;

impl Overtaken {
    /// Linear in the committed changes.
    pub fn new(join: &Join<'_>) -> Self {
        let requests = &join.history.requests;
        let from_ns = requests.iter().map(|r| r.sent_ns).min().unwrap_or(0);
        let last_ns = requests.iter().map(|r| r.sent_ns).max().unwrap_or(0);
        let range_ns = last_ns.saturating_sub(from_ns);
        let width_ns = (range_ns / BINS + 1).max(FINEST_NS);
        let mut earliest = vec![NEVER; (range_ns / width_ns) as usize + 1];
        for slot in 0..join.truth.len() {
            if let (Some(seen), Some(request)) = (join.seen(slot), join.request(slot)) {
                let bin = (request.sent_ns.saturating_sub(from_ns) / width_ns) as usize;
                earliest[bin] = earliest[bin].min(seen);
            }
        }
        for bin in (1..earliest.len()).rev() {
            earliest[bin - 1] = earliest[bin - 1].min(earliest[bin]);
        }
        Self {
            from_ns,
            width_ns,
            earliest,
        }
    }

    /// When something sent after `ended_ns` was first seen; [`NEVER`] if nothing was.
    pub fn at(&self, ended_ns: i64) -> i64 {
        let bin = ended_ns.saturating_sub(self.from_ns).max(0) / self.width_ns + 1;
        usize::try_from(bin)
            .ok()
            .and_then(|bin| self.earliest.get(bin))
            .copied()
            .unwrap_or(NEVER)
    }
}
