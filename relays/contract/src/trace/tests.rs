//! What is written is read back, whatever befalls the file, and no more than allowed is written.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::config::TraceTarget;
use proptest::prelude::*;
use std::path::PathBuf;
use uuid::Uuid;

fn step() -> impl Strategy<Value = Step> {
    let numbers = (any::<u64>(), any::<u128>(), any::<u32>(), any::<u64>());
    let stage = prop::sample::select(&Stage::ALL[..]);
    (numbers, stage).prop_map(|((at_ns, attempt, version, detail), stage)| Step {
        at_ns,
        attempt: Uuid::from_u128(attempt),
        version,
        stage,
        detail,
    })
}

fn example(at_ns: u64) -> Step {
    Step {
        at_ns,
        attempt: Uuid::from_u128(7),
        version: 3,
        stage: Stage::Handed,
        detail: 9,
    }
}

/// A folder of a test's own.
struct Home(PathBuf);

impl Home {
    fn make() -> Self {
        Self(std::env::temp_dir().join(format!("trace-{}", Uuid::new_v4().simple())))
    }

    /// A new life that writes here, bounded to so many steps, those of earlier lives included.
    fn open(&self, max_steps: usize) -> Trace {
        let headers = self.files().len() + 1;
        Trace::open(Some(&TraceTarget {
            folder: self.0.clone(),
            max_bytes: ((headers + max_steps) * STEP_BYTES) as u64,
        }))
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.0).into_iter().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    fn only_file(&self) -> PathBuf {
        let files = self.files();
        assert_eq!(files.len(), 1);
        files[0].clone()
    }

