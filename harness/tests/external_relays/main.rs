//! The relays and order services of relays/external, each run by its own scenario as its users run it. They need toolchains
//! and packages that the project itself does not, so they are run where they are asked for (`make
//! test-relays`), and whatever could not be run is named.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../shared/not_done.rs"]
mod not_done;
#[path = "../shared/whole.rs"]
mod whole;

use reports::record::{Strategy, Verdict};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use whole::Whole;

/// Set by `make test-relays`.
const ASKED_FOR: &str = "OUTBOX_HARNESS_RELAYS";

/// Each has the machine to itself.
static TURN: Mutex<()> = Mutex::new(());

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../relays/external")
}

/// Whether a program of this name answers.
fn is_there(program: &str, argument: &str) -> bool {
    let mut asked = Command::new(program);
    asked
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}

/// The run of a folder's scenario, or nothing and why.
fn ran(name: &str, toolchain: (&str, &str)) -> Option<Whole> {
    ran_by(name, "scenario.toml", toolchain)
}

/// The same by this file of it.
fn ran_by(name: &str, file: &str, toolchain: (&str, &str)) -> Option<Whole> {
    let left_out = |why: String| not_done::not_done(&format!("relays/external/{name}: {why}"));
    if std::env::var_os(ASKED_FOR).is_none() {
        left_out("is run by `make test-relays`".to_owned());
        return None;
    }
    if !is_there(toolchain.0, toolchain.1) {
        left_out(format!("{} is not installed", toolchain.0));
        return None;
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    Some(whole::run(&folder().join(name).join(file)))
}

#[track_caller]
fn strategy<'w>(whole: &'w Whole, name: &str) -> &'w Strategy {
    let mut all = whole.record.strategies.iter();
    all.find(|s| s.name == name).expect(&whole.said)
}

/// Whether it lost, invented, damaged or doubted nothing.
#[track_caller]
fn assert_clean(whole: &Whole, name: &str) {
    let found = strategy(whole, name);
    assert_eq!(
        found.verdict,
        Verdict::Pass,
        "{:?}\n{}",
        found.reasons,
        whole.said
    );
}

/// A test for each folder, and the list of them.
macro_rules! relays {
    ($($folder:literal $test:ident $toolchain:expr; $judged:expr;)*) => {
        const FOLDERS: &[&str] = &[$($folder),*];
        $(
            #[test]
            fn $test() {
                let judged: fn(&Whole) = $judged;
                if let Some(whole) = ran($folder, $toolchain) {
                    judged(&whole);
                }
            }
        )*
    };
}

relays! {
    "python" given_the_template_when_killed_and_cut_off_then_nothing_is_lost ("python3", "--version"); |whole| {
        assert_clean(whole, "python");
        let faults = &strategy(whole, "python").faults;
        assert!(faults.iter().all(|fault| fault.bit == Some(true)), "{faults:?}");
    };
    "python-service" given_a_service_with_its_outbox_inside_then_it_loses_nothing_and_one_without_loses ("python3", "--version"); |whole| {
        assert_eq!(whole.code, Some(0), "{}", whole.said);
        assert_clean(whole, "outbox-inside");
        let faults = &strategy(whole, "outbox-inside").faults;
        assert!(faults.iter().all(|fault| fault.bit == Some(true)), "{faults:?}");
        assert!(strategy(whole, "dual-write").counts.lost.unwrap() >= 1);
    };
    "java-transaction-outbox" given_a_librarys_outbox_inside_a_service_then_it_loses_nothing ("javac", "-version"); |whole| {
        assert_clean(whole, "java");
        let java = strategy(whole, "java");
        assert_eq!(java.counts.lost, Some(0), "{}", whole.said);
        assert!(java.faults.iter().all(|fault| fault.bit == Some(true)), "{:?}", java.faults);
    };
    "watermill" given_writers_that_commit_late_then_the_older_version_loses_and_the_newer_does_not ("go", "version"); |whole| {
        assert_clean(whole, "watermill-v4");
        let old = strategy(whole, "watermill-v1");
        assert_eq!(whole.code, Some(1), "{}", whole.said);
        assert!(old.counts.lost.unwrap() >= 1, "{:?}", old.counts);
        let missed = old.expectations.iter().filter(|e| e.met != Some(true));
        let missed: Vec<&str> = missed.map(|e| e.metric.as_str()).collect();
        assert_eq!(missed, ["lost"], "{}", whole.said);
    };
    "pg-transactional-outbox" given_a_kill_then_polling_loses_nothing_and_replication_only_what_it_could_not_yet_see ("node", "--version"); |whole| {
        assert_clean(whole, "polling");
        // It reads a row again that its transaction may not yet have made visible: mostly it has.
        let other = strategy(whole, "replication");
        assert!(other.counts.lost.unwrap() <= 5, "{:?}", other.counts);
        assert_eq!(other.counts.phantom, Some(0));
    };
    "faststream-outbox" given_kills_then_none_is_lost_and_what_comes_out_of_order_is_no_pass ("python3", "--version"); |whole| {
        let found = strategy(whole, "faststream");
        assert_eq!(found.counts.lost, Some(0), "{}", whole.said);
        // Mostly one or two: what was leased when the relay died comes when the lease is over.
        let swapped = found.counts.reordered.unwrap();
        assert_eq!(whole.code, Some(i32::from(swapped > 0)), "{}", whole.said);
    };
}

#[test]
fn given_a_synchronous_standby_then_what_reads_a_row_again_loses_it_and_what_polls_does_not() {
    let node = ("node", "--version");
    let Some(whole) = ran_by("pg-transactional-outbox", "scenario-standby.toml", node) else {
        return;
    };
    assert_clean(&whole, "polling");
    assert_clean(&whole, "replication");
    assert!(strategy(&whole, "replication").counts.lost.unwrap() >= 1);
    assert_eq!(whole.code, Some(0), "{}", whole.said);
}

#[test]
fn every_relay_that_is_shipped_is_among_them() {
    let entries = std::fs::read_dir(folder()).unwrap().flatten();
    let with_scenario = entries.filter(|e| e.path().join("scenario.toml").exists());
    let shipped: BTreeSet<String> = with_scenario
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    let run: BTreeSet<String> = FOLDERS.iter().map(|f| (*f).to_owned()).collect();
    assert_eq!(shipped, run);
}
