//! Counts of what can go wrong, side by side. They need no statistics: one loss is a loss.

use crate::scenario::{CACHE_COUNTS, CONSUMER_COUNTS, COUNTS};
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
            harm: new
                .iter()
                .any(|s| is_harm(s, row.name, count(s), row.implicit)),
            unread: row.implicit && new.iter().any(|s| is_unread(s, row.name)),
        }
    });
    rows.filter(|row| ALWAYS.contains(&row.metric.as_str()) || is_any(row))
        .chain(of_consumers(base, new))
        .collect()
}

/// What can go wrong at the consumers of the events, a row for each count that one of them has any of. What one is held
/// to is among its strategy's expectations; nobody is held to anything else.
fn of_consumers(base: &[&Strategy], new: &[&Strategy]) -> Vec<SafetyRow> {
    let mut names: Vec<&str> = Vec::new();
    for consumer in base.iter().chain(new).flat_map(|s| &s.consumers) {
        if !names.contains(&consumer.name.as_str()) {
            names.push(&consumer.name);
        }
    }
    let counts = names
        .iter()
        .flat_map(|name| CONSUMER_COUNTS.iter().map(move |row| (*name, row.name)));
    let rows = counts.map(|(name, count_name)| {
        let metric = format!("{name}.{count_name}");
        let count = |s: &&Strategy| {
            let consumer = s.consumers.iter().find(|consumer| consumer.name == name)?;
            reports::consumer_count(consumer, count_name)
        };
        SafetyRow {
            base: base.iter().map(count).collect(),
            new: new.iter().map(count).collect(),
            harm: new.iter().any(|s| is_harm(s, &metric, count(s), false)),
            unread: new
                .iter()
                .any(|s| count(s).is_none() && is_held(s, &metric)),
            metric,
        }
    });
    let is_some = |row: &SafetyRow| {
        let mut all = row.base.iter().chain(&row.new).flatten();
        row.unread || all.any(|count| *count > 0)
    };
    rows.filter(is_some).collect()
}

/// Whether anybody expects anything of it.
fn is_held(strategy: &Strategy, metric: &str) -> bool {
    strategy.expectations.iter().any(|e| e.metric == metric)
}

fn is_any(row: &SafetyRow) -> bool {
    row.base
        .iter()
        .chain(&row.new)
        .any(|count| count.is_none_or(|count| count > 0))
}

/// Whether a run did what it must not.
fn is_harm(strategy: &Strategy, metric: &str, count: Option<u64>, wrong: bool) -> bool {
    if count.is_none_or(|count| count == 0) {
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
