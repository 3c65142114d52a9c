//! A figure of a record by its name: what is counted, what runs are compared by, and what consumers did.

use crate::compare::METRICS;
use crate::scenario::{CACHE_COUNTS, CONSUMER_COUNTS, COUNTS};
use reports::claims::ClaimValue;
use reports::record::Strategy;

/// A figure that runs are not compared by, but that shows something.
struct OtherFigure {
    name: &'static str,
    unit: &'static str,
    of: fn(&Strategy) -> Option<f64>,
}

const OTHERS: [OtherFigure; 11] = [
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
    OtherFigure {
        name: "longest_staleness",
        unit: "ms",
        of: |s| s.cache.as_ref()?.longest_staleness_ms,
    },
    OtherFigure {
        name: "reads",
        unit: "",
        of: |s| s.cache.as_ref().map(|cache| cache.reads.answered as f64),
    },
    OtherFigure {
        name: "from_cache",
        unit: "%",
        of: |s| Some(s.cache.as_ref()?.reads.share_from_cache()? * 100.0),
    },
    OtherFigure {
        name: "read_p99",
        unit: "ms",
        of: |s| s.cache.as_ref()?.reads.service_time_ms.p99,
    },
    OtherFigure {
        name: "vacuums",
        unit: "",
        of: |s| s.database.vacuums,
    },
    OtherFigure {
        name: "time_to_normal",
        unit: "s",
        of: |s| s.database.time_to_normal_s,
    },
];

/// Returns all names but those of consumers.
pub(super) fn names() -> Vec<&'static str> {
    let counted = COUNTS.iter().chain(&CACHE_COUNTS).map(|row| row.name);
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
        return reports::consumer_count(consumer, figure).map(ClaimValue::count);
    }
    let compared = METRICS.iter().map(|row| (row.id, row.unit, row.of));
    let others = OTHERS.iter().map(|row| (row.name, row.unit, row.of));
    match compared.chain(others).find(|(known, ..)| *known == name) {
        Some((_, unit, of)) => of(strategy).map(|value| ClaimValue { value, unit }),
        None => reports::harm_count(strategy, name).map(ClaimValue::count),
    }
}
