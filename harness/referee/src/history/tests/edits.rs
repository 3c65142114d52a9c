//! A history edited by somebody who knows how: written again with sums that fit. Whatever it then
//! says, checking it ends in an error or a judgement, with every report drawn; and where something
//! was taken away that a pass rests on, it is no pass.

use super::round_trip::full;
use crate::checkers::context::Context;
use crate::checkers::fixture::*;
use crate::checkers::{Judgement, Verdict, judge};
use crate::explain::Explainer;
use crate::history::{Body, History, Life, NONE, load, save};
use crate::record::{self, Judged};
use crate::scenario::{
    FaultKind, Link, Metric, Start, StrategyKind, Stream, Target, Toxic, Trigger, Victim,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::time::Duration;

/// What `check` does with a history: through the disk, judged, as a record, in every format.
/// `Err` where it cannot be loaded.
fn checked(history: &History) -> Result<Judgement, String> {
    let folder = tempfile::tempdir().unwrap();
    save(history, folder.path()).map_err(|e| e.to_string())?;
    let loaded = load(folder.path()).map_err(|e| e.to_string())?;
    assert_eq!(loaded.altered, Vec::<String>::new());
    let judgement = judge(&loaded.history, &loaded.altered);
    let context = Context::new(&loaded.history);
    let explainer = judgement.has_offences();
    let explainer = explainer.then(|| Explainer::new(&context).unwrap());
    let judged = Judged {
        meta: loaded.history.meta.clone(),
        verdict: judgement.verdict,
        strategy: record::strategy(&context, &judgement, explainer.as_ref()).unwrap(),
    };
    let record = record::build(vec![judged], Duration::from_secs(1)).unwrap();
    for exporter in reports::all() {
        exporter.export(&record).unwrap();
    }
    Ok(judgement)
}

/// Whether what was offered, and what is on the topic, is all accounted for, as far as it was read.
fn adds_up(judgement: &Judgement) -> bool {
    let (c, o) = (&judgement.counts, &judgement.outcomes);
    let sum = |all: &[Option<u64>]| all.iter().copied().sum::<Option<u64>>();
    let unpublished = sum(&[c.lost, c.undrained, c.undecided]);
    let published = c.committed.zip(unpublished);
    let published = published.map(|(committed, not)| committed.saturating_sub(not));
    let explained = sum(&[published, c.duplicated, c.phantom, c.corrupted, c.foreign]);
    // What was not read adds up to nothing.
    sum(&[o.db_event, o.db_only, o.event_only, o.neither]).is_none_or(|all| all == c.offered)
        && c.observed
            .zip(explained)
            .is_none_or(|(observed, explained)| observed == explained)
}

/// A row to take away, on which a pass rests.
#[derive(Debug, Clone, Copy)]
enum RemovedRow {
    Request,
    Version,
    Record,
    Sighting,
    Fence,
    Partition,
}

fn taken() -> impl Strategy<Value = RemovedRow> {
    select(
        &[
            RemovedRow::Request,
            RemovedRow::Version,
            RemovedRow::Record,
            RemovedRow::Sighting,
            RemovedRow::Fence,
            RemovedRow::Partition,
        ][..],
    )
}

fn take(history: &mut History, what: RemovedRow, at: Index) {
    fn remove<T>(rows: &mut Vec<T>, at: Index) {
        rows.remove(at.index(rows.len()));
    }
    match what {
        // The last one was rolled back: without it the run is one change shorter, and nothing else.
        RemovedRow::Request => {
            let at = at.index(history.requests.len() - 1);
            history.requests.open().remove(at);
        }
        RemovedRow::Version => remove(&mut history.truth.open(), at),
        RemovedRow::Record => remove(&mut history.log.open(), at),
        RemovedRow::Sighting => remove(&mut history.sightings.open(), at),
        RemovedRow::Fence => remove(&mut history.fences, at),
        RemovedRow::Partition => remove(&mut history.partitions, at),
    }
}

/// One field of one row, set to anything.
#[derive(Debug, Clone)]
struct FieldEdit {
    field: usize,
    row: Index,
    number: i64,
}

/// Numbers at which something changes, and some in between.
fn number() -> impl Strategy<Value = i64> {
    let year_ns = 365 * 86_400 * S;
    prop_oneof![
        2 => select(vec![
            0, 1, -1, 2, 3, 7, i64::MIN, i64::MAX, i64::from(u32::MAX), i64::from(i32::MAX),
            1 << 20, 8 << 20, 10 * year_ns, -10 * year_ns, 10 * year_ns + 1, FROM, S, -S, MS,
            1_700_000_000_000, 7_260_000_000_000,
        ]),
        1 => -100..100i64,
        1 => any::<i64>(),
    ]
}

fn edit() -> impl Strategy<Value = FieldEdit> {
    (0..FIELDS, any::<Index>(), number()).prop_map(|(field, row, number)| FieldEdit {
        field,
        row,
        number,
    })
}

const FIELDS: usize = 44;

/// A run with a fault of every kind, and something observed of each.
fn eventful() -> History {
    let mut history = full();
    let toxics = [
        Toxic::Latency {
            latency: 5,
            jitter: 1,
        },
        Toxic::Bandwidth { rate: 10 },
        Toxic::SlowClose { delay: 5 },
        Toxic::Timeout { timeout: 0 },
        Toxic::ResetPeer { timeout: 0 },
        Toxic::Slicer {
            average_size: 100,
            size_variation: 9,
            delay: 0,
        },
        Toxic::LimitData { bytes: 100 },
    ];
    for toxic in toxics {
        let kind = FaultKind::Toxic {
            toxic,
            stream: Stream::Upstream,
            toxicity: 1.0,
        };
        add_fault(
            &mut history,
            Target::Link(Link::RELAY_KAFKA),
            kind,
            40 * MS,
            60 * MS,
        );
    }
    for (victim, kind) in [
        (Victim::RELAY, FaultKind::Kill),
        (Victim::KAFKA, FaultKind::Pause),
        (Victim::OrderService, FaultKind::Kill),
    ] {
        add_fault(
            &mut history,
            Target::Process(victim),
            kind,
            50 * MS,
            70 * MS,
        );
        process(&mut history, victim.name(), FROM + 50 * MS, Life::Exited, 9);
        process(&mut history, victim.name(), FROM + 70 * MS, Life::Ready, 0);
    }
    for fault in 0..history.meta.scenario.faults.len() as u32 {
        for name in OBSERVED {
            for at_ns in [FROM, FROM + 45 * MS, FROM + 55 * MS, FROM + 80 * MS] {
                for place in ["relay->kafka", "relay", "kafka-server"] {
                    history.observations.push(crate::history::Observation {
                        fault,
                        place: place.to_owned(),
                        name: name.to_owned(),
                        at_ns,
                        value: 1.0,
                    });
                }
            }
        }
    }
    history
}

const OBSERVED: [&str; 19] = [
    "sockets",
    "near_bytes",
    "client_failures",
    "probe_refused",
    "crossing_ms",
    "probe_reset",
    "in_bytes",
    "out_bytes",
    "in_segments",
    "out_segments",
    "most_out_bytes",
    "queued_bytes",
    "silent",
    "opened",
    "ended",
    "far_sockets",
    "threads",
    "threads_stopped",
    "cpu_ticks",
];

/// Sets a field; numbers are cut to what the field can hold.
fn apply(history: &mut History, edit: &FieldEdit) {
    fn pick<T>(rows: &mut [T], at: Index) -> &mut T {
        let count = rows.len();
        &mut rows[at.index(count)]
    }
    let (at, n) = (edit.row, edit.number);
    let (n32, float) = (n as u32, f64::from_bits(n as u64));
    let duration = Duration::from_nanos(n.unsigned_abs());
    let h = history;
    match edit.field {
        0 => pick(&mut h.requests.open(), at).change = n32,
        1 => pick(&mut h.requests.open(), at).order = n32,
        2 => pick(&mut h.requests.open(), at).told_version = n32,
        3 => pick(&mut h.requests.open(), at).intended_ns = n,
        4 => pick(&mut h.requests.open(), at).sent_ns = n,
        5 => pick(&mut h.requests.open(), at).ended_ns = n,
        6 => pick(&mut h.requests.open(), at).lag_ns = n,
        7 => pick(&mut h.truth.open(), at).order = n32,
        8 => pick(&mut h.truth.open(), at).version = n32,
        9 => pick(&mut h.truth.open(), at).attempt = n32,
        10 => pick(&mut h.truth.open(), at).change = n32,
        11 => pick(&mut h.log.open(), at).partition = n as i32,
        12 => pick(&mut h.log.open(), at).offset = n,
        13 => pick(&mut h.log.open(), at).append_ms = n,
        14 => pick(&mut h.log.open(), at).attempt = n32,
        15 => pick(&mut h.log.open(), at).order = n32,
        16 => pick(&mut h.log.open(), at).version = n32,
        17 => pick(&mut h.log.open(), at).body = Body::Damaged,
        18 => pick(&mut h.sightings.open(), at).partition = n as i32,
        19 => pick(&mut h.sightings.open(), at).offset = n,
        20 => pick(&mut h.sightings.open(), at).seen_ns = n,
        21 => pick(&mut h.partitions, at).end_offset = n,
        22 => pick(&mut h.partitions, at).read_offset = n,
        23 => pick(&mut h.partitions, at).partition = n as i32,
        24 => pick(&mut h.faults, at).injected_ns = Some(n),
        25 => pick(&mut h.faults, at).healed_ns = Some(n),
        26 => pick(&mut h.faults, at).planned_at_ns = n,
        27 => pick(&mut h.observations, at).value = float,
        28 => pick(&mut h.observations, at).value = n as f64,
        29 => pick(&mut h.observations, at).at_ns = n,
        30 => pick(&mut h.processes, at).at_ns = n,
        31 => pick(&mut h.samples, at).value = float,
        32 => pick(&mut h.fences, at).ended_ns = n,
        33 => pick(&mut h.fences, at).number = n32,
        34 => h.meta.load_from_ns = n,
        35 => h.meta.load_until_ns = n,
        36 => h.meta.unoffered = n as u64,
        37 => h.meta.wall_drift_ns = n,
        38 => h.meta.clock.origin_unix_ns = i128::from(n) * 1_000_000,
        39 => h.meta.scenario.workload.partitions = n as i32,
        40 => h.meta.scenario.workload.duration = duration,
        41 => pick(&mut h.meta.scenario.faults, at).start = Start::At(duration),
        42 => h.meta.scenario.drain.late_after = duration,
        43 => {
            let trigger = Trigger::Events(n as u64);
            pick(&mut h.meta.scenario.faults, at).start = Start::When(trigger);
        }
        _ => h.meta.scenario.workload.rate = n as f64,
    }
}

proptest! {
    #![proptest_config(cases(64))]
    #[test]
    fn without_a_row_that_it_rests_on_nothing_passes(what in taken(), at in any::<Index>()) {
        let mut history = clean(20, StrategyKind::Cdc {});
        prop_assert_eq!(judge(&history, &[]).verdict, Verdict::Pass);
        take(&mut history, what, at);
        let judgement = checked(&history).map_err(TestCaseError::fail)?;
        prop_assert_ne!(judgement.verdict, Verdict::Pass);
        match what {
            RemovedRow::Record => {
                prop_assert_eq!(judgement.verdict, Verdict::Fail);
                prop_assert_eq!(count(&judgement, Metric::Lost), 1);
            }
            RemovedRow::Version | RemovedRow::Request => prop_assert_eq!(judgement.verdict, Verdict::Fail),
            _ => prop_assert_eq!(judgement.verdict, Verdict::Unknown),
        }
    }

    #[test]
    fn a_row_that_is_there_twice_never_passes(version in any::<bool>(), at in any::<Index>()) {
        let mut history = clean(20, StrategyKind::Cdc {});
        if version {
            let row = history.truth.at(at.index(history.truth.len()));
            history.truth.push(row);
        } else {
            let row = history.log.at(at.index(history.log.len()));
            history.log.push(row);
        }
        let verdict = checked(&history).map(|judgement| judgement.verdict);
        prop_assert!(verdict.is_err() || verdict == Ok(Verdict::Fail));
    }

    #[test]
    fn a_record_that_says_something_else_never_passes(
        at in any::<Index>(),
        field in 0..4usize,
        other in prop_oneof![Just(NONE), 0..100u32],
    ) {
        let mut history = clean(20, StrategyKind::Cdc {});
        let place = at.index(history.log.len());
        let before = history.log.at(place);
        let mut log = history.log.open();
        let row = &mut log[place];
        match field {
            0 => row.attempt = other,
            1 => row.order = other,
            2 => row.version = other,
            _ => row.body = Body::Foreign,
        }
        prop_assume!(*row != before);
        drop(log);
        let judgement = checked(&history).map_err(TestCaseError::fail)?;
        prop_assert_eq!(judgement.verdict, Verdict::Fail);
        prop_assert_eq!(count(&judgement, Metric::Lost), 1);
    }

    #[test]
    fn any_number_anywhere_is_refused_or_judged(edits in prop::collection::vec(edit(), 1..6)) {
        let mut history = eventful();
        edits.iter().for_each(|edit| apply(&mut history, edit));
        if let Ok(judgement) = checked(&history) {
            let expectations = &judgement.expectations;
            let missed = expectations.iter().any(|checked| checked.met == Some(false));
            let met = expectations.iter().all(|checked| checked.met == Some(true));
            let pass = judgement.verdict == Verdict::Pass;
            prop_assert!(!pass || met && judgement.bites.iter().all(|bite| bite.bit));
            let wrong = missed || !adds_up(&judgement);
            prop_assert!(!wrong || judgement.verdict == Verdict::Fail);
        }
    }

    #[test]
    fn files_of_two_runs_mixed_never_pass(picks in prop::collection::vec(any::<bool>(), 14)) {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        save(&clean(20, StrategyKind::Cdc {}), one.path()).unwrap();
        save(&clean(21, StrategyKind::Cdc {}), other.path()).unwrap();
        let mut mixed = false;
        for (file, picked) in super::damage::FILES.iter().zip(&picks) {
            if *picked {
                let (from, to) = (other.path().join(file), one.path().join(file));
                mixed |= std::fs::read(&from).unwrap() != std::fs::read(&to).unwrap();
                std::fs::copy(from, to).unwrap();
            }
        }
        prop_assume!(mixed && picks.contains(&false));
        if let Ok(loaded) = load(one.path()) {
            let judgement = judge(&loaded.history, &loaded.altered);
            // Where only files that are the same in both runs stayed behind, it is the other run.
            let whole = loaded.altered.is_empty();
            prop_assert!(whole || judgement.verdict != Verdict::Pass);
        }
    }
}

#[test]
fn more_than_a_scenario_may_say_is_refused() {
    type ScenarioEdit = fn(&mut History);
    let cases: [(ScenarioEdit, &str); 7] = [
        (
            |h| h.meta.scenario.workload.partitions = i32::MAX,
            "partitions cannot be",
        ),
        (
            |h| h.meta.scenario.workload.partitions = 0,
            "partitions cannot be",
        ),
        (|h| h.meta.scenario.workload.rate = 1e300, "a rate of"),
        (
            |h| h.meta.scenario.workload.duration = Duration::MAX,
            "is longer than",
        ),
        (
            |h| h.meta.scenario.drain.late_after = Duration::MAX,
            "is longer than",
        ),
        (
            |h| {
                let fault = h.meta.scenario.faults[0].clone();
                h.meta.scenario.faults = vec![fault; 65];
            },
            "65 faults",
        ),
        (
            |h| {
                let expectation = expect(Metric::Lost, crate::scenario::Comparison::Equal, 0.0);
                h.meta.scenario.strategies[0].expectations = vec![expectation; 1_000];
            },
            "more is expected of it",
        ),
    ];
    for (spoil, reason) in cases {
        let mut history = full();
        spoil(&mut history);
        let error = checked(&history).err().unwrap_or_default();
        assert!(
            error.contains("run.json") && error.contains(reason),
            "{error}"
        );
    }
}
