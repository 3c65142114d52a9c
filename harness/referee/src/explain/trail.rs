//! Everything that is known of one attempt, and its passages through whoever published it.

use super::Explainer;
use crate::history::{Request, Stage, TraceRow, Tracer};

/// A trail is all the evidence of one attempt: its request, its steps in the trace and its records.
pub struct Trail {
    /// This is the number of the attempt, or [`crate::history::NONE`].
    pub attempt: u32,
    /// This is what the client saw of it; `None` if it is not of this run.
    pub request: Option<Request>,
    /// This is the first version it made, as a slot of the join; `None` if it made none.
    pub slot: Option<usize>,
    /// These rows are what the system under test wrote of it, by time.
    pub rows: Vec<TraceRow>,
    /// These are the rows of the join's log that name it, by time of their append.
    pub records: Vec<usize>,
}

impl Trail {
    /// Returns the first row of a stage that the order service wrote.
    pub fn service(&self, stage: Stage) -> Option<&TraceRow> {
        self.rows
            .iter()
            .find(|r| r.tracer == Tracer::OrderService && r.stage == stage)
    }

    /// Returns the last row that the order service, or a relay, wrote.
    pub fn last(&self, tracer: Tracer) -> Option<&TraceRow> {
        self.rows.iter().rfind(|r| r.tracer == tracer)
    }

    /// When the order service knew that it is committed.
    pub fn committed_ns(&self) -> Option<i64> {
        self.service(Stage::Committed).map(|r| r.at_ns)
    }

    /// Returns its passages through a publisher, by their beginning.
    pub fn passages(&self, tracer: Tracer) -> Vec<Passage> {
        let mut passages: Vec<Passage> = Vec::new();
        for row in self.rows.iter().filter(|r| r.tracer == tracer) {
            if !is_publishing(row.stage) {
                continue;
            }
            let current = passages.iter().rposition(|p| p.pid == row.pid);
            let begins = match (row.stage, current) {
                (_, None) | (Stage::Claimed | Stage::Decoded, _) => true,
                (Stage::Handed, Some(at)) => passages[at].handed_ns.is_some(),
                _ => false,
            };
            let at = match current {
                Some(at) if !begins => at,
                _ => {
                    passages.push(Passage::new(row));
                    passages.len() - 1
                }
            };
            passages[at].add(row);
        }
        passages
    }
}

fn is_publishing(stage: Stage) -> bool {
    !matches!(
        stage,
        Stage::Received
            | Stage::Committed
            | Stage::RolledBack
            | Stage::Doubtful
            | Stage::Answered
            | Stage::Invalidated
            | Stage::InvalidationFailed
    )
}

/// A passage is one way of an event through a publisher: taken, handed to the producer, reported, confirmed.
#[derive(Debug, Clone)]
pub struct Passage {
    /// This is the pid of the process that published the event.
    pub pid: u32,
    /// This says how the relay got it; `None` if no relay is known to have taken it.
    pub taken: Option<TraceRow>,
    /// When it was handed to the producer's producer.
    pub handed_ns: Option<i64>,
    /// This says what became of the delivery: delivered, failed or given up.
    pub end: Option<TraceRow>,
    /// This is when the relay confirmed it to its source: run time, nanoseconds.
    pub confirmed_ns: Option<i64>,
    /// The last that was written of it.
    pub last_ns: i64,
}

impl Passage {
    fn new(row: &TraceRow) -> Self {
        Self {
            pid: row.pid,
            taken: None,
            handed_ns: None,
            end: None,
            confirmed_ns: None,
            last_ns: row.at_ns,
        }
    }

    fn add(&mut self, row: &TraceRow) {
        self.last_ns = row.at_ns;
        match row.stage {
            Stage::Claimed | Stage::Decoded => self.taken = Some(*row),
            Stage::Handed => self.handed_ns = Some(row.at_ns),
            Stage::Confirmed => self.confirmed_ns = Some(row.at_ns),
            // A report that comes after it was given up is still the better news.
            Stage::Delivered => self.end = Some(*row),
            _ => {
                self.end.get_or_insert(*row);
            }
        }
    }

    /// Returns the row by which the broker reported it delivered; `None` without such a report.
    pub fn delivered(&self) -> Option<TraceRow> {
        self.end.filter(|r| r.stage == Stage::Delivered)
    }

    /// Returns when the relay took the event, else when it was handed to the producer, else its last trace row:
    /// run time, nanoseconds.
    pub fn begun_ns(&self) -> i64 {
        let taken = self.taken.map(|r| r.at_ns);
        taken.or(self.handed_ns).unwrap_or(self.last_ns)
    }
}

impl Explainer<'_> {
    /// Gathers everything known of an attempt; of one that is not of this run, that is nothing.
    pub(super) fn trail(&self, attempt: u32) -> Trail {
        let history = self.context.history();
        let join = &self.context.view.join;
        let mut rows: Vec<TraceRow> = self
            .trace
            .of(attempt)
            .map(|row| history.trace.at(row))
            .collect();
        rows.sort_by_key(|r| r.at_ns);
        let mut records: Vec<usize> = self.records.of(attempt).collect();
        records.sort_by_key(|row| join.on_topic_ns(*row));
        Trail {
            attempt,
            request: history.requests.get(attempt as usize),
            slot: join.slot_of(attempt),
            rows,
            records,
        }
    }
}
