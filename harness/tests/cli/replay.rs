//! `replay` off a terminal, on a run folder made by hand: one strategy, of whose two events one is missing.

use super::Place;
use super::explain::given;

#[test]
fn given_no_terminal_when_a_run_is_replayed_then_it_is_told_in_lines_at_once_with_its_lost_order() {
    let (place, id) = given();
    let said = place.run(&["replay", "run", "--seconds", "3600"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    for line in [
        "of 2026-11-24 00:00 UTC\n",
        "[  0.0 s] orders come in, for 0 s\n",
        "[  0.1 s] one is judged: fail\n",
        "  one               2              1  LOST 1, and should not have\n",
        "Nobody was told. (one)\n",
        "verdict: fail, one: ",
        "more: outbox-harness explain run\n",
    ] {
        assert_eq!(said.out.matches(line).count(), 1, "{line}: {}", said.out);
    }
    assert!(
        said.out.contains(&format!("lost: order {id} version 2\n")),
        "{}",
        said.out
    );
    assert!(!said.out.contains('\u{1b}'), "no terminal, no colours");
    // And the same again
    assert_eq!(place.run(&["replay", "run"]).out, said.out);
}

#[test]
fn given_a_damaged_history_when_replayed_then_it_says_what_check_says_and_exits_4() {
    let (place, _) = given();
    let table = place.folder.path().join("run/history/one/truth.parquet");
    std::fs::write(table, "damaged").unwrap();
    let checked = place.run(&["check", "run"]);
    assert_eq!(checked.code, Some(4));
    assert!(checked.err.contains("truth.parquet"), "{}", checked.err);
    place.refused(4, &["replay", "run"], &[&checked.err]);
}

#[test]
fn given_a_history_that_was_changed_when_replayed_then_nothing_is_shown_and_it_exits_3_as_check_does()
 {
    let (place, _) = given();
    let file = place.folder.path().join("run/history/one/run.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut meta: serde_json::Value = serde_json::from_str(&text).unwrap();
    meta["sha256"]["truth.parquet"] = "0".repeat(64).into();
    std::fs::write(&file, meta.to_string()).unwrap();
    // In the same words, wherever they are wrapped
    let reason = "one: the history was changed after the run: run.json, truth.parquet differ from what \
                  run.json vouches for";
    let checked = place.run(&["check", "run"]).out;
    let words: Vec<&str> = checked.split_whitespace().collect();
    assert!(words.join(" ").contains(reason), "{checked}");
    place.refused(3, &["replay", "run"], &[reason]);
}

#[test]
fn given_what_is_no_run_when_replayed_then_it_is_refused_and_says_what_to_do() {
    let place = Place::new();
    place.refused(2, &["replay", "nowhere"], &["there is no such folder"]);
    place.refused(2, &["replay", ".", "--seconds", "0"], &["1..=3600"]);
    place.refused(
        2,
        &["replay", "."],
        &["there is no history in it; name the folder of one run"],
    );
    let help = place.run(&["replay", "--help"]);
    for word in ["Examples:", "--seconds", "space stops it", "Exit code:"] {
        assert!(help.out.contains(word), "{word}: {}", help.out);
    }
}
