//! Damage gives an error that says which file and what, never a panic, never a pass.

use super::round_trip::full;
use crate::checkers::Verdict;
use crate::checkers::fixture::*;
use crate::history::column::{Codec, Column, Table};
use crate::history::writer::write_table;
use crate::history::{History, load, save};
use crate::scenario::StrategyKind;
use proptest::prelude::*;
use std::path::Path;
use std::sync::LazyLock;

pub const FILES: [&str; 17] = [
    "requests.parquet",
    "truth.parquet",
    "log.parquet",
    "raw.parquet",
    "sightings.parquet",
    "partitions.parquet",
    "pending.parquet",
    "faults.parquet",
    "evidence.parquet",
    "processes.parquet",
    "samples.parquet",
    "fences.parquet",
    "trace.parquet",
    "effects.parquet",
    "reads.parquet",
    "cached.parquet",
    "run.json",
];

fn error_after(spoil: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    save(&full(), folder.path()).unwrap();
    spoil(folder.path());
    load(folder.path()).unwrap_err().to_string()
}

#[test]
fn each_missing_empty_or_truncated_file_is_named() {
    for file in FILES {
        let missing = error_after(|f| std::fs::remove_file(f.join(file)).unwrap());
        assert!(missing.contains(file), "{missing}");
        let empty = error_after(|f| std::fs::write(f.join(file), "").unwrap());
        assert!(empty.contains(file), "{empty}");
        let truncated = error_after(|f| {
            let bytes = std::fs::read(f.join(file)).unwrap();
            std::fs::write(f.join(file), &bytes[..bytes.len() / 2]).unwrap();
        });
        assert!(truncated.contains(file), "{truncated}");
    }
}

#[test]
fn no_history_at_all_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("holds no complete history"), "{error}");
}

/// A table that is not one of ours, under the name of one that is.
#[derive(Clone)]
struct Forged {
    attempt: u32,
    outcome: u32,
    text: String,
}

macro_rules! forged {
    ($name:ident, $columns:expr) => {
        #[derive(Clone)]
        struct $name(Forged);
        impl Table for $name {
            const FILE: &'static str = "pending.parquet";
            const WHAT: &'static str = "";
            const MAX_ROWS: usize = 10;
            fn blank() -> Self {
                Self(Forged {
                    attempt: 0,
                    outcome: 9,
                    text: String::new(),
                })
            }
            fn columns() -> Vec<Column<Self>> {
                $columns
            }
        }
    };
}

forged!(
    WithoutState,
    vec![Column::new(
        "attempt",
        "",
        Codec::U32(|r| r.0.attempt, |r, v| r.0.attempt = v)
    )]
);
forged!(
    TextState,
    vec![
        Column::new(
            "attempt",
            "",
            Codec::U32(|r| r.0.attempt, |r, v| r.0.attempt = v)
        ),
        Column::new("state", "", Codec::Text(|r| &r.0.text, |r, v| r.0.text = v)),
    ]
);
forged!(
    AbsurdState,
    vec![
        Column::new(
            "attempt",
            "",
            Codec::U32(|r| r.0.attempt, |r, v| r.0.attempt = v)
        ),
        Column::new(
            "state",
            "",
            Codec::U32(|r| r.0.outcome, |r, v| r.0.outcome = v)
        ),
        Column::new("lsn", "", Codec::U64(|_| 0, |_, _| {})),
    ]
);

#[test]
fn a_wrong_column_or_an_unknown_code_is_named() {
    let without = error_after(|f| drop(write_table(f, &vec![WithoutState::blank()]).unwrap()));
    assert!(
        without.contains("pending.parquet: column `state` is missing"),
        "{without}"
    );
    let text = error_after(|f| drop(write_table(f, &vec![TextState::blank()]).unwrap()));
    assert!(
        text.contains("column `state` is BYTE_ARRAY, not INT32"),
        "{text}"
    );
    let absurd = error_after(|f| drop(write_table(f, &vec![AbsurdState::blank()]).unwrap()));
    assert!(absurd.contains("row 0: 9 has no meaning here"), "{absurd}");
}

