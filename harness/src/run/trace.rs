//! The traces that order service and relay wrote, all lives of both, as one table of the history.
//! It explains; no verdict rests on it, so what cannot be read is told and left out.

use crate::clock::RunClock;
use crate::history::{TraceRow, Tracer};
use crate::identity::Identity;
use relays::config::TraceTarget;
use relays::signal::monotonic_ns;
use relays::trace::{EXTENSION, Step, TracedLife};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Bytes that all lives of one process may write: two of them read back are about 100 MiB.
const MAX_BYTES: u64 = 64 << 20;

/// Returns where a process of a strategy writes its trace, and how many bytes at most.
pub fn target(folder: &Path, tracer: Tracer) -> TraceTarget {
    TraceTarget {
        folder: place(folder, tracer),
        max_bytes: MAX_BYTES,
    }
}

fn place(folder: &Path, tracer: Tracer) -> PathBuf {
    folder.join(match tracer {
        Tracer::OrderService => "order-service",
        Tracer::Relay => "relay",
    })
}

/// What was found in a strategy's folder.
#[derive(Debug, Default)]
pub struct Collected {
    /// These are the steps, by time.
    pub rows: Vec<TraceRow>,
    /// Run time from which on some are missing; `None` if none are.
    pub cut_ns: Option<i64>,
    /// Records left out: no steps of this run.
    pub dropped: u64,
    /// These are the files that could not be read, each with the reason.
    pub problems: Vec<String>,
}

/// Reads the files of all lives. The processes have ended; a file that one of them left in the
/// middle of a write is as good as any.
pub fn collect(folder: &Path, identity: &Identity, clock: &RunClock) -> Collected {
    let mut collected = Collected::default();
    let run = Run {
        identity,
        clock,
        times: clock.origin_monotonic_ns..=monotonic_ns(),
    };
    for tracer in [Tracer::OrderService, Tracer::Relay] {
        for path in lives(&place(folder, tracer)) {
            collected.add(tracer, &path, &run);
        }
    }
    collected
        .rows
        .sort_unstable_by_key(|row| (row.at_ns, row.attempt, row.stage as u8));
    collected
}

/// A process that never got as far as a trace has none.
fn lives(place: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place).into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == EXTENSION))
        .collect()
}

/// What tells the steps of this run from anything else.
struct Run<'a> {
    identity: &'a Identity,
    clock: &'a RunClock,
    /// These are the times from its beginning to now, in ns of CLOCK_MONOTONIC.
    times: RangeInclusive<u64>,
}

impl Run<'_> {
    fn row(&self, tracer: Tracer, pid: u32, step: &Step) -> Option<TraceRow> {
        let attempt = self.identity.attempt_number(step.attempt)?;
        self.times.contains(&step.at_ns).then(|| TraceRow {
            tracer,
            pid,
            at_ns: self.clock.at(step.at_ns),
            attempt,
            version: step.version,
            stage: step.stage,
            detail: step.detail,
        })
    }
}

impl Collected {
    fn add(&mut self, tracer: Tracer, path: &Path, run: &Run<'_>) {
        let read = relays::trace::read(path, |pid, step| match run.row(tracer, pid, &step) {
            Some(row) => self.rows.push(row),
            None => self.dropped += 1,
        });
        match read {
            Ok(life) => self.end(&life, run),
            Err(error) => self.problems.push(format!("{}: {error}", path.display())),
        }
    }

    fn end(&mut self, life: &TracedLife, run: &Run<'_>) {
        self.dropped += life.damaged;
        let (first, last) = (*run.times.start(), *run.times.end());
        let cut_ns = life.cut_ns.map(|at| run.clock.at(at.clamp(first, last)));
        self.cut_ns = match (self.cut_ns, cut_ns) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::history::Stage;
    use crate::identity::RunKey;
    use relays::trace::Trace;
    use uuid::Uuid;

    #[test]
    fn given_several_lives_when_collected_then_their_steps_are_merged_by_time_and_the_rest_counted()
    {
        // given two lives of the service and one of the relay, cut, and steps that are not this run's
        let folder = tempfile::tempdir().unwrap();
        let identity = RunKey::random().identity().unwrap();
        let clock = RunClock::start();
        let step = |after_ns, attempt, stage| Step {
            at_ns: clock.origin_monotonic_ns.wrapping_add_signed(after_ns),
            attempt,
            version: 1,
            stage,
            detail: 9,
        };
        let open = |tracer| Trace::open(Some(&target(folder.path(), tracer)));
        let (mine, alien) = (identity.attempt_id(5), Uuid::from_u128(5));
        open(Tracer::OrderService).write(&[
            step(300, mine, Stage::Committed),
            step(100, mine, Stage::Received),
            step(150, alien, Stage::Received),
            step(-1, mine, Stage::Received),
            step(i64::MAX, mine, Stage::Received),
        ]);
        open(Tracer::OrderService).write(&[step(400, mine, Stage::Answered)]);
        let relay = open(Tracer::Relay);
        relay.write(&[step(200, mine, Stage::Claimed)]);
        relay.cut(clock.origin_monotonic_ns + 500, "a test says so");
        // and a file that is none
        let stray = place(folder.path(), Tracer::Relay).join("stray.trace");
        std::fs::write(stray, "nothing").unwrap();

        // when
        let collected = collect(folder.path(), &identity, &clock);

        // then
        let rows: Vec<_> = collected
            .rows
            .iter()
            .map(|row| (row.at_ns, row.tracer, row.stage, row.attempt, row.pid))
            .collect();
        let pid = std::process::id();
        assert_eq!(
            rows,
            [
                (100, Tracer::OrderService, Stage::Received, 5, pid),
                (200, Tracer::Relay, Stage::Claimed, 5, pid),
                (300, Tracer::OrderService, Stage::Committed, 5, pid),
                (400, Tracer::OrderService, Stage::Answered, 5, pid),
            ]
        );
        assert_eq!((collected.cut_ns, collected.dropped), (Some(500), 3));
        assert_eq!(collected.problems.len(), 1, "{:?}", collected.problems);
    }

    #[test]
    fn given_no_trace_when_collected_then_there_is_nothing_to_tell() {
        let folder = tempfile::tempdir().unwrap();
        let identity = RunKey::random().identity().unwrap();
        let collected = collect(folder.path(), &identity, &RunClock::start());
        assert!(collected.rows.is_empty() && collected.problems.is_empty());
        assert_eq!((collected.cut_ns, collected.dropped), (None, 0));
    }
}
