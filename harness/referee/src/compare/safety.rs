//! Counts of what can go wrong, side by side. They need no statistics: one loss is a loss.

use crate::scenario::{CACHE_COUNTS, COUNTS};
use reports::compare::SafetyRow;
use reports::record::Strategy;

/// These counts are shown whether zero or not.
const ALWAYS: [&str; 4] = ["lost", "phantom", "duplicated", "reordered"];

/// The counts of both sides, by run. What the scenario itself expects is no harm: a dual write that is there to lose.
pub fn rows(base: &[&Strategy], new: &[&Strategy]) -> Vec<SafetyRow> {
    let mut all = base.iter().chain(new);
    let of_caches: &[_] = match all.any(|s| s.cache.is_some()) {
        true => &CACHE_COUNTS,
        false => &[],
    };
    let rows = COUNTS.iter().chain(of_caches).map(|row| {
        let count = |s: &&Strategy| reports::harm_count(s, row.name);
        SafetyRow {
            metric: row.name.to_owned(),
            base: base.iter().map(count).collect(),
            new: new.iter().map(count).collect(),
            // What the scenario wants none of, or a relay strategy is held to none of.
            harm: new.iter().any(|s| is_harm(s, row.name, row.implicit)),
            unread: row.implicit && new.iter().any(|s| is_unread(s, row.name)),
        }
    });
    rows.filter(|row| ALWAYS.contains(&row.metric.as_str()) || is_any(row))
        .collect()
}

fn is_any(row: &SafetyRow) -> bool {
    row.base
        .iter()
        .chain(&row.new)
        .any(|count| count.is_none_or(|count| count > 0))
}

/// Whether a run did what it must not.
fn is_harm(strategy: &Strategy, metric: &str, wrong: bool) -> bool {
    if reports::harm_count(strategy, metric).is_none_or(|count| count == 0) {
        return false;
    }
    let mut expected = strategy
        .expectations
        .iter()
        .filter(|e| e.metric == metric)
        .peekable();
    match expected.peek() {
        Some(_) => expected.any(|e| e.met == Some(false)),
        // Nobody expected anything of it.
        None => wrong,
    }
}

/// Whether a run cannot say that it did none of it.
fn is_unread(strategy: &Strategy, metric: &str) -> bool {
    let doubtful = || {
        let mut expected = strategy.expectations.iter().filter(|e| e.metric == metric);
        expected.any(|e| e.met.is_none())
    };
    match reports::harm_count(strategy, metric) {
        None => true,
        Some(0) => false,
        Some(_) => doubtful(),
    }
}