#[test]
fn what_cannot_be_is_refused_with_its_file() {
    type ImpossibleEdit = fn(&mut History);
    let cases: [(ImpossibleEdit, &str); 9] = [
        (
            |h| h.requests.open()[3].order = 4_000_000_000,
            "requests.parquet",
        ),
        (
            |h| h.requests.open()[3].ended_ns = i64::MAX,
            "requests.parquet",
        ),
        (|h| h.truth.open()[3].version = 0, "truth.parquet"),
        (|h| h.log.open()[1] = h.log.at(0), "log.parquet"),
        (|h| h.log.open()[1].append_ms = i64::MAX, "log.parquet"),
        (|h| h.pending[0].attempt = 1_000_000, "pending.parquet"),
        (|h| h.faults[0].fault = 7, "faults.parquet"),
        (|h| h.observations[0].fault = 7, "evidence.parquet"),
        (|h| h.meta.strategy = "other".to_owned(), "run.json"),
    ];
    for (spoil, file) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut history = full();
        spoil(&mut history);
        save(&history, folder.path()).unwrap();
        let error = load(folder.path()).unwrap_err().to_string();
        assert!(error.contains(file), "{error}");
    }
}

#[test]
fn attempts_with_a_gap_are_refused() {
    // A requests file from which a row was taken numbers its rows with a gap: as if the file's
    // rows began at 1.
    #[derive(Clone)]
    struct Gap(u32);
    impl Table for Gap {
        const FILE: &'static str = "requests.parquet";
        const WHAT: &'static str = "";
        const MAX_ROWS: usize = 10;
        fn blank() -> Self {
            Self(1)
        }
        fn columns() -> Vec<Column<Self>> {
            use crate::history::Request;
            Request::columns()
                .iter()
                .map(|column| match column.codec {
                    Codec::I64(..) => {
                        Column::new(column.name, "", Codec::I64(|_: &Gap| 0, |_, _| {}))
                    }
                    Codec::Bool(..) => {
                        Column::new(column.name, "", Codec::Bool(|_| false, |_, _| {}))
                    }
                    _ => Column::new(column.name, "", Codec::U32(|r: &Gap| r.0, |r, v| r.0 = v)),
                })
                .collect()
        }
    }
    let error = error_after(|f| drop(write_table(f, &vec![Gap(1)]).unwrap()));
    assert!(
        error.contains("row 0 has number 1: numbers must be dense"),
        "{error}"
    );
}

/// One way to damage a file.
#[derive(Debug, Clone)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Zero(prop::sample::Index, usize),
    Swap(usize),
}

fn damage() -> impl Strategy<Value = (usize, Damage)> {
    let index = any::<prop::sample::Index>;
    let kind = prop_oneof![
        4 => (index(), 1u8..).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        1 => index().prop_map(Damage::Cut),
        1 => (index(), prop::collection::vec(any::<u8>(), 1..40))
            .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => (index(), 1usize..64).prop_map(|(at, length)| Damage::Zero(at, length)),
        1 => (0..FILES.len()).prop_map(Damage::Swap),
    ];
    (0..FILES.len(), kind)
}

fn apply(files: &[Vec<u8>], file: usize, damage: &Damage) -> Vec<u8> {
    let mut bytes = files[file].clone();
    match damage {
        Damage::Flip(at, bits) => {
            let at = at.index(bytes.len().max(1));
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= bits;
            }
        }
        Damage::Cut(at) => bytes.truncate(at.index(bytes.len().max(1))),
        Damage::Insert(at, more) => {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, more.iter().copied());
        }
        Damage::Zero(at, length) => {
            let at = at.index(bytes.len().max(1));
            bytes.iter_mut().skip(at).take(*length).for_each(|b| *b = 0);
        }
        Damage::Swap(other) => bytes.clone_from(&files[*other]),
    }
    bytes
}

/// The files of a saved clean run, in the order of [`FILES`].
static SOUND: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    save(&clean(20, StrategyKind::Cdc {}), folder.path()).unwrap();
    let read = |file: &&str| std::fs::read(folder.path().join(file)).unwrap();
    FILES.iter().map(read).collect()
});

proptest! {
    #![proptest_config(cases(512))]
    #[test]
    fn a_damaged_folder_never_panics_and_never_passes(
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let mut files = SOUND.clone();
        for (file, damage) in &damages {
            files[*file] = apply(&files, *file, damage);
        }
        prop_assume!(files != *SOUND);
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in FILES.iter().zip(&files) {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        match load(folder.path()) {
            Err(error) => prop_assert!(FILES.iter().any(|f| error.path.ends_with(f))),
            Ok(loaded) => {
                prop_assert!(!loaded.altered.is_empty());
                let judgement = judge_with(&loaded.history, &loaded.altered, Vec::new());
                prop_assert_ne!(judgement.verdict, Verdict::Pass);
            }
        }
    }
}
