//! What a run says, and what `check` says of it afterwards.

use super::{OUTAGE, only_run, outage, program, run};
use harness::history::{self, LogRow};
use reports::record::{Strategy, Verdict};
use std::path::{Path, PathBuf};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn strategy<'a>(strategies: &'a [Strategy], name: &str) -> &'a Strategy {
    strategies.iter().find(|s| s.name == name).unwrap()
}

#[test]
fn given_an_outage_when_run_then_naive_loses_and_the_outboxes_do_not_and_it_exits_0() {
    let run = outage();
    assert_eq!(
        run.output.status.code(),
        Some(0),
        "{}{}",
        text(&run.output.stdout),
        text(&run.output.stderr)
    );
    assert_eq!(run.record.verdict, Verdict::Pass);
    assert!(strategy(&run.record.strategies, "naive").counts.lost >= Some(1));
    for name in ["polling", "cdc"] {
        let counts = strategy(&run.record.strategies, name).counts;
        assert_eq!(
            (
                counts.lost,
                counts.undrained,
                counts.phantom,
                counts.reordered
            ),
            (Some(0), Some(0), Some(0), Some(0)),
            "{name}"
        );
    }
}

#[test]
fn given_any_strategy_when_run_then_every_attempt_and_every_record_is_accounted_for() {
    for strategy in &outage().record.strategies {
        let (c, o) = (strategy.counts, strategy.outcomes);
        let sum = |figures: &[Option<u64>]| figures.iter().copied().sum::<Option<u64>>();
        let all = [
            (
                Some(c.offered),
                sum(&[o.db_event, o.db_only, o.event_only, o.neither]),
            ),
            (c.committed, sum(&[o.db_event, o.db_only])),
            (
                c.observed,
                sum(&[o.db_event, c.duplicated, c.phantom, c.corrupted, c.foreign]),
            ),
            (o.db_only, sum(&[c.lost, c.undrained, c.undecided])),
        ];
        for (whole, parts) in all {
            assert!(whole.is_some(), "{}", strategy.name);
            assert_eq!(whole, parts, "{}", strategy.name);
        }
    }
}

#[test]
fn given_a_run_when_it_ends_then_every_report_is_in_its_folder() {
    for file in ["record.json", "report.html", "junit.xml", "summary.md"] {
        assert!(outage().folder.join(file).is_file(), "{file}");
    }
    for strategy in ["naive", "polling", "cdc"] {
        assert!(
            outage()
                .folder
                .join(format!("{strategy}.end_to_end.hgrm"))
                .is_file(),
            "{strategy}"
        );
        assert!(
            outage()
                .folder
                .join("history")
                .join(strategy)
                .join("run.json")
                .is_file()
        );
    }
}

#[test]
fn given_relays_of_our_own_when_run_then_the_record_says_whose_commits_wait_for_the_disk() {
    let said = &outage().record.stack.environment;
    for (name, mode) in [
        ("service", "on"),
        ("relay.polling", "off"),
        ("relay.cdc", "off"),
    ] {
        let mode = Some(mode.to_owned());
        assert_eq!(
            said.get(&format!("synchronous_commit.{name}")),
            mode.as_ref()
        );
    }
}

#[test]
fn given_a_saved_run_when_checked_then_the_verdict_is_the_same() {
    let checked = program()
        .arg("check")
        .arg(&outage().folder)
        .output()
        .unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    let again = harness::run::check(&outage().folder).unwrap();
    for (then, now) in outage().record.strategies.iter().zip(&again.strategies) {
        assert_eq!(
            (then.verdict, then.counts, then.outcomes),
            (now.verdict, now.counts, now.outcomes)
        );
    }
}

#[test]
fn given_a_history_with_one_observed_row_removed_when_checked_then_one_is_lost_and_it_exits_1() {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&outage().folder, copy.path());
    let polling = copy.path().join("history/polling");
    let mut loaded = history::load(&polling).unwrap().history;
    let mut log: Vec<LogRow> = loaded.log.iter().collect();
    log.remove(log.len() / 2);
    loaded.log = log.into_iter().collect();
    history::save(&loaded, &polling).unwrap();

    let checked = program().arg("check").arg(copy.path()).output().unwrap();

    assert_eq!(checked.status.code(), Some(1), "{}", text(&checked.stdout));
    let record = harness::run::check(copy.path()).unwrap();
    assert_eq!(strategy(&record.strategies, "polling").counts.lost, Some(1));
}

#[test]
fn given_an_expectation_turned_round_when_run_then_it_exits_1_and_junit_names_it() {
    let home = tempfile::tempdir().unwrap();
    let scenario = OUTAGE.replace(
        "[expect.polling]\nlost = 0",
        "[expect.polling]\nlost = \">= 1\"",
    );
    assert_ne!(scenario, OUTAGE);
    let junit = home.path().join("junit.xml");

    let output = run(
        home.path(),
        &scenario,
        &["--strategy", "polling", "--junit", junit.to_str().unwrap()],
    );

    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let junit = std::fs::read_to_string(junit).unwrap();
    assert!(junit.contains("expected lost &gt;= 1, saw 0"), "{junit}");
    assert!(junit.contains("<failure"), "{junit}");
    only_run(home.path());
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
