//! What each event cost the database, beside what it took.

use super::sheet::Measured;
use crate::database::Database;
use crate::run::{RunError, deployment::failed};
use reports::record::DatabaseCosts;

/// This column has the WAL of the whole server, bytes an event.
pub(super) const WAL: &str = "WAL an event";
/// This column has the outbox's largest size, bytes.
pub(super) const OUTBOX: &str = "outbox peak";
/// This column has the most dead tuples at a time.
pub(super) const DEAD: &str = "dead tuples peak";
/// Most WAL that the slot's consumer had not confirmed, bytes.
pub(super) const SLOT: &str = "slot WAL peak";
/// These columns, with their units, are what [`of_run`] adds.
pub(super) const COLUMNS: [(&str, &str); 4] = [(WAL, "B"), (OUTBOX, "B"), (DEAD, ""), (SLOT, "B")];
/// The notes on a table with [`COLUMNS`] have this text.
pub(super) const METHOD: &str = "Costs, of the whole run: WAL an event, by the committed changes, is \
    that of the whole server, orders included (the dual write's is that of orders alone). The peaks \
    are no costs of an event, but the most at a time: the outbox's size with its indexes; its dead \
    tuples, by the server's statistics, which are up to a second late and fall with vacuum and \
    pruning; the WAL that the slot's consumer had not confirmed.";

/// Those of an ordinary run, in place of what was there.
pub(super) fn of_run(costs: &DatabaseCosts, measured: &mut Measured) {
    for (column, cost) in [
        (WAL, costs.wal_bytes.per_event),
        (OUTBOX, costs.outbox_peak_bytes.total),
        (DEAD, costs.dead_tuples_peak.total),
        (SLOT, costs.slot_wal_peak_bytes.total),
    ] {
        match cost {
            Some(value) => measured.values.insert(column, value),
            None => measured.values.remove(column),
        };
    }
}

/// Bytes that a database has written to its log so far.
pub(super) async fn log_bytes(database: &dyn Database) -> Result<f64, RunError> {
    let bytes = database.log_bytes().await;
    bytes.map_err(|e| failed("asking for the length of the log", &e))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use reports::record::Cost;

    #[test]
    fn every_column_is_filled_and_what_was_not_measured_is_not_there() {
        let cost = |value: f64| Cost {
            total: Some(value),
            per_event: Some(value / 10.0),
        };
        let mut measured = Measured::default();
        let all = DatabaseCosts {
            wal_bytes: cost(1.0),
            outbox_peak_bytes: cost(2.0),
            dead_tuples_peak: cost(3.0),
            rows_changed: Cost::default(),
            slot_wal_peak_bytes: cost(4.0),
            ..DatabaseCosts::default()
        };
        of_run(&all, &mut measured);
        let values = COLUMNS.map(|(name, _)| measured.values[name]);
        // A flow by the event, peaks as they are
        assert_eq!(values, [0.1, 2.0, 3.0, 4.0]);
        of_run(&DatabaseCosts::default(), &mut measured);
        assert!(measured.values.is_empty());
    }
}
