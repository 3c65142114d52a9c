//! What had happened by any moment of a strategy's run: a pure function of its history and a time, for whoever shows
//! the run again. What cannot be told of the whole of it is told of no moment.
//!
//! When a change was committed is known by its answer, by its event, or by the word of its order service in the trace,
//! whichever came first; so is nothing seen that was not committed. How much was committed in the end rests on no word
//! of what is judged.

use crate::checkers::context::Context;
use crate::checkers::fate::{Fate, Fates};
use crate::checkers::reading::{Known, Steps};
use crate::history::{FenceStep, History, Stage, Tracer};
use crate::measure::Changes;
use crate::scenario::Metric;
use crate::view::{Class, NEVER};

/// What was seen for so long is what a propagation is of, as in the live view.
const RECENTLY_NS: i64 = 5_000_000_000;
/// Changes and events a second are counted for so long each.
const BIN_NS: i64 = 250_000_000;

/// Where a strategy is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CourseStage {
    /// Orders come in.
    Load,
    /// The fence takes this step.
    Fence(FenceStep),
    /// The fence has taken its last step.
    Over,
}

/// A fault was in force for this strategy, nanoseconds from the begin of its load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CourseFault {
    /// This is the index of the fault in `scenario.faults`, from 0.
    pub fault: u32,
    /// It began then.
    pub from_ns: i64,
    /// It was healed then; `None` where it never was.
    pub until_ns: Option<i64>,
}

impl CourseFault {
    /// Whether it is in force then.
    pub fn is_in_force(&self, at_ns: i64) -> bool {
        self.from_ns <= at_ns && self.until_ns.is_none_or(|until_ns| at_ns < until_ns)
    }
}

/// What had happened by a moment. A figure is `None` where the fence read too little for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// The strategy is here on its way.
    pub stage: CourseStage,
    /// So many changes are known to be committed.
    pub committed: Option<u64>,
    /// So many of them have a valid event on the topic.
    pub seen: Option<u64>,
    /// So many are lost: nobody goes on trying to publish them, and in the end they had no event.
    pub lost: Option<u64>,
    /// This counts the valid events beyond the first of each.
    pub duplicated: Option<u64>,
    /// This counts the events of what was never committed.
    pub phantom: Option<u64>,
    /// From answer to first sight, the 99th percentile of what was seen in the last seconds; `None` where nothing was.
    pub propagation_p99_ns: Option<i64>,
}

impl Snapshot {
    /// Returns the committed changes without an event so far.
    pub fn missing(&self) -> Option<u64> {
        Some(self.committed?.saturating_sub(self.seen?))
    }
}

/// One for each thing of a kind: when it came to pass, ascending.
type Times = Vec<i64>;

/// A strategy's run in the order of time, taken from its history once. All times are nanoseconds from the begin of its
/// load, and none is behind its end.
#[derive(Debug, Clone)]
pub struct Course {
    load_lasts_ns: i64,
    lasts_ns: i64,
    /// Each step of the fence that was taken, by its begin.
    steps: Vec<(i64, FenceStep)>,
    faults: Vec<CourseFault>,
    committed: Option<Times>,
    seen: Option<Times>,
    lost: Option<Times>,
    duplicated: Option<Times>,
    phantom: Option<Times>,
    /// When each acknowledged change was first seen, and how long after its answer.
    waits: Vec<(i64, i64)>,
}

