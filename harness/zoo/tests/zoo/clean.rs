//! Correct systems without a fault, again and again: not one may be blamed. `OUTBOX_ZOO_CLEAN_RUNS`
//! says how many.

use crate::case::{Case, USUAL};
use reports::record::Verdict;

/// Runs where nothing is said: each strategy once.
const RUNS: usize = STRATEGIES.len();

/// Each strategy's keys, and what is expected of it beyond what is expected of it anyway.
const STRATEGIES: [(&str, &str); 4] = [
    ("kind = \"polling\"\nafter_publish = \"delete\"", RELAY),
    ("kind = \"polling\"\nafter_publish = \"mark\"", RELAY),
    ("kind = \"cdc\"", RELAY),
    (
        "kind = \"dual-write\"\norder = \"commit-then-publish\"",
        DUAL_WRITE,
    ),
];

const RELAY: &str = "[expect.zoo]\nduplicated = 0\nunacknowledged = 0\nlate = 0";

/// Not `reordered`: its versions of one order are never in flight together, which proves nothing.
const DUAL_WRITE: &str = "[expect.zoo]\nlost = 0\nphantom = 0\nduplicated = 0\nsplit = 0\n\
    corrupted = 0\nmissing = 0\ndouble_applied = 0\nunacknowledged = 0\nlate = 0";

#[test]
fn given_correct_strategies_without_a_fault_when_run_again_and_again_then_none_is_ever_blamed() {
    let runs = std::env::var("OUTBOX_ZOO_CLEAN_RUNS");
    let runs = runs.map_or(RUNS, |runs| runs.parse().unwrap());
    assert!(runs > 0, "no run shows nothing");
    for (run, (strategy, more)) in (0..runs).zip(STRATEGIES.into_iter().cycle()) {
        println!("clean run {run} of {runs}: {strategy}");
        let case = Case {
            defect: "honest",
            strategy,
            more,
            verdict: Verdict::Pass,
            ..USUAL
        };
        case.holds();
    }
}
