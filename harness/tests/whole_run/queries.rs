//! The queries of docs/history.md, each as it stands there, by DuckDB in the folder of a real run, held against what the
//! referee says of it.

use super::{not_done, outage, programs};
use harness::history::{self, Body, History};
use reports::record::Strategy;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs the query that it reads, and prints the rows.
const ASK: &str = "\
import duckdb, json, sys
print(json.dumps(duckdb.sql(sys.stdin.read()).fetchall()))";

type Row = Vec<Value>;

/// All queries of the page, in its order.
fn queries() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/history.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```sql\n").skip(1);
    let queries = blocks.map(|block| block.split("```").next().unwrap().to_owned());
    queries.collect()
}

/// A Python that has DuckDB: the one that `.ci/run` keeps, or the one that is on the path.
fn python() -> Option<PathBuf> {
    let kept = programs().join("tools/bin/python");
    let has_duckdb = |python: &PathBuf| {
        let mut asked = Command::new(python);
        asked.args(["-c", "import duckdb"]).stderr(Stdio::null());
        asked.status().is_ok_and(|status| status.success())
    };
    [kept, PathBuf::from("python3")]
        .into_iter()
        .find(has_duckdb)
}

/// The rows of a query, asked in this folder.
fn ask(python: &Path, folder: &Path, query: &str) -> Vec<Row> {
    let mut asked = Command::new(python)
        .args(["-c", ASK])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = asked.stdin.take().unwrap();
    stdin.write_all(query.as_bytes()).unwrap();
    drop(stdin);
    let output = asked.wait_with_output().unwrap();
    assert!(output.status.success(), "{query}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn strategy(name: &str) -> &'static Strategy {
    let mut all = outage().record.strategies.iter();
    all.find(|s| s.name == name).unwrap()
}

/// The sum of a column.
fn sum(rows: &[Row], column: usize) -> Option<u64> {
    rows.iter().map(|row| row[column].as_u64()).sum()
}

#[test]
fn given_a_run_when_the_queries_of_the_docs_are_asked_in_its_folder_then_they_say_what_the_referee_says()
 {
    let Some(python) = python() else {
        not_done::not_done(
            "Python's package duckdb is not here; `.ci/run` brings it into .stack/tools",
        );
        return;
    };
    let folder = &outage().folder;
    let queries = queries();
    let [became, lost, end_to_end] = &queries[..] else {
        panic!("one is not held against anything: {queries:#?}");
    };
    what_became(&ask(&python, folder, became));
    what_was_lost(&ask(&python, folder, lost));
    let polling = history::load(&folder.join("history/polling")).unwrap();
    latencies(&ask(&python, folder, end_to_end), &polling.history);
}

fn what_became(rows: &[Row]) {
    let names: Vec<&Value> = rows.iter().map(|row| &row[0]).collect();
    assert_eq!(names, ["cdc", "naive", "polling"]);
    for row in rows {
        let strategy = strategy(row[0].as_str().unwrap());
        let outcomes = &strategy.outcomes;
        let told = [
            strategy.counts.committed,
            outcomes.db_event,
            outcomes.db_only,
        ];
        let counted: Vec<Option<u64>> = row[1..].iter().map(Value::as_u64).collect();
        assert_eq!(counted, told, "{}", strategy.name);
    }
}

fn what_was_lost(rows: &[Row]) {
    let counts = &strategy("naive").counts;
    let seconds: Vec<&Value> = rows.iter().map(|row| &row[0]).collect();
    assert_eq!(seconds, [0, 1, 2, 3, 4], "it was due within five seconds");
    let told = [
        Some(counts.offered),
        Some(counts.acknowledged),
        Some(counts.unknown),
        counts.committed,
        strategy("naive").outcomes.db_only,
    ];
    let counted: Vec<Option<u64>> = (1..=5).map(|column| sum(rows, column)).collect();
    assert_eq!(counted, told);
    assert!(counts.lost > Some(0));
}

fn latencies(rows: &[Row], history: &History) {
    let mut seen_ns: BTreeMap<u32, i64> = BTreeMap::new();
    let sightings: BTreeMap<(i32, i64), i64> = history
        .sightings
        .iter()
        .map(|s| ((s.partition, s.offset), s.seen_ns))
        .collect();
    for row in history.log.iter().filter(|row| row.body == Body::Intact) {
        if let Some(at_ns) = sightings.get(&(row.partition, row.offset)) {
            let first_ns = seen_ns.entry(row.attempt).or_insert(*at_ns);
            *first_ns = (*first_ns).min(*at_ns);
        }
    }
    let injected_ns = history.faults[0].injected_ns.unwrap();
    let requests: Vec<_> = history.requests.iter().collect();
    for (row, sent) in rows.iter().zip(["before", "from then on"]) {
        let is_before = sent == "before";
        let of_it = seen_ns.iter().filter_map(|(attempt, seen_ns)| {
            let request = &requests[*attempt as usize];
            let is_of_it = (request.sent_ns < injected_ns) == is_before;
            is_of_it.then(|| (seen_ns - request.intended_ns) as f64)
        });
        let mut waits_ns: Vec<f64> = of_it.collect();
        waits_ns.sort_by(f64::total_cmp);
        assert_eq!(row[0], sent);
        assert_eq!(row[1].as_u64(), Some(waits_ns.len() as u64));
        for (column, of) in [(2, 0.5), (3, 0.99)] {
            let expected_ms = quantile(&waits_ns, of) / 1e6;
            let told_ms = row[column].as_f64().unwrap();
            assert!(
                (told_ms - expected_ms).abs() <= 0.051,
                "{expected_ms}: {row:?}"
            );
        }
    }
    assert_eq!(rows.len(), 2);
    assert_eq!(sum(rows, 1), strategy("polling").outcomes.db_event);
}

/// What lies between two of them is in proportion.
fn quantile(sorted: &[f64], of: f64) -> f64 {
    let place = (sorted.len() - 1) as f64 * of;
    let below = sorted[place as usize];
    let above = sorted[(place as usize + 1).min(sorted.len() - 1)];
    below + (above - below) * place.fract()
}
