//! Why: one sentence and a timeline for each offending event, and the timeline of any order. Pure:
//! history in, words out; no clock, no I/O.
//!
//! It is the one reader of the trace that order service and relay write of themselves. No count and
//! no verdict rests on a word of it, and a history without a trace only explains less.

mod index;
mod lives;
mod order;
mod sentence;
mod timeline;
mod trail;
mod words;

use crate::checkers::context::Context;
use crate::checkers::{Offence, each_offence};
use crate::history::{FenceStep, NONE, ReadSource};
use crate::identity::Identity;
use crate::scenario::Metric;
use crate::view::Span;
use index::{Groups, Sights};
use lives::Lives;
use reports::record;
use timeline::Subject;

/// An offence's timeline has no more steps than this.
const MAX_STEPS: usize = 200;

/// A timeline of something stale shows so many reads of the order.
const READS_SHOWN: usize = 5;

/// An explainer tells of one history why each offence came about, in a sentence and a timeline.
pub struct Explainer<'a> {
    context: &'a Context<'a>,
    identity: Identity,
    lives: Lives<'a>,
    sights: Sights<'a>,
    /// These are the rows of the trace by attempt.
    trace: Groups,
    /// These are the rows of the join's log by attempt.
    records: Groups,
    /// These are the numbers of the attempts at each change, by the change's number.
    attempts: Groups,
    /// These are the numbers of the reads by order.
    reads: Groups,
    /// These are the numbers of the cache's entries by order.
    cached: Groups,
    /// This is, by tracer, the last time that it wrote anything: run time, nanoseconds.
    traced_until_ns: [Option<i64>; 2],
    /// From when on the trace may lack steps.
    trace_cut_ns: Option<i64>,
}

impl<'a> Explainer<'a> {
    /// Indexes a joined history; fails if its key is none.
    pub fn new(context: &'a Context<'a>) -> Result<Self, String> {
        let history = context.history();
        let attempts = history.requests.len();
        let changes = history.requests.iter().map(|r| r.change);
        let count = changes.clone().filter(|c| *c != NONE).max();
        let mut traced_until_ns: [Option<i64>; 2] = [None; 2];
        for row in &history.trace {
            let last = &mut traced_until_ns[row.tracer as usize];
            *last = (*last).max(Some(row.at_ns));
        }
        Ok(Self {
            identity: history.meta.key.identity()?,
            lives: Lives::new(&history.processes),
            sights: Sights::new(&history.sightings),
            trace: Groups::new(history.trace.iter().map(|r| r.attempt), attempts),
            records: Groups::new(context.view.join.log.iter().map(|r| r.attempt), attempts),
            attempts: Groups::new(changes, count.map_or(0, |c| c as usize + 1)),
            cached: Groups::new(
                history.cached.iter().map(|r| r.order),
                context.view.join.orders(),
            ),
            reads: Groups::new(
                history.reads.iter().map(|r| r.order),
                context.view.join.orders(),
            ),
            traced_until_ns,
            trace_cut_ns: history.meta.trace_cut_ns,
            context,
        })
    }

    /// Explains every offence, up to `limit` of each kind, kind after kind; gives how many there are
    /// of each, by name. Nothing is kept, so that any number can be written as they come.
    pub fn each(&self, limit: u64, visit: &mut dyn FnMut(record::Offence)) -> Vec<(String, u64)> {
        each_offence(self.context, limit, &mut |name, metric, offence| {
            visit(record::Offence {
                metric: name.to_owned(),
                ..self.explain(metric, &offence)
            });
        })
    }

    /// One offence as the record has it.
    pub fn explain(&self, metric: Metric, offence: &Offence) -> record::Offence {
        let id = |number: u32, id: fn(&Identity, u32) -> uuid::Uuid| {
            (number != NONE).then(|| id(&self.identity, number).to_string())
        };
        record::Offence {
            metric: metric.name(),
            order_id: id(offence.order, Identity::order_id),
            version: (offence.version != 0).then_some(offence.version),
            attempt: id(offence.attempt, Identity::attempt_id),
            what: offence.what.clone(),
            sentence: Some(self.sentence(metric, offence)),
            timeline: self.timeline(&self.subject(metric, offence)),
        }
    }

