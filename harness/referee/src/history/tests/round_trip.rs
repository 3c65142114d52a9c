//! What was saved is what is loaded.

use crate::checkers::fixture::*;
use crate::history::seal;
use crate::history::{
    Body, CacheEnd, CachedRow, ConsumerEnd, EffectRow, History, Intent, NONE, Observation, Outcome,
    Pending, PendingState, RawRecord, ReadOutcome, ReadRow, ReadSource, Request, RunMeta, Sample,
    Stage, TraceRow, Tracer, load, save,
};
use crate::scenario::{Consumer, FaultKind, Publisher, Publishing, StrategyKind, Target};
use crate::view::View;
use contract::consumer::{EffectKind, Idempotency, OffsetCommit};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A history with something in every table.
pub fn full() -> History {
    let mut history = clean(20, StrategyKind::Cdc {});
    add_fault(
        &mut history,
        Target::KAFKA,
        FaultKind::Down,
        10 * MS,
        20 * MS,
    );
    add_fault(
        &mut history,
        Target::KAFKA,
        FaultKind::Down,
        30 * MS,
        35 * MS,
    );
    history.faults[1].healed_ns = None;
    process(&mut history, "relay", 3, crate::history::Life::Exited, 9);
    record(&mut history, 1, (NONE, NONE, 0), Body::Foreign, FROM);
    finish(&mut history);
    history.raw.push(RawRecord {
        partition: 1,
        offset: 30,
        key: "schlüssel\u{0}".to_owned(),
        value: String::new(),
        headers: "a=b\nc=d".to_owned(),
        reason: "not JSON".to_owned(),
    });
    history.pending.push(Pending {
        attempt: 3,
        state: PendingState::Slot,
        lsn: u64::MAX,
    });
    history.observations.push(Observation {
        fault: 1,
        place: "relay->kafka".to_owned(),
        name: "refused".to_owned(),
        at_ns: -5,
        value: 0.1,
    });
    history.samples.push(Sample {
        series: "cpu_s.relay".to_owned(),
        at_ns: 5,
        value: 1.5,
    });
    history.trace.push(TraceRow {
        tracer: Tracer::Relay,
        pid: 77,
        at_ns: 6,
        attempt: 3,
        version: 1,
        stage: Stage::Confirmed,
        detail: u64::MAX,
    });
    history.meta.scenario.consumers.push(Consumer {
        name: "payments".to_owned(),
        effect: EffectKind::Insert,
        idempotency: Idempotency::Inbox,
        commit: OffsetCommit::After,
        rabbitmq: None,
    });
    history.meta.consumers.push(ConsumerEnd {
        name: "payments".to_owned(),
        was_alive: true,
        was_killed: false,
        committed: BTreeMap::from([(0, 7)]),
        queued: None,
        unread: None,
    });
    history.effects.push(EffectRow {
        consumer: 0,
        order: 3,
        version: 1,
        attempt: NONE,
        at_ns: -6,
    });
    history.meta.cache = Some(CacheEnd {
        has_overflowed: true,
        unread: Some("it was gone".to_owned()),
    });
    history.reads.push(ReadRow {
        order: 3,
        intended_ns: -6,
        sent_ns: 5,
        ended_ns: 7,
        lag_ns: 11,
        held_back: true,
        outcome: ReadOutcome::Answered,
        source: ReadSource::Fallback,
        version: 2,
    });
    history.cached.push(CachedRow {
        order: 3,
        version: 1,
    });
    history
}

pub fn assert_same(a: &History, b: &History) {
    assert_eq!(a.requests, b.requests);
    assert_eq!(a.truth, b.truth);
    assert_eq!(a.log, b.log);
    assert_eq!(a.raw, b.raw);
    assert_eq!(a.sightings, b.sightings);
    assert_eq!(a.partitions, b.partitions);
    assert_eq!(a.pending, b.pending);
    assert_eq!(a.faults, b.faults);
    assert_eq!(a.observations, b.observations);
    assert_eq!(a.processes, b.processes);
    assert_eq!(a.samples, b.samples);
    assert_eq!(a.fences, b.fences);
    assert_eq!(a.trace, b.trace);
    assert_eq!(a.effects, b.effects);
    assert_eq!(a.reads, b.reads);
    assert_eq!(a.cached, b.cached);
    let meta = |h: &History| {
        let mut meta = h.meta.clone();
        meta.sha256.clear();
        serde_json::to_string(&meta).unwrap()
    };
    assert_eq!(meta(a), meta(b));
}

