//! `explain` on a run folder made by hand: one strategy, one order, a committed change whose event
//! is on the topic and one whose event is not.

use super::{GOOD, Place};
use harness::clock::RunClock;
use harness::history::{
    Body, FORMAT, FenceRecord, History, Intent, LogRow, Outcome, PartOf, PartitionEnd, Request,
    Rows, RunMeta, Sighting, TruthRow, save,
};
use harness::identity::RunKey;
use harness::scenario;
use std::collections::BTreeMap;

const MS: i64 = 1_000_000;
const UNIX_NS: i128 = 1_700_000_000_000_000_000;

/// A place with such a run in `run`, and the id of its order.
pub(super) fn given() -> (Place, String) {
    let place = Place::new().with("scenario.toml", GOOD);
    let file = place.folder.path().join("scenario.toml");
    let key = RunKey::random();
    let id = key.identity().unwrap().order_id(0).to_string();
    let history = History {
        meta: RunMeta {
            format: FORMAT,
            scenario: scenario::load(&file).unwrap().scenario,
            strategy: "one".to_owned(),
            key,
            clock: RunClock {
                origin_monotonic_ns: 1,
                origin_unix_ns: UNIX_NS,
            },
            started_at: "2026-11-24T00:00:00Z".to_owned(),
            topic: "t".to_owned(),
            topics: Vec::new(),
            made_of: None,
            schema: "s".to_owned(),
            proxied: Vec::new(),
            load_from_ns: 0,
            load_until_ns: 100 * MS,
            unoffered: 0,
            truth_lsn: None,
            wall_drift_ns: 0,
            uncommitted_records: 1,
            service_killed_at_teardown: false,
            interrupted: false,
            remarks: Vec::new(),
            heuristic: Vec::new(),
            trigger_notes: Vec::new(),
            stray_topics: Vec::new(),
            part_of: PartOf::default(),
            trace_cut_ns: None,
            consumers: Vec::new(),
            cache: None,
            deaths: Vec::new(),
            trace_dropped: 0,
            environment: BTreeMap::new(),
            sha256: BTreeMap::new(),
        },
        requests: Rows::from_iter([committed(1, 10 * MS), committed(2, 20 * MS)]),
        truth: Rows::from_iter([version(1), version(2)]),
        log: Rows::from_iter([LogRow {
            partition: 0,
            offset: 0,
            append_ms: (UNIX_NS / 1_000_000) as i64 + 13,
            attempt: 0,
            order: 0,
            version: 1,
            body: Body::Intact,
        }]),
        raw: Vec::new(),
        sightings: Rows::from_iter([Sighting {
            partition: 0,
            offset: 0,
            seen_ns: 14 * MS,
        }]),
        partitions: (0..3).map(read_whole).collect(),
        pending: Vec::new(),
        faults: Vec::new(),
        observations: Vec::new(),
        processes: Vec::new(),
        samples: Vec::new(),
        fences: (1..=8).map(step).collect(),
        trace: Rows::new(),
        effects: Rows::new(),
        reads: Rows::new(),
        cached: Rows::new(),
    };
    save(&history, &place.folder.path().join("run/history/one")).unwrap();
    (place, id)
}

/// A partition that was read to its end; the first has the one record.
fn read_whole(partition: i32) -> PartitionEnd {
    let end_offset = i64::from(partition == 0);
    PartitionEnd {
        partition,
        end_offset,
        stable_offset: end_offset,
        read_offset: end_offset,
    }
}

/// A step of the fence that held.
fn step(number: u32) -> FenceRecord {
    FenceRecord {
        number,
        name: format!("step {number}"),
        started_ns: 100 * MS,
        ended_ns: 101 * MS,
        ok: true,
        detail: String::new(),
    }
}

fn committed(version: u32, due_ns: i64) -> Request {
    Request {
        change: version - 1,
        order: 0,
        change_type: 0,
        intent: Intent::Commit,
        outcome: Outcome::Committed,
        status: 201,
        told_version: version,
        intended_ns: due_ns,
        sent_ns: due_ns,
        ended_ns: due_ns + MS,
        lag_ns: 0,
        held_back: false,
    }
}

fn version(version: u32) -> TruthRow {
    TruthRow {
        order: 0,
        version,
        attempt: version - 1,
        change: version - 1,
    }
}

#[test]
fn given_a_run_when_explained_then_each_first_offence_has_its_sentence_and_timeline() {
    let (place, id) = given();
    let said = place.run(&["explain", "run"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.err
            .starts_with("one: order service and relay left no trace"),
        "{}",
        said.err
    );
    let why = "one: fail\n  lost: expected 0, saw 1\n";
    assert!(said.out.starts_with(why), "{}", said.out);
    assert!(said.out.contains("\n\none: 1 lost\n"), "{}", said.out);
    assert!(
        said.out
            .contains(&format!("  lost: order {id} version 2\n")),
        "{}",
        said.out
    );
    assert!(
        said.out
            .contains("  committed (answered at 0.021 s); the relay left no trace; a change sent"),
        "{}",
        said.out
    );
    assert!(
        said.out
            .contains("     0.021 s  client    told: committed as version 2\n"),
        "{}",
        said.out
    );
    assert!(!said.out.contains('\u{1b}'), "no terminal, no colours");
    assert!(said.out.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn given_an_order_when_explained_by_id_or_number_then_all_that_happened_to_it_is_shown() {
    let (place, id) = given();
    let by_id = place.run(&["explain", "run", "--order", &id]);
    assert_eq!(by_id.code, Some(0), "{}", by_id.err);
    assert!(by_id.out.starts_with(&format!("one: order {id}\n")));
    for line in [
        "v1: event: partition 0 offset 0",
        "v2: told: committed as version 2",
        "the relay left no trace; a change",
    ] {
        assert!(by_id.out.contains(line), "{line}: {}", by_id.out);
    }
    let by_number = place.run(&["explain", "run", "--order", "0", "--strategy", "one"]);
    assert_eq!(by_number.out, by_id.out);
}

#[test]
fn given_what_is_not_there_when_explained_then_it_exits_2_and_says_what_to_do() {
    let (place, _) = given();
    let nobodys = "00000000-0000-8000-8000-000000000000";
    for (args, message) in [
        (&["nowhere"][..], "nowhere: there is no such folder"),
        (
            &["."],
            ".: there is no history in it; name the folder of one run",
        ),
        (
            &["run", "--strategy", "two"],
            "--strategy two: this run has no history of it; it has one",
        ),
        (&["run", "--order", "last"], "neither an order's id"),
        (
            &["run", "--order", nobodys],
            "no strategy of this run knows it",
        ),
        (
            &["run", "--order", "7", "--strategy", "one"],
            "strategy one does not know it",
        ),
    ] {
        let mut all = vec!["explain"];
        all.extend(args);
        place.refused(2, &all, &[message]);
    }
    place.refused(2, &["explain"], &["RUN_DIR"]);
}

#[test]
fn given_a_damaged_history_when_explained_then_it_exits_4_and_names_the_file() {
    let (place, _) = given();
    let table = place.folder.path().join("run/history/one/truth.parquet");
    std::fs::write(table, "damaged").unwrap();
    place.refused(4, &["explain", "run"], &["truth.parquet"]);
}

#[test]
fn explain_shows_how_it_is_used() {
    let help = Place::new().run(&["explain", "--help"]);
    assert_eq!(help.code, Some(0));
    for word in ["Examples:", "--order", "--strategy", "offences.jsonl"] {
        assert!(help.out.contains(word), "{word}: {}", help.out);
    }
}
