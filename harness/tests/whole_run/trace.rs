//! The trace of a whole run, as its history has it.

use super::{OUTAGE, only_run, outage, run};
use harness::history::{self, History, Outcome, Stage, TraceRow, Tracer};
use std::collections::HashMap;

fn load(strategy: &str) -> History {
    let folder = outage().folder.join("history").join(strategy);
    history::load(&folder).unwrap().history
}

fn by_attempt(history: &History) -> HashMap<u32, Vec<TraceRow>> {
    let mut all: HashMap<u32, Vec<TraceRow>> = HashMap::new();
    for row in &history.trace {
        all.entry(row.attempt).or_default().push(row);
    }
    all
}

/// The stages that one of the processes noted, in order.
fn noted(rows: &[TraceRow], tracer: Tracer) -> Vec<Stage> {
    let own = rows.iter().filter(|row| row.tracer == tracer);
    own.map(|row| row.stage).collect()
}

#[test]
fn given_an_outage_when_run_then_the_trace_follows_every_committed_change_to_its_confirmation() {
    for (strategy, taken) in [("polling", Stage::Claimed), ("cdc", Stage::Decoded)] {
        let history = load(strategy);
        assert_eq!(
            (history.meta.trace_cut_ns, history.meta.trace_dropped),
            (None, 0)
        );
        assert!(history.trace.iter().is_sorted_by_key(|row| row.at_ns));
        let traced = by_attempt(&history);
        for truth in &history.truth {
            let rows = &traced[&truth.attempt];
            let service = noted(rows, Tracer::OrderService);
            assert_eq!(service[..2], [Stage::Received, Stage::Committed]);
            if history.requests.at(truth.attempt as usize).outcome == Outcome::Committed {
                assert_eq!(service[2..], [Stage::Answered]);
            }
            let relay = noted(rows, Tracer::Relay);
            let way = [taken, Stage::Handed, Stage::Delivered, Stage::Confirmed];
            assert!(relay.ends_with(&way), "{strategy}: {relay:?}");
            let version = rows.iter().map(|row| row.version).max();
            assert_eq!(version, Some(truth.version));
        }
    }
}

#[test]
fn given_an_outage_when_a_dual_write_loses_an_event_then_the_trace_says_how() {
    let history = load("naive");
    let traced = by_attempt(&history);
    let offsets: HashMap<u32, i64> = history.log.iter().map(|r| (r.attempt, r.offset)).collect();
    let mut lost = 0;
    for truth in &history.truth {
        let rows = &traced[&truth.attempt];
        let service = noted(rows, Tracer::OrderService);
        let start = [Stage::Received, Stage::Committed, Stage::Handed];
        assert_eq!(service[..3], start);
        let end = rows.iter().find(|r| r.stage == Stage::Delivered);
        match offsets.get(&truth.attempt) {
            Some(offset) => {
                let delivered = end.map(|row| row.detail.cast_signed());
                assert!(delivered.is_none_or(|detail| detail == *offset));
            }
            None => {
                assert_eq!(service[3], Stage::DeliveryFailed);
                lost += 1;
            }
        }
    }
    assert!(lost >= 1);
}

#[test]
fn given_a_run_when_it_ends_then_the_raw_files_are_gone() {
    assert!(!outage().folder.join("trace").exists());
}

#[test]
fn given_no_trace_is_wanted_when_run_then_there_is_none() {
    let home = tempfile::tempdir().unwrap();
    let short = OUTAGE.replace("duration = \"5s\"", "duration = \"3500ms\"");
    run(home.path(), &short, &["--strategy", "cdc", "--no-trace"]);
    let folder = only_run(home.path());
    let loaded = history::load(&folder.join("history/cdc")).unwrap();
    assert!(!loaded.history.requests.is_empty());
    assert!(loaded.history.trace.is_empty());
}
