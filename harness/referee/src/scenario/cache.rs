//! `cache` and its fellows in `[strategy.NAME]`: a cache that the order service reads through, and who reads.

use super::keys::{KeyInfo, Shape};
use super::section::{Entry, Section};
use super::source::Problems;
use super::strategies::PlacedStrategy;
use super::units::show_duration;
use super::{Workload, limits};
use contract::cache::{CacheFill, CacheMode};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::time::Duration;

fn mode_words() -> Vec<&'static str> {
    CacheMode::ALL.map(CacheMode::name).to_vec()
}

fn fill_words() -> Vec<&'static str> {
    CacheFill::ALL.map(CacheFill::name).to_vec()
}

/// This key gives a strategy's order service a cache, and says who keeps it up to date.
pub(super) const MODE: KeyInfo = KeyInfo::optional(
    "cache",
    Shape::Word(mode_words),
    "no cache",
    "the order service reads orders through a cache (Redis, no TTL), and this is done about an order that changes: its entry is removed after the commit, or just before it (while the change is written and not yet committed; also with `newer` without a trace of its version); or its new state is written there after the commit; or the relay removes the entry, for each event that it publishes (not of a dual write, which has none)",
);

/// This key says what a read may put into the cache.
pub(super) const FILL: KeyInfo = KeyInfo::optional(
    "cache_fill",
    Shape::Word(fill_words),
    "\"any\"",
    "what a read that missed may put into the cache: whatever it read (`any`); or only what is newer than what is there, or was removed last (`newer`)",
);

/// This key makes the service wait before it fills the cache.
pub(super) const HOLD: KeyInfo = KeyInfo::optional(
    "cache_fill_hold",
    Shape::Duration {
        least: Duration::ZERO,
        most: limits::HOLD,
    },
    "\"0s\"",
    "so long a read that missed waits between its look at the database and its filling of the cache: what a race needs, made certain",
);

/// These are the keys of a cache.
const KEYS: [KeyInfo; 3] = [MODE, FILL, HOLD];

/// The cache that an order service reads through, as a scenario file asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// This says who takes an order out of it when the order changes.
    pub mode: CacheMode,
    /// This is what a read that missed may put into it.
    pub fill: CacheFill,
    /// So long a read that missed waits before it fills it.
    pub fill_hold: Duration,
}

impl Cache {
    /// Whether, once everything has been delivered, it can hold nothing but the committed versions: each event removes
    /// what it makes old, and no fill brings back what was removed. A server that loses everything, as a killed one
    /// does, changes nothing of it: a fill that looked before is not taken after. One that loses some of it would.
    pub fn converges(self) -> bool {
        self.mode == CacheMode::InvalidateByRelay && self.fill == CacheFill::Newer
    }
}

/// Whether this is a key of a cache.
pub(super) fn has_key(key: &str) -> bool {
    KEYS.iter().any(|own| own.name == key)
}

/// Why a strategy of another kind has no cache.
pub(super) const ELSEWHERE: &str = "only these kinds have an order service and a relay, both of the harness's own, that know the cache; \
     take one of them, or leave the line out";

/// Reads the keys of a cache, for a strategy that has a relay or none; what is wrong is noted. Gives it with the place
/// of its `cache`.
pub(super) fn read(s: &mut Section<'_>, has_relay: bool) -> Option<(Cache, Range<usize>)> {
    let entry = s.get("cache");
    let fill_entry = s.get("cache_fill");
    let hold_entry = s.get("cache_fill_hold");
    let fills = CacheFill::ALL.map(|fill| (fill.name(), fill));
    let fill = fill_entry.and_then(|e| s.word(e, &fills));
    let fill_hold = hold_entry.and_then(|e| s.duration(e, Duration::ZERO..=limits::HOLD));
    let Some(entry) = entry else {
        for useless in fill_entry.into_iter().chain(hold_entry) {
            s.problem(
                useless.key_span(),
                format!(
                    "`{}` without `cache`: there is no cache to fill",
                    useless.key
                ),
                "add `cache = \"invalidate-after-commit\"`, or remove the line",
            );
        }
        return None;
    };
    let modes = CacheMode::ALL.map(|mode| (mode.name(), mode));
    let mode = s.word(entry, &modes)?;
    if mode.is_of_relay() && !has_relay {
        s.problem(
            entry.span(),
            "this strategy has no relay that could invalidate the cache",
            "take \"invalidate-after-commit\", \"invalidate-before-commit\" or \"write-through\"; or a kind with a relay, such as polling",
        );
    }
    let cache = Cache {
        mode,
        fill: fill.unwrap_or_default(),
        fill_hold: fill_hold.unwrap_or_default(),
    };
    Some((cache, entry.span()))
}

/// Notes reads without a cache, caches without reads, and fills that no read waits for.
pub(super) fn against_the_load(
    placed: &[PlacedStrategy],
    workload: &Workload,
    share: Option<Range<usize>>,
    problems: &Problems,
) {
    let mut cached = placed
        .iter()
        .filter_map(|p| p.cache_span.as_ref().map(|span| (p, span)));
    let Some(share) = share.filter(|_| workload.read_share > 0.0) else {
        for (p, span) in cached {
            problems.add(
                span.clone(),
                format!(
                    "nobody reads: `{}` has a cache, and [workload] has no `read_share`",
                    p.strategy.name
                ),
                "add a line such as `read_share = 0.5` to [workload], or leave the cache out",
            );
        }
        return;
    };
    let strategies_are_known = !placed.is_empty();
    if strategies_are_known && cached.clone().next().is_none() {
        problems.add(
            share,
            "`read_share` asks for reads, and no strategy of this file has a cache that they could find stale",
            "give a strategy a line such as `cache = \"invalidate-after-commit\"`, or leave `read_share` out",
        );
        return;
    }
    let waits = |p: &PlacedStrategy| p.strategy.cache.map_or(Duration::ZERO, |c| c.fill_hold);
    let mut all = cached.clone();
    if let Some((p, span)) = cached.find(|(p, _)| waits(p) >= workload.request_timeout) {
        problems.add(
            span.clone(),
            format!(
                "`cache_fill_hold` ({}) is not shorter than `request_timeout` ({}): no read that misses would be answered",
                show_duration(waits(p)),
                show_duration(workload.request_timeout)
            ),
            "make `cache_fill_hold` shorter, or `request_timeout` longer",
        );
    }
    let reads = workload.reads_a_second();
    let waiting = |p: &PlacedStrategy| reads * waits(p).as_secs_f64();
    if let Some((p, span)) = all.find(|(p, _)| waiting(p) > FILLS_WAITING_MAX) {
        problems.add(
            span.clone(),
            format!(
                "{reads:.0} reads a second that each wait {} (`cache_fill_hold`) are up to {:.0} at once; an order \
                 service is to have no more than {FILLS_WAITING_MAX}",
                show_duration(waits(p)),
                waiting(p)
            ),
            "make `cache_fill_hold` shorter, or lower `rate` or `read_share`",
        );
    }
}

/// So many fills may wait at once: a quarter of the reads that an order service has at work at most.
const FILLS_WAITING_MAX: f64 = 4_096.0;

/// Notes reads of a closed loop.
pub(super) fn reads_of_a_closed_loop(s: &Section<'_>, share: Entry<'_>) {
    s.problem(
        share.key_span(),
        "`read_share` is of an open loop, and this load is closed",
        "reads have a schedule of their own, beside that of the changes: take an open loop with a `rate`, or leave `read_share` out",
    );
}
