//! The demo that plays by itself, whole, as in a pipe.

use super::turn::alone;
use super::{only_run, program, record, until_it_tells};
use reports::record::Verdict;

#[test]
fn given_no_terminal_when_the_demo_plays_then_the_dual_write_loses_the_outboxes_do_not_and_one_order_is_told()
 {
    // Given a pipe instead of a terminal, when the demo plays
    let home = tempfile::tempdir().unwrap();
    let play = || {
        program()
            .arg("demo")
            .arg("--out")
            .arg(home.path().join("runs"))
            .arg("--record")
            .arg(home.path().join("demo.cast"))
            .output()
            .unwrap()
    };
    // Its lanes are three runs at the same time already.
    let turn = alone();
    let output = until_it_tells(home.path(), play(), play);
    drop(turn);
    let said = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}\n{err}");
    // Then what was broken is marked, once for all lanes
    for mark in [
        ">>> key b: cut the broker",
        ">>> key k: kill the relay",
        ">>> key x: kill the service",
    ] {
        assert_eq!(said.matches(mark).count(), 1, "{said}");
    }
    // And the end is the loss, with one order of it
    let record = record(&only_run(home.path()));
    assert_eq!(record.verdict, Verdict::Pass);
    let lost: Vec<u64> = record
        .strategies
        .iter()
        .map(|s| s.counts.lost.unwrap())
        .collect();
    assert!(lost[0] > 0 && lost[1..] == [0, 0], "{lost:?}");
    assert!(said.contains("as expected"), "{said}");
    assert_eq!(said.matches("lost none").count(), 3, "{said}");
    assert!(said.contains("Nobody was told."), "{said}");
    assert!(!said.contains('\u{1b}'), "{said}");
    // And so it was recorded
    let cast = std::fs::read_to_string(home.path().join("demo.cast")).unwrap();
    assert!(cast.starts_with("{") && cast.lines().count() > 10);
    for shown in ["KILLED", "p99", "Nobody was told."] {
        assert!(cast.contains(shown), "{shown}");
    }
    // And keys that nobody pressed are no faults
    for strategy in &record.strategies {
        assert_eq!(strategy.faults.len(), 3, "{:?}", strategy.faults);
    }
}