impl Course {
    /// Takes it from a history; linear, but for the sorting.
    pub fn of(context: &Context<'_>) -> Self {
        let clock = Clock::of(context);
        let (view, reading) = (&context.view, &context.reading);
        let (join, history) = (&view.join, context.history());
        let slots = || 0..join.truth.len();
        let arrived_ns = |slot: usize| {
            let on_topic = || Some(join.on_topic_ns(join.first_row(slot)?));
            join.seen(slot).or_else(on_topic)
        };
        let said_ns = said_committed_ns(history);
        let committed_ns = |slot: usize| {
            let known_ns = join.request(slot).map_or(NEVER, |request| {
                let said_ns = said_ns.get(join.attempt(slot) as usize);
                // Not before it was asked for, whatever is said.
                let said_ns = said_ns.map_or(NEVER, |said_ns| *said_ns.max(&request.sent_ns));
                request.ended_ns.min(said_ns)
            });
            known_ns.min(arrived_ns(slot).unwrap_or(NEVER))
        };
        let fates = Fates::new(context);
        let lost_ns = |slot: usize| {
            let given_up_ns = view.delivery_span(slot).until_ns;
            given_up_ns.max(committed_ns(slot))
        };
        let repeated_ns = |row: usize| {
            let first_ns = join.slot_of_row(row).and_then(arrived_ns);
            join.on_topic_ns(row).max(first_ns.unwrap_or(i64::MIN))
        };
        // As the record has it: of what was not read whole, what was found stands, and nothing found is nothing known.
        let found = |metric, times: Times| match reading.of_metric(metric) {
            Known::Whole => Some(times),
            Known::AtLeast(_) => Some(times).filter(|times| !times.is_empty()),
            Known::Nothing(_) => None,
        };
        let lost = fates.slots(Fate::Lost).map(lost_ns);
        let duplicated = join.rows_of(Class::Duplicate).map(repeated_ns);
        let phantom = join
            .rows_of(Class::Phantom)
            .map(|row| join.on_topic_ns(row));
        let changes = Changes::new(join);
        let wait = |slot: usize| {
            let seen_ns = join.seen(slot)?;
            let answered_ns = changes.of(join.request(slot)?).committed_ns?;
            let wait_ns = seen_ns.saturating_sub(answered_ns).max(0);
            Some((clock.time(seen_ns), wait_ns))
        };
        let mut waits: Vec<(i64, i64)> = slots().filter_map(wait).collect();
        waits.sort_unstable();
        let windows = view.windows.iter().map(|window| CourseFault {
            fault: window.fault as u32,
            from_ns: clock.time(window.span.from_ns),
            until_ns: Some(window.span.until_ns)
                .filter(|at_ns| *at_ns != NEVER)
                .map(|at_ns| clock.time(at_ns)),
        });
        Self {
            load_lasts_ns: clock.time(history.meta.load_until_ns),
            lasts_ns: clock.time(clock.until_ns),
            steps: steps(context, &clock),
            faults: windows.collect(),
            committed: reading.known(Steps::DATABASE, clock.times(slots().map(committed_ns))),
            seen: reading.known(
                Steps::BOTH_SIDES,
                clock.times(slots().filter_map(arrived_ns)),
            ),
            lost: found(Metric::Lost, clock.times(lost)),
            duplicated: found(Metric::Duplicated, clock.times(duplicated)),
            phantom: found(Metric::Phantom, clock.times(phantom)),
            waits: reading.known(Steps::ARRIVALS, waits).unwrap_or_default(),
        }
    }

    /// What had happened so many nanoseconds after the load began.
    pub fn at(&self, at_ns: i64) -> Snapshot {
        let at_ns = at_ns.min(self.lasts_ns);
        let by_then = |times: &Option<Times>| Some(count(times.as_ref()?, at_ns) as u64);
        Snapshot {
            stage: self.stage(at_ns),
            committed: by_then(&self.committed),
            seen: by_then(&self.seen),
            lost: by_then(&self.lost),
            duplicated: by_then(&self.duplicated),
            phantom: by_then(&self.phantom),
            propagation_p99_ns: self.propagation_p99_ns(at_ns),
        }
    }

    /// Changes committed and events seen a second, in the last `most` whole quarters of a second; the newest last.
    pub fn rates(&self, at_ns: i64, most: usize) -> Vec<(u64, u64)> {
        let (Some(committed), Some(seen)) = (&self.committed, &self.seen) else {
            return Vec::new();
        };
        let whole = at_ns.clamp(0, self.lasts_ns) / BIN_NS;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let bins = whole.saturating_sub(most).max(0)..whole;
        let in_bin = |times: &Times, bin: i64| {
            let until = count(times, (bin + 1) * BIN_NS - 1);
            let from = count(times, bin * BIN_NS - 1);
            (until - from) as u64 * 1_000_000_000 / BIN_NS as u64
        };
        bins.map(|bin| (in_bin(committed, bin), in_bin(seen, bin)))
            .collect()
    }

