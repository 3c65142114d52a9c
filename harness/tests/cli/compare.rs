//! `compare` on saved runs: what is said, what is written, and the exit code that CI goes by. The record is one of a real
//! run, without its curves and series.

use super::{GOOD, Place, Said};
use reports::compare::{Compare, Finding};
use reports::record::{Record, Verdict};

const POLLING: &str = include_str!("compare/polling.json");

/// Base and new in turns, `runs` folders of each; `change` makes the new side what it is.
fn sets(runs: usize, change: impl Fn(&mut Record)) -> Place {
    let mut place = Place::new();
    for n in 0..2 * runs {
        let mut record: Record = serde_json::from_str(POLLING).unwrap();
        let side = ["base", "new"][n % 2];
        record.started_at = format!("2026-11-29T10:{n:02}:00Z");
        let propagation = &mut record.strategies[0].latency_ms.propagation;
        // No two rounds are the same
        propagation.p50 = propagation
            .p50
            .map(|ms| ms * (1.0 + 0.003 * (n * n % 7) as f64));
        if side == "new" {
            change(&mut record);
        }
        let run = format!("{side}/run-{n:02}");
        std::fs::create_dir_all(place.folder.path().join(&run)).unwrap();
        place = place.with(
            &format!("{run}/record.json"),
            serde_json::to_vec(&record).unwrap(),
        );
    }
    place
}

/// Makes another folder of a side's runs, as they have come to the same an hour later.
fn again(place: &Place, side: &str) {
    let folder = place.folder.path();
    for run in std::fs::read_dir(folder.join(side)).unwrap() {
        let run = run.unwrap();
        let text = std::fs::read_to_string(run.path().join("record.json")).unwrap();
        let text = text.replace("2026-11-29T10:", "2026-11-29T11:");
        let into = folder.join(format!("{side}-again")).join(run.file_name());
        std::fs::create_dir_all(&into).unwrap();
        std::fs::write(into.join("record.json"), text).unwrap();
    }
}

fn slower(by: f64) -> impl Fn(&mut Record) {
    move |record| {
        let propagation = &mut record.strategies[0].latency_ms.propagation;
        propagation.p50 = propagation.p50.map(|ms| ms * by);
    }
}

fn compared(place: &Place, more: &[&str]) -> Said {
    place.run(&[&["compare", "base", "new"], more].concat())
}

#[test]
fn given_a_slow_down_in_twelve_pairs_then_the_gate_is_red_and_every_file_says_so() {
    let place = sets(12, slower(1.3));
    let files = ["--json", "c.json", "--markdown", "c.md", "--html", "c.html"];
    let said = compared(&place, &[&["--max-regression", "10%"], &files[..]].concat());
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    assert!(said.out.contains("propagation p50"), "{}", said.out);
    for line in said.out.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let read = |name: &str| std::fs::read_to_string(place.folder.path().join(name)).unwrap();
    let compare: Compare = serde_json::from_str(&read("c.json")).unwrap();
    let worse: Vec<&str> = compare.subjects[0]
        .rows
        .iter()
        .filter(|row| row.finding == Finding::Worse)
        .map(|row| row.metric.as_str())
        .collect();
    assert_eq!(
        (compare.verdict, worse),
        (Verdict::Fail, vec!["propagation_p50"])
    );
    assert!(read("c.md").contains("**worse**"));
    assert!(read("c.html").ends_with("</html>\n"));
    // Nobody said that it must not be slower
    assert_eq!(compared(&place, &[]).code, Some(0));
}

#[test]
fn given_equal_sides_or_too_few_pairs_then_the_exit_code_says_which() {
    let equal = compared(&sets(12, |_| {}), &["--max-regression", "10%"]);
    assert_eq!(equal.code, Some(0), "{}", equal.out);
    assert!(
        equal
            .out
            .contains("could have told a change of 10% from none")
    );
    let few = compared(&sets(5, slower(3.0)), &["--max-regression", "10%"]);
    assert_eq!(few.code, Some(3), "{}", few.out);
    // An alarm of one set alone stops nobody; with a second one it does
    let place = sets(10, slower(1.3));
    let gate = ["--max-regression", "10%"];
    assert_eq!(compared(&place, &gate).code, Some(3));
    for side in ["base", "new"] {
        again(&place, side);
    }
    let confirm = |base, new| compared(&place, &[&gate[..], &["--confirm", base, new]].concat());
    assert_eq!(confirm("base-again", "new-again").code, Some(1));
    // The first one is no second one
    let same = confirm("base", "new");
    assert_eq!(same.code, Some(2), "{}", same.out);
    assert!(same.err.contains("is there twice"), "{}", same.err);
}