#[test]
fn every_table_comes_back_and_every_file_is_vouched_for() {
    let folder = tempfile::tempdir().unwrap();
    let history = full();
    save(&history, folder.path()).unwrap();
    let loaded = load(folder.path()).unwrap();
    assert_eq!(loaded.altered, Vec::<String>::new());
    assert_same(&history, &loaded.history);
    assert_eq!(loaded.history.meta.sha256.len(), 16);
    let mut files: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let expected = [
        "cached",
        "effects",
        "evidence",
        "faults",
        "fences",
        "log",
        "partitions",
        "pending",
        "processes",
        "raw",
        "reads",
        "requests",
        "run.json",
        "samples",
        "sightings",
        "trace",
        "truth",
    ];
    let expected = expected.map(|name| match name {
        "run.json" => name.to_owned(),
        name => format!("{name}.parquet"),
    });
    assert_eq!(files, expected);
}

#[test]
fn given_a_history_of_before_there_were_consumers_when_loaded_then_it_is_whole_and_has_no_effects()
{
    let folder = tempfile::tempdir().unwrap();
    save(&clean(20, StrategyKind::Cdc {}), folder.path()).unwrap();
    let effects = folder.path().join("effects.parquet");
    std::fs::remove_file(&effects).unwrap();
    // One that had such a file, and has it no more, is not whole.
    let error = load(folder.path()).unwrap_err();
    assert!(error.path.ends_with("effects.parquet"), "{error}");
    let (mut meta, _) = seal::read(folder.path()).unwrap();
    meta.sha256.remove("effects.parquet");
    seal::write(folder.path(), meta).unwrap();
    let loaded = load(folder.path()).unwrap();
    assert_eq!(loaded.altered, Vec::<String>::new());
    assert!(loaded.history.effects.is_empty());
}

#[test]
fn given_a_history_that_says_what_its_strategy_was_made_of_then_who_reads_it_goes_by_that() {
    // Given a history of a dual write, as it was when that had a relay and its own topics
    let folder = tempfile::tempdir().unwrap();
    let mut history = clean(20, naive());
    let topology = StrategyKind::EventSourcing {
        publish: Publishing::Cdc,
    }
    .topology();
    history.meta.made_of = Some(topology);
    history.meta.topics = vec!["a".to_owned(), "b".to_owned()];
    save(&history, folder.path()).unwrap();
    // When loaded, then that is what is seen of it
    let history = load(folder.path()).unwrap().history;
    let view = View::new(&history);
    assert_eq!(view.topology(), Some(topology));
    assert_eq!(view.publisher(), Publisher::Relay);
    assert_eq!(history.meta.topics().name(), "a + b");
}

#[test]
fn given_a_history_of_before_it_said_what_its_strategy_is_made_of_then_that_follows_from_its_kind()
{
    let folder = tempfile::tempdir().unwrap();
    let kinds = [
        naive(),
        StrategyKind::Cdc {},
        StrategyKind::EventSourcing {
            publish: Publishing::Cdc,
        },
    ];
    for kind in kinds {
        let mut history = clean(20, kind.clone());
        history.meta.made_of = Some(history.meta.scenario.strategies[0].topology());
        save(&history, folder.path()).unwrap();
        // Given its description without either key, sealed as it would have been
        let text = std::fs::read_to_string(folder.path().join("run.json")).unwrap();
        let mut before: serde_json::Value = serde_json::from_str(&text).unwrap();
        for key in ["made_of", "topics"] {
            before.as_object_mut().unwrap().remove(key).unwrap();
        }
        let meta: RunMeta = serde_json::from_value(before).unwrap();
        assert_eq!((meta.made_of, &meta.topics[..]), (None, &[][..]));
        seal::write(folder.path(), meta).unwrap();
        // Then it is whole, and read as ever
        let loaded = load(folder.path()).unwrap();
        assert_eq!(loaded.altered, Vec::<String>::new());
        let view = View::new(&loaded.history);
        assert_eq!(
            view.topology(),
            Some(loaded.history.meta.scenario.strategies[0].topology())
        );
        assert_eq!(loaded.history.meta.topics().names(), ["oh.1.it"]);
    }
}