    fn read(&self) -> (TracedLife, Vec<Step>) {
        let mut steps = Vec::new();
        let life = read(&self.only_file(), |pid, step| {
            assert_eq!(pid, std::process::id());
            steps.push(step);
        });
        (life.unwrap(), steps)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn whole() -> TracedLife {
    TracedLife {
        pid: std::process::id(),
        cut_ns: None,
        damaged: 0,
    }
}

proptest! {
    #[test]
    fn a_step_survives_its_bytes(step in step()) {
        prop_assert_eq!(Step::decode(&step.encode()), Some(step));
    }

    #[test]
    fn any_bytes_are_a_step_of_exactly_these_bytes_or_none(
        bytes in prop::collection::vec(any::<u8>(), STEP_BYTES),
        plain: bool,
    ) {
        let mut bytes: [u8; STEP_BYTES] = bytes.try_into().unwrap();
        if plain {
            bytes[28] %= Stage::ALL.len() as u8;
            bytes[29..32].fill(0);
        }
        let step = Step::decode(&bytes);
        prop_assert!(step.is_some() || !plain);
        if let Some(step) = step {
            prop_assert_eq!(step.encode(), bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Given batches and a bound, when they are written and the file loses its tail, then the whole
    /// batches within the bound are read back, as far as the tail leaves them.
    #[test]
    fn what_is_written_is_read_back_up_to_the_bound_and_the_tear(
        batches in prop::collection::vec(prop::collection::vec(step(), 0..20), 0..10),
        max_steps in 0usize..120,
        torn_bytes in 0u64..100,
    ) {
        let home = Home::make();
        let trace = home.open(max_steps);
        let (mut expected, mut cut) = (Vec::new(), None);
        for batch in &batches {
            trace.write(batch);
            let Some(first) = batch.first().filter(|_| cut.is_none()) else { continue };
            if expected.len() + batch.len() <= max_steps {
                expected.extend(batch);
            } else {
                cut = Some(first.at_ns);
            }
        }
        prop_assert_eq!(trace.is_on(), cut.is_none());

        let file = std::fs::OpenOptions::new().write(true).open(home.only_file()).unwrap();
        let length = file.metadata().unwrap().len();
        let left = length.saturating_sub(torn_bytes).max(STEP_BYTES as u64);
        file.set_len(left).unwrap();
        expected.truncate(left as usize / STEP_BYTES - 1);

        let (life, steps) = home.read();
        prop_assert_eq!(steps, expected);
        // A time of 0 is none: no clock of this machine shows it.
        prop_assert_eq!(life, TracedLife { cut_ns: cut.filter(|at| *at > 0), ..whole() });
    }
}

#[test]
fn given_no_target_when_steps_are_written_then_there_is_no_trace() {
    let trace = Trace::open(None);
    trace.step(Uuid::nil(), 1, Stage::Received, 0);
    trace.write(&[example(1)]);
    assert!(!trace.is_on());
}

#[test]
fn given_an_earlier_life_when_a_process_starts_then_it_has_a_file_of_its_own_within_the_bound_of_both()
 {
    let home = Home::make();
    home.open(9).write(&[example(1), example(2)]);
    let second = home.open(3);
    second.write(&[example(3)]);
    assert!(second.is_on());
    second.write(&[example(4)]);
    assert!(!second.is_on());
    let mut lives: Vec<Vec<u64>> = Vec::new();
    for file in home.files() {
        let mut times = Vec::new();
        read(&file, |_, step| times.push(step.at_ns)).unwrap();
        lives.push(times);
    }
    lives.sort();
    assert_eq!(lives, [vec![1, 2], vec![3]]);
}

#[test]
fn given_a_cut_when_more_is_written_then_nothing_is_and_the_first_cut_counts() {
    let home = Home::make();
    let trace = home.open(9);
    trace.write(&[example(1)]);
    trace.cut(5, "a test says so");
    trace.cut(6, "a test says so again");
    trace.step(Uuid::nil(), 1, Stage::Received, 0);
    let (life, steps) = home.read();
    assert_eq!(steps, [example(1)]);
    assert_eq!(life.cut_ns, Some(5));
}

#[test]
fn given_several_threads_when_they_write_then_no_step_is_torn_and_none_is_missing() {
    let home = Home::make();
    let trace = home.open(4_000);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let trace = trace.clone();
            scope.spawn(move || {
                for n in 0..500 {
                    let at_ns = thread * 1_000 + n * 2 + 1;
                    trace.write(&[example(at_ns), example(at_ns + 1)]);
                }
            });
        }
    });
    let (life, steps) = home.read();
    let mut times: Vec<u64> = steps.iter().map(|step| step.at_ns).collect();
    times.sort_unstable();
    let expected: Vec<u64> = (0..4)
        .flat_map(|t| (1..=1_000).map(move |n| t * 1_000 + n))
        .collect();
    assert_eq!(times, expected);
    assert_eq!(life, whole());
}

#[test]
fn given_records_that_are_no_steps_when_read_then_they_are_counted_and_the_rest_is_there() {
    let home = Home::make();
    home.open(9).write(&[example(1), example(2)]);
    let mut bytes = std::fs::read(home.only_file()).unwrap();
    bytes[STEP_BYTES + 28] = 200;
    std::fs::write(home.only_file(), &bytes).unwrap();
    let (life, steps) = home.read();
    assert_eq!(steps, [example(2)]);
    assert_eq!(life.damaged, 1);
}

#[test]
fn given_a_file_that_is_no_trace_when_read_then_that_is_an_error() {
    let home = Home::make();
    home.open(9);
    for bytes in [&b""[..], b"OHTRACE1", &[b'x'; 4 * STEP_BYTES]] {
        std::fs::write(home.only_file(), bytes).unwrap();
        let error = read(&home.only_file(), |_, _| {}).unwrap_err();
        assert!(error.to_string().contains("begin"), "{error}");
    }
}

#[test]
fn given_a_folder_that_cannot_be_made_when_opened_then_there_is_no_trace_and_no_failure() {
    let home = Home::make();
    std::fs::write(&home.0, "a file where a folder should be").unwrap();
    let trace = home.open(9);
    assert!(!trace.is_on());
    trace.write(&[example(1)]);
    std::fs::remove_file(&home.0).unwrap();
}
