//! What a strategy cost the database, from the samples of the run.

use crate::history::{History, WALL_DRIFT_NS};
use reports::record::{Cost, DatabaseCosts};

/// This series says where the server writes its log, bytes from the log's beginning.
pub const WAL_BYTES: &str = "wal_bytes";
/// This series has the WAL, bytes, that the slot's consumer has not confirmed.
pub const SLOT_WAL_BYTES: &str = "slot_wal_bytes";
/// This series counts dead tuples in the outbox, by the server's statistics.
pub const DEAD_TUPLES: &str = "outbox_dead_tuples";
/// This series has the outbox's size, bytes, with indexes and TOAST.
pub const OUTBOX_BYTES: &str = "outbox_bytes";
/// This series counts the rows of the outbox that were updated or deleted, by the server's statistics.
pub const ROWS_CHANGED: &str = "outbox_rows_changed";

/// This series counts vacuums of the outbox, the server's own and others', by its statistics.
pub const VACUUMS: &str = "outbox_vacuums";

/// This series counts the rows of all the strategy's tables that were inserted, updated or deleted, by the server's
/// statistics.
pub const ROWS_WRITTEN: &str = "rows_written";
/// This series counts the rows of the table of orders that were inserted, updated or deleted, where those of the outbox
/// go with its tables: counters that go back tell of statistics that were lost.
pub const ORDERS_WRITTEN: &str = "orders_rows_written";
/// This series has the size of all the strategy's tables, bytes, with indexes and TOAST.
pub const STORAGE_BYTES: &str = "storage_bytes";
/// This series has one value, where events are the truth: milliseconds in which a projection was rebuilt from them.
pub const REBUILD_MS: &str = "rebuild_ms";

/// Returns all that a run cost the database; `committed` changes share it.
pub fn database_costs(history: &History, committed: u64) -> DatabaseCosts {
    let values = |series: &str| -> Vec<f64> {
        let samples = history.samples.iter();
        let of_it = samples.filter(|sample| sample.series == series);
        of_it.map(|sample| sample.value).collect()
    };
    let cost = |total: Option<f64>| Cost {
        total,
        per_event: total
            .filter(|_| committed > 0)
            .map(|total| total / committed as f64),
    };
    DatabaseCosts {
        wal_bytes: cost(growth(&values(WAL_BYTES))),
        outbox_peak_bytes: cost(peak(&values(OUTBOX_BYTES))),
        dead_tuples_peak: cost(peak(&values(DEAD_TUPLES))),
        rows_changed: cost(growth(&values(ROWS_CHANGED))),
        slot_wal_peak_bytes: cost(peak(&values(SLOT_WAL_BYTES))),
        rows_written: cost(growth(&values(ROWS_WRITTEN))),
        storage_end_bytes: cost(at_the_end(history, STORAGE_BYTES)),
        rebuild_ms: values(REBUILD_MS).last().copied(),
        vacuums: growth(&values(VACUUMS)),
        // It takes more than samples: see `back_to_normal`.
        time_to_normal_s: None,
        not_normal_for_s: None,
    }
}

/// A sample that is older than the last one of the clocks by this is not of the same look.
const LOOK_NS: i64 = 1_000_000_000;

/// Returns the last value of a series, if it is of the last look, as the clocks tell, which can always be read: an
/// earlier one, before a database went down for good, is not what was there at the end.
fn at_the_end(history: &History, series: &str) -> Option<f64> {
    let last = |series: &str| history.samples.iter().rfind(|s| s.series == series);
    let looked_ns = last(WALL_DRIFT_NS).map_or(0, |drift| drift.at_ns);
    let sample = last(series)?;
    (sample.at_ns >= looked_ns.saturating_sub(LOOK_NS)).then_some(sample.value)
}

pub(super) fn peak(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::max)
}

/// Returns how far a counter grew; `None` with fewer than two samples, or if it ever went back: then a part of it was
/// lost, and nobody knows how much.
pub(super) fn growth(values: &[f64]) -> Option<f64> {
    let [first, .., last] = values else {
        return None;
    };
    let lost = values.windows(2).any(|pair| pair[1] < pair[0]);
    (!lost).then_some(last - first)
}