#[test]
fn given_one_loss_then_no_statistics_are_asked() {
    let place = sets(2, |record| {
        let strategy = &mut record.strategies[0];
        strategy.counts.lost = Some(1);
        for expected in strategy
            .expectations
            .iter_mut()
            .filter(|e| e.metric == "lost")
        {
            expected.met = Some(false);
        }
    });
    let said = compared(&place, &[]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(
        said.out.contains("lost 2 in new, 0 in base"),
        "{}",
        said.out
    );
}

#[test]
fn given_the_folder_of_a_comparison_then_the_run_that_warmed_its_stack_does_not_count() {
    // Given
    let place = sets(6, |_| {});
    let warm_up = place.folder.path().join("base/warm-up");
    std::fs::create_dir(&warm_up).unwrap();
    let place = place.with("base/warm-up/record.json", POLLING);
    // When
    let said = compared(&place, &[]);
    // Then
    assert!(said.out.contains("base: 6 runs of"), "{}", said.out);
    assert!(said.out.contains("6 pairs, run in turns"), "{}", said.out);
    // By its own name it can still be looked at
    let said = place.run(&["compare", "base/warm-up", "new/run-01"]);
    assert!(said.out.contains("1 pair"), "{}{}", said.out, said.err);
}

#[test]
fn given_a_folder_for_the_history_then_each_comparison_is_kept_and_the_page_shows_them_all() {
    // Given a folder with a file that is none of it
    let place = sets(12, slower(1.3));
    std::fs::create_dir(place.folder.path().join("kept")).unwrap();
    let place = place.with("kept/20260101T000000Z-torn.json", "{");
    // When two comparisons are kept
    for _ in 0..2 {
        let said = compared(&place, &["--history", "kept"]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert!(said.err.contains("20260101T000000Z-torn.json is not shown"));
    }
    // Then both are there, and what is no entry is named and left alone
    let page = std::fs::read_to_string(place.folder.path().join("kept/index.html")).unwrap();
    assert!(page.contains("2 comparisons") && page.contains("20260101T000000Z-torn.json"));
    let files = std::fs::read_dir(place.folder.path().join("kept")).unwrap();
    assert_eq!(files.count(), 4);
    // And a folder with runs has an index of its own
    place.refused(
        2,
        &["compare", "base", "new", "--history", "base"],
        &["--history base: this folder has runs"],
    );
    // And somebody's own page is nobody's to write over
    let own = "<title>my site</title>";
    std::fs::create_dir(place.folder.path().join("public")).unwrap();
    let place = place.with("public/index.html", own);
    place.refused(
        2,
        &["compare", "base", "new", "--history", "public"],
        &["public/index.html: there is a page already, which was not written by outbox-harness"],
    );
    let page = std::fs::read_to_string(place.folder.path().join("public/index.html"));
    assert_eq!(page.unwrap(), own);
}

#[test]
fn given_another_machine_then_it_is_refused_unless_told_and_then_says_so_before_all_else() {
    let place = sets(6, |record| {
        let environment = &mut record.stack.environment;
        environment.insert("cores".into(), "64".into());
    });
    place.refused(
        2,
        &["compare", "base", "new"],
        &["cores: base 2, new 64", "--allow-unlike"],
    );
    let said = compared(&place, &["--allow-unlike"]);
    let unlike = said.out.lines().position(|line| line.starts_with("UNLIKE"));
    assert_eq!(unlike, Some(1), "{}", said.out);
}

#[test]
fn what_cannot_be_compared_is_refused_with_what_to_do() {
    let place = sets(1, |_| {})
        .with("good.toml", GOOD)
        .with("empty.json", "[]");
    for (args, messages) in [
        (&["compare"][..], &["BASE"][..]),
        (&["compare", "base"], &["<NEW>"]),
        (
            &["compare", "base", "gone"],
            &["gone: there is no such file or folder"],
        ),
        (
            &["compare", "base", "."],
            &[".: there is no run in this folder"],
        ),
        (
            &["compare", "base", "good.toml"],
            &["good.toml: not a record"],
        ),
        (
            &["compare", "base", "empty.json"],
            &["no strategy in common"],
        ),
        (
            &["compare", "base", "new", "--metrics", "speed"],
            &["--metrics: speed is no metric"],
        ),
        (
            &["compare", "base", "new", "--max-regression", "10"],
            &["10%"],
        ),
        (
            &["compare", "base", "new", "--json", "no/c.json"],
            &["--json no/c.json"],
        ),
        (
            &["compare", "--scenario", "good.toml", "--runs", "0"],
            &["--runs"],
        ),
        (
            &["compare", "--scenario", "good.toml", "--strategies", "six"],
            &["this file has one, two"],
        ),
        (
            &["compare", "--scenario", "good.toml", "--strategies", "one"],
            &["takes two strategies"],
        ),
        (&["compare", "base", "new", "--runs", "3"], &["--runs"]),
    ] {
        place.refused(2, args, messages);
    }
}