    /// The faults that were in force, by begin.
    pub fn faults(&self) -> &[CourseFault] {
        &self.faults
    }

    /// How long its load lasted.
    pub fn load_lasts_ns(&self) -> i64 {
        self.load_lasts_ns
    }

    /// How long it is until its fence has taken its last step, and nothing more happens.
    pub fn lasts_ns(&self) -> i64 {
        self.lasts_ns
    }

    fn stage(&self, at_ns: i64) -> CourseStage {
        if at_ns >= self.lasts_ns {
            return CourseStage::Over;
        }
        if at_ns < self.load_lasts_ns {
            return CourseStage::Load;
        }
        let taken = self.steps.iter().rfind(|(from_ns, _)| *from_ns <= at_ns);
        CourseStage::Fence(taken.map_or(FenceStep::Outcomes, |(_, step)| *step))
    }

    fn propagation_p99_ns(&self, at_ns: i64) -> Option<i64> {
        let by = |at_ns: i64| self.waits.partition_point(|(seen_ns, _)| *seen_ns <= at_ns);
        let recent = &self.waits[by(at_ns.saturating_sub(RECENTLY_NS))..by(at_ns)];
        let mut waits_ns: Vec<i64> = recent.iter().map(|(_, wait_ns)| *wait_ns).collect();
        let rank = (waits_ns.len() * 99).div_ceil(100).checked_sub(1)?;
        let (_, p99_ns, _) = waits_ns.select_nth_unstable(rank);
        Some(*p99_ns)
    }
}

/// How many had come to pass by then.
fn count(times: &Times, at_ns: i64) -> usize {
    times.partition_point(|time_ns| *time_ns <= at_ns)
}

/// Times of the run as times from the begin of the load.
struct Clock {
    from_ns: i64,
    until_ns: i64,
}

impl Clock {
    /// The end is that of the fence, or of the load where there was none; what was seen later belongs to it.
    fn of(context: &Context<'_>) -> Self {
        let history = context.history();
        let ends = history.fences.iter().map(|step| step.ended_ns);
        let from_ns = history.meta.load_from_ns;
        let until_ns = ends.fold(history.meta.load_until_ns, i64::max);
        Self {
            from_ns,
            until_ns: until_ns.max(from_ns),
        }
    }

    fn time(&self, run_ns: i64) -> i64 {
        run_ns
            .clamp(self.from_ns, self.until_ns)
            .saturating_sub(self.from_ns)
    }

    fn times(&self, run: impl Iterator<Item = i64>) -> Times {
        let mut times: Times = run.map(|run_ns| self.time(run_ns)).collect();
        times.sort_unstable();
        times
    }
}

/// By attempt, when the order service first said that it is committed, or [`NEVER`]; empty where it left no trace.
fn said_committed_ns(history: &History) -> Times {
    if history.trace.is_empty() {
        return Times::new();
    }
    let mut said_ns = vec![NEVER; history.requests.len()];
    for row in &history.trace {
        let of_it = said_ns.get_mut(row.attempt as usize);
        if let (Tracer::OrderService, Stage::Committed, Some(said_ns)) =
            (row.tracer, row.stage, of_it)
        {
            *said_ns = (*said_ns).min(row.at_ns);
        }
    }
    said_ns
}

fn steps(context: &Context<'_>, clock: &Clock) -> Vec<(i64, FenceStep)> {
    let taken = context.history().fences.iter().filter_map(|record| {
        let step = FenceStep::ALL.into_iter().find(|step| record.is(*step))?;
        Some((clock.time(record.started_ns), step))
    });
    let mut steps: Vec<(i64, FenceStep)> = taken.collect();
    steps.sort_by_key(|(from_ns, _)| *from_ns);
    steps
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
