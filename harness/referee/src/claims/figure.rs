//! A figure of a record by its name: what is counted, what runs are compared by, and what consumers did.

use crate::compare::METRICS;
use crate::scenario::{CONSUMER_COUNTS, COUNTS};
use reports::claims::ClaimValue;
use reports::record::{Consumer, Strategy};

/// A figure that runs are not compared by, but that shows something.
struct OtherFigure {
    name: &'static str,
    unit: &'static str,
    of: fn(&Strategy) -> Option<f64>,
}

const OTHERS: [OtherFigure; 5] = [
    OtherFigure {
        name: "committed",
        unit: "",
        of: |s| s.counts.committed.map(|count| count as f64),
    },
    OtherFigure {
        name: "rejected",
        unit: "",
        of: |s| Some(s.counts.rejected as f64),
    },
    OtherFigure {
        name: "rows_written",
        unit: "",
        of: |s| s.database.rows_written.per_event,
    },
    OtherFigure {
        name: "storage_end",
        unit: "B",
        of: |s| s.database.storage_end_bytes.total,
    },
    OtherFigure {
        name: "rebuild",
        unit: "ms",
        of: |s| s.database.rebuild_ms,
    },
];

/// Returns all names but those of consumers.
pub(super) fn names() -> Vec<&'static str> {
    let counted = COUNTS.iter().map(|row| row.name);
    let compared = METRICS.iter().map(|row| row.id);
    let others = OTHERS.iter().map(|row| row.name);
    counted.chain(compared).chain(others).collect()
}

/// Whether there is a figure of this name.
pub(super) fn is_known(name: &str) -> bool {
    match of_consumer(name) {
        Some((_, figure)) => CONSUMER_COUNTS.iter().any(|row| row.name == figure),
        None => names().contains(&name),
    }
}

/// Splits `consumer-payments.applied_twice`; `None` for what is no consumer's.
fn of_consumer(name: &str) -> Option<(&str, &str)> {
    name.starts_with("consumer-")
        .then(|| name.split_once('.'))
        .flatten()
}

/// Returns the figure of this name; `None` where it was not measured.
pub(super) fn of(strategy: &Strategy, name: &str) -> Option<ClaimValue> {
    if let Some((process, figure)) = of_consumer(name) {
        let consumer = strategy.consumers.iter().find(|c| c.name == process)?;
        return count(consumer, figure).map(ClaimValue::count);
    }
    if let Some(row) = METRICS.iter().find(|row| row.id == name) {
        let value = (row.of)(strategy)?;
        return Some(ClaimValue {
            value,
            unit: row.unit,
        });
    }
    if let Some(row) = OTHERS.iter().find(|row| row.name == name) {
        let value = (row.of)(strategy)?;
        return Some(ClaimValue {
            value,
            unit: row.unit,
        });
    }
    reports::harm_count(strategy, name).map(ClaimValue::count)
}

fn count(consumer: &Consumer, figure: &str) -> Option<u64> {
    match figure {
        "unapplied" => consumer.unapplied,
        "applied_twice" => consumer.applied_twice,
        "applied_unseen" => consumer.applied_unseen,
        "applied_out_of_order" => consumer.applied_out_of_order,
        _ => None,
    }
}
