//! Series over the run, in bins of one width, for charts.

use super::change::Changes;
use crate::history::Outcome;
use crate::view::Join;
use reports::record::Series;

const NARROWEST_NS: i64 = 250_000_000;
const MAX_BINS: i64 = 400;

/// These are the bins of a run: they are as narrow as their number allows.
struct Bins {
    from_ns: i64,
    width_ns: i64,
    count: usize,
}

impl Bins {
    fn new(from_ns: i64, until_ns: i64) -> Self {
        let length_ns = until_ns.saturating_sub(from_ns).max(1);
        let mut width_ns = NARROWEST_NS;
        while length_ns / width_ns >= MAX_BINS {
            width_ns = width_ns.saturating_mul(2);
        }
        Self {
            from_ns,
            width_ns,
            count: (length_ns / width_ns) as usize + 1,
        }
    }

    /// What is earlier or later than the run counts for its first or last bin.
    fn of(&self, at_ns: i64) -> usize {
        let bin = at_ns.saturating_sub(self.from_ns).max(0) / self.width_ns;
        usize::try_from(bin).map_or(self.count - 1, |bin| bin.min(self.count - 1))
    }

    fn per_s(&self, count: u64) -> f64 {
        count as f64 / (self.width_ns as f64 / 1e9)
    }
}

/// Makes the series, from the load's start to whatever came last: its end, the last heal or the last first sight.
pub fn series(join: &Join<'_>) -> Series {
    let history = join.history;
    let slots = || 0..join.truth.len();
    let last_seen_ns = slots().filter_map(|slot| join.seen(slot)).max();
    let until_ns = super::last_heal_ns(history)
        .filter(|at| *at < i64::MAX)
        .max(last_seen_ns)
        .max(Some(history.meta.load_until_ns));
    let from_ns = history.meta.load_from_ns;
    let bins = Bins::new(from_ns, until_ns.unwrap_or(from_ns));
    let mut acknowledged = vec![0u64; bins.count];
    for request in &history.requests {
        if request.outcome == Outcome::Committed {
            acknowledged[bins.of(request.ended_ns)] += 1;
        }
    }
    let mut published = vec![0u64; bins.count];
    let mut waiting = vec![0i64; bins.count];
    let mut delays = Delays::new(bins.count);
    let changes = Changes::new(join);
    for slot in slots() {
        let Some(request) = join.request(slot) else {
            continue;
        };
        let seen = join.seen(slot);
        // A commit is no later than its answer and no later than its event.
        let committed_ns = request.ended_ns.min(seen.unwrap_or(i64::MAX));
        waiting[bins.of(committed_ns)] += 1;
        if let Some(seen_ns) = seen {
            published[bins.of(seen_ns)] += 1;
            waiting[bins.of(seen_ns)] -= 1;
            if changes.of(request).committed_ns.is_some() {
                delays.count(bins.of(seen_ns));
            }
        }
    }
    delays.reserve();
    for slot in slots() {
        if let (Some(seen_ns), Some(request)) = (join.seen(slot), join.request(slot))
            && let Some(answered_ns) = changes.of(request).committed_ns
        {
            delays.put(bins.of(seen_ns), seen_ns.saturating_sub(answered_ns));
        }
    }
    let mut backlog = 0i64;
    Series {
        bin_s: bins.width_ns as f64 / 1e9,
        acknowledged_per_s: acknowledged.iter().map(|n| bins.per_s(*n)).collect(),
        published_per_s: published.iter().map(|n| bins.per_s(*n)).collect(),
        backlog: waiting
            .iter()
            .map(|change| {
                backlog += change;
                backlog as f64
            })
            .collect(),
        propagation_p50_ms: (0..bins.count).map(|bin| delays.ms(bin, 0.50)).collect(),
        propagation_p99_ms: (0..bins.count).map(|bin| delays.ms(bin, 0.99)).collect(),
    }
}

/// This holds delays by bin, exact to the microsecond, in 4 bytes each: they are counted first, then put in place.
struct Delays {
    /// Each bin's part of `us` ends here; while filling, its next value goes here.
    ends: Vec<usize>,
    us: Vec<u32>,
}

impl Delays {
    fn new(bins: usize) -> Self {
        Self {
            ends: vec![0; bins],
            us: Vec::new(),
        }
    }

    fn count(&mut self, bin: usize) {
        self.ends[bin] += 1;
    }

    /// Turns counts into the begin of each part; filling moves them to its end.
    fn reserve(&mut self) {
        let mut begin = 0;
        for end in &mut self.ends {
            let count = std::mem::replace(end, begin);
            begin += count;
        }
        self.us = vec![0; begin];
    }

    fn put(&mut self, bin: usize, ns: i64) {
        let us = u32::try_from((ns / 1_000).max(0)).unwrap_or(u32::MAX);
        self.us[self.ends[bin]] = us;
        self.ends[bin] += 1;
    }

    fn ms(&mut self, bin: usize, quantile: f64) -> Option<f64> {
        let begin = bin.checked_sub(1).map_or(0, |before| self.ends[before]);
        let part = &mut self.us[begin..self.ends[bin]];
        let rank = ((quantile * part.len() as f64).ceil() as usize).checked_sub(1)?;
        let (_, us, _) = part.select_nth_unstable(rank);
        Some(f64::from(*us) / 1e3)
    }
}
