//! Event sourcing beside an outbox, from the same seed: what each has in the end, and what that cost.

use super::{only_run, record, run_on_theirs};
use harness::history::{self, Body, History, TruthRow};
use reports::record::{Record, Verdict};
use std::collections::BTreeMap;

/// One client, which sends one change after the other: so who gets which change is a matter of the seed alone.
const SCENARIO: &str = r#"
name = "events-and-outbox"
description = "The same changes, one after the other, to events and to an outbox."
seed = 11
order = "not-tested"

[workload]
load = "closed"
clients = 1
duration = "2s"
changes_per_order = 5
rollback_ratio = 0.1
hold_ratio = 0.05
hold = "5ms"

[drain]
settle = "200ms"

[strategy.outbox]
kind = "polling"

[strategy.events]
kind = "event-sourcing"

[strategy.events-cdc]
kind = "event-sourcing"
publish = "cdc"

[expect.outbox]
lost = 0

[expect.events]
lost = 0

[expect.events-cdc]
lost = 0
"#;

const NAMES: [&str; 3] = ["outbox", "events", "events-cdc"];

#[test]
fn given_the_same_changes_when_they_go_to_events_and_to_an_outbox_then_the_fold_is_what_the_orders_are()
 {
    let home = tempfile::tempdir().unwrap();
    let output = run_on_theirs(home.path(), SCENARIO);
    let folder = only_run(home.path());
    let record = record(&folder);
    assert_eq!(record.verdict, Verdict::Pass, "{output:?}");
    let histories = NAMES.map(|name| {
        let folder = folder.join("history").join(name);
        history::load(&folder).unwrap().history
    });
    holds_the_same(&histories);
    costs_what_it_must(&record);
}

/// Up to where the slowest of them came, each has the same versions of the same orders, made by the same changes; and the
/// event of each came out as it was written.
fn holds_the_same(histories: &[History; 3]) {
    let changes = |history: &History| history.requests.iter().map(|request| request.change).max();
    let common = histories.iter().filter_map(changes).min().unwrap();
    let truth = |history: &History| -> Vec<TruthRow> {
        let rows = history.truth.iter();
        rows.filter(|row| row.change < common).collect()
    };
    let [outbox, events, events_cdc] = histories.each_ref().map(truth);
    assert!(outbox.len() > 100, "{}", outbox.len());
    assert_eq!(outbox, events);
    assert_eq!(outbox, events_cdc);
    for history in histories {
        let intact = history.log.iter().filter(|row| row.body == Body::Intact);
        let published: BTreeMap<(u32, u32), ()> =
            intact.map(|row| ((row.attempt, row.version), ())).collect();
        let missing = outbox
            .iter()
            .filter(|row| !published.contains_key(&(row.attempt, row.version)));
        assert_eq!(missing.count(), 0);
    }
}

fn costs_what_it_must(record: &Record) {
    let strategy = |name: &str| record.strategies.iter().find(|s| s.name == name).unwrap();
    let [outbox, events, events_cdc] = NAMES.map(strategy);
    // An order's row, an outbox row, and its end, of each change; of one that was vetoed the first two
    let (offered, committed) = (outbox.counts.offered, outbox.counts.committed.unwrap());
    let rows = (2 * offered + committed) as f64;
    assert_eq!(outbox.database.rows_written.total, Some(rows));
    assert_eq!(outbox.database.rebuild_ms, None);
    // An event of each change, also of one that was vetoed, and no more
    let rows = events_cdc.counts.offered as f64;
    assert_eq!(events_cdc.database.rows_written.total, Some(rows));
    assert_eq!(events_cdc.database.rows_changed.total, Some(0.0));
    // And beside that the position, which moves with each batch and not more often than events come
    let moved = events.database.rows_changed.total.unwrap();
    assert!(moved >= 1.0 && moved <= events.counts.committed.unwrap() as f64);
    let rows = events.counts.offered as f64 + moved;
    assert_eq!(events.database.rows_written.total, Some(rows));
    for strategy in [events, events_cdc] {
        assert!(
            strategy.database.rebuild_ms > Some(0.0),
            "{}",
            strategy.name
        );
        assert!(strategy.database.storage_end_bytes.total > Some(0.0));
        // What stays is no outbox that was not worked off
        assert_eq!(strategy.database.outbox_peak_bytes.total, None);
    }
}