    /// What the timeline of an offence is about: its own attempt, and what it is judged against.
    fn subject(&self, metric: Metric, offence: &Offence) -> Subject {
        let join = &self.context.view.join;
        let maker = |order: u32, version: u32| {
            let slot = join.slot(order, version)?;
            Some(join.truth.at(slot).attempt)
        };
        let mut attempts = vec![offence.attempt];
        match metric {
            Metric::Phantom | Metric::Missing => {
                attempts.extend(maker(offence.order, offence.version));
            }
            Metric::Reordered | Metric::Overtaken | Metric::Split => {
                attempts.extend(maker(offence.against_order, offence.against));
            }
            Metric::DoubleApplied | Metric::FalseRejection | Metric::Unacknowledged => {
                let request = self
                    .context
                    .history()
                    .requests
                    .get(offence.attempt as usize);
                attempts.extend(request.into_iter().flat_map(|r| self.siblings(r.change)));
            }
            _ => {}
        }
        attempts.sort_unstable();
        attempts.dedup();
        let known = |attempt: &u32| (*attempt as usize) < self.context.history().requests.len();
        attempts.retain(known);
        let row = self.row(offence);
        let own = |row: &usize| !known(&join.log.at(*row).attempt);
        Subject {
            attempts,
            records: row.into_iter().filter(own).collect(),
            reads: self.reads_about(metric, offence),
            span: self.fate(metric, offence),
            limit: MAX_STEPS,
        }
    }

    /// Returns the numbers of the reads of an order, in the order in which they were due.
    fn reads_of(&self, order: u32) -> impl DoubleEndedIterator<Item = usize> + Clone + '_ {
        self.reads.of(order)
    }

    /// The reads that a timeline of something stale shows: the offending one and those before it, or the last ones of the
    /// order; and the last of those that can have put into the cache what was old there.
    fn reads_about(&self, metric: Metric, offence: &Offence) -> Vec<usize> {
        if !matches!(metric, Metric::Stale | Metric::StaleReads) {
            return Vec::new();
        }
        let reads = &self.context.history().reads;
        let until = offence.read.map_or(usize::MAX, |read| read as usize);
        let by_then = || self.reads_of(offence.order).rev().filter(|n| *n <= until);
        let filled = by_then().find(|n| {
            let read = reads.at(*n);
            read.source == ReadSource::Database && read.version == offence.against
        });
        let mut shown: Vec<usize> = by_then().take(READS_SHOWN).chain(filled).collect();
        shown.sort_unstable();
        shown.dedup();
        shown
    }

    /// When it was decided that an event does not arrive; of no interest to any other offence.
    fn fate(&self, metric: Metric, offence: &Offence) -> Option<Span> {
        match metric {
            Metric::Lost | Metric::Undrained | Metric::Undecided => {
                self.slot(offence).map(|slot| self.fate_span(slot))
            }
            _ => None,
        }
    }

    /// Returns the slot of an offence's version; `None` if the database does not hold it.
    fn slot(&self, offence: &Offence) -> Option<usize> {
        self.context.view.join.slot(offence.order, offence.version)
    }

    /// The row of the join's log that an offence is about.
    fn row(&self, offence: &Offence) -> Option<usize> {
        let log = &self.context.view.join.log;
        let place = offence.record?;
        let row = log.partition_point(0..log.len(), |r| (r.partition, r.offset) < place);
        let found = log.get(row)?;
        ((found.partition, found.offset) == place).then_some(row)
    }

    /// Returns the numbers of all attempts at a change.
    fn siblings(&self, change: u32) -> impl Iterator<Item = u32> + '_ {
        self.attempts.of(change).map(|attempt| attempt as u32)
    }

    /// Whether events stay where they are, and the relay keeps how far it has come.
    fn goes_by_position(&self) -> bool {
        let topology = self.context.view.topology();
        topology.is_some_and(|topology| topology.events_stay && !topology.reads_log)
    }

    /// How the source learns that an event is on the topic: the end of "confirmed ...".
    fn confirmed_to(&self) -> &'static str {
        match self.context.view.topology() {
            Some(topology) if topology.events_stay && topology.reads_log => "to its slot",
            Some(topology) if topology.events_stay => "by its position",
            Some(_) | None => "to the outbox",
        }
    }

    /// When a step of the fence had ended well.
    fn fence_ns(&self, step: FenceStep) -> Option<i64> {
        let steps = &self.context.history().fences;
        let taken = steps.iter().find(|s| s.is(step) && s.ok)?;
        Some(taken.ended_ns)
    }

    /// When the relay was stopped and the final reads began, as far as the fence came.
    fn final_reads_ns(&self) -> i64 {
        let history = self.context.history();
        let step = history.fences.iter().find(|s| s.is(FenceStep::ReadSource));
        step.map_or(history.meta.load_until_ns, |s| s.started_ns)
    }
}

#[cfg(test)]
mod tests;