#[test]
fn given_a_history_of_before_there_were_caches_when_loaded_then_it_is_whole_and_nobody_read() {
    let folder = tempfile::tempdir().unwrap();
    save(&clean(20, StrategyKind::Cdc {}), folder.path()).unwrap();
    let (mut meta, _) = seal::read(folder.path()).unwrap();
    for file in ["reads.parquet", "cached.parquet"] {
        std::fs::remove_file(folder.path().join(file)).unwrap();
        let error = load(folder.path()).unwrap_err();
        assert!(error.path.ends_with(file), "{error}");
        meta.sha256.remove(file);
        seal::write(folder.path(), meta.clone()).unwrap();
    }
    let loaded = load(folder.path()).unwrap();
    assert_eq!(loaded.altered, Vec::<String>::new());
    assert!(loaded.history.reads.is_empty() && loaded.history.cached.is_empty());
    assert_eq!(loaded.history.meta.cache, None);
}

#[test]
fn a_history_of_several_row_groups_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut history = clean(1, StrategyKind::Cdc {});
    for n in 0..150_000 {
        offer(&mut history, n % 999, Intent::Hold, Outcome::Unknown);
    }
    for request in history.requests.open().iter_mut() {
        request.status = 503;
    }
    save(&history, folder.path()).unwrap();
    let loaded = load(folder.path()).unwrap();
    assert_same(&history, &loaded.history);
}

#[test]
fn saving_again_replaces_the_history() {
    let folder = tempfile::tempdir().unwrap();
    save(&full(), folder.path()).unwrap();
    let history = clean(2, naive());
    save(&history, folder.path()).unwrap();
    let loaded = load(folder.path()).unwrap();
    assert!(loaded.altered.is_empty());
    assert_same(&history, &loaded.history);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("taken");
    std::fs::write(&place, "a file").unwrap();
    let error = save(&full(), &place).unwrap_err().to_string();
    assert!(
        error.contains("creating") && error.contains("taken"),
        "{error}"
    );
}

fn request() -> impl Strategy<Value = Request> {
    let numbers = (0u32..5_000, 0u32..5_000, 0u8..5, 0usize..3, 0usize..4);
    let times = prop::array::uniform4(-1_000_000_000_000_000i64..1_000_000_000_000_000);
    (numbers, any::<u16>(), any::<u32>(), times).prop_map(|(n, status, told_version, t)| Request {
        change: n.0,
        order: n.1,
        change_type: n.2,
        intent: [Intent::Commit, Intent::Hold, Intent::Veto][n.3],
        outcome: [
            Outcome::NotSent,
            Outcome::Committed,
            Outcome::Rejected,
            Outcome::Unknown,
        ][n.4],
        status,
        told_version,
        intended_ns: t[0],
        sent_ns: t[1],
        ended_ns: t[2],
        lag_ns: t[3],
        held_back: status % 2 == 1,
    })
}

proptest! {
    #![proptest_config(cases(16))]
    #[test]
    fn any_rows_come_back(
        requests in prop::collection::vec(request(), 0..200),
        truth in prop::collection::vec((0u32..9_000, 1u32.., any::<u32>(), any::<u32>()), 0..200),
        seen in prop::collection::vec((0i32.., 0i64.., 0i64..1_000_000_000_000_000), 0..200),
        texts in prop::collection::vec((".*", ".*", any::<f64>()), 0..20),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut history = full();
        history.pending.clear();
        history.requests = requests.into_iter().collect();
        history.truth = truth
            .into_iter()
            .map(|(order, version, attempt, change)| crate::history::TruthRow {
                order, version, attempt, change,
            })
            .collect();
        history.sightings = seen
            .into_iter()
            .map(|(partition, offset, seen_ns)| crate::history::Sighting {
                partition, offset, seen_ns,
            })
            .collect();
        history.samples = texts
            .into_iter()
            .map(|(a, b, value)| Sample { series: a + &b, at_ns: 1, value })
            .collect();
        save(&history, folder.path()).unwrap();
        let loaded = load(folder.path()).unwrap();
        prop_assert!(loaded.altered.is_empty());
        assert_same(&history, &loaded.history);
    }
}
