//! An event of what is not committed.

use crate::checkers::Offence;
use crate::explain::Explainer;
use crate::explain::trail::Trail;
use crate::explain::words::{Sentence, named};
use crate::history::{Stage, TraceRow, Tracer};
use crate::view::Span;

/// LogAppendTime is cut to milliseconds: a record may seem older than its handing over.
const APPEND_RESOLUTION_NS: i64 = 1_000_000;

impl Explainer<'_> {
    /// Explains an event that is published, and not committed as that version.
    pub(super) fn phantom(&self, offence: &Offence) -> Option<String> {
        let row = self.row(offence)?;
        let join = &self.context.view.join;
        let record = join.log.at(row);
        let trail = self.trail(record.attempt);
        let mut told = Sentence::default();
        let handed = self.handed_before(&trail, row);
        let handed_ns = match handed {
            Some(handed) => {
                told.say(format!(
                    "published by {} at {}, {}",
                    named(self.process_by(handed.tracer, handed.pid)),
                    self.at(handed.at_ns),
                    self.on_topic(row)
                ));
                handed.at_ns
            }
            None => {
                told.say(self.on_topic(row));
                self.appended_ns(row).unwrap_or(i64::MIN)
            }
        };
        match trail.slot {
            Some(slot) => told.say(format!(
                "its attempt is committed as version {}, not as {}",
                join.truth.at(slot).version,
                record.version
            )),
            None => self.uncommitted(&trail, handed_ns, &mut told),
        }
        if let Some(slot) = join.slot(record.order, record.version) {
            let other = self.trail(join.truth.at(slot).attempt);
            told.say(format!(
                "its version was made by another attempt, {}",
                self.commit(&other)
            ));
        }
        Some(told.ending("phantom"))
    }

    /// Why the database does not have it.
    fn uncommitted(&self, trail: &Trail, handed_ns: i64, told: &mut Sentence) {
        let mut publish = trail.passages(Tracer::OrderService);
        if let Some(end) = publish.pop().and_then(|p| p.end)
            && end.stage != Stage::Delivered
        {
            told.say(self.delivery(handed_ns, &end));
        }
        if let Some(row) = trail.service(Stage::RolledBack) {
            let order = if row.at_ns < handed_ns {
                " before that"
            } else {
                ""
            };
            told.say(format!("rolled back at {}{order}", self.at(row.at_ns)));
            return;
        }
        if let Some(row) = trail.service(Stage::Doubtful) {
            let span = Span {
                from_ns: handed_ns.min(row.at_ns),
                until_ns: row.at_ns,
            };
            told.say(format!(
                "no answer to its commit from the database by {}{}",
                self.at(row.at_ns),
                self.while_faults(span)
            ));
            told.say("not in the database");
            return;
        }
        if let Some(row) = trail.service(Stage::Committed) {
            told.say(format!(
                "reported committed at {}, yet not in the database",
                self.at(row.at_ns)
            ));
            return;
        }
        let last = trail.last(Tracer::OrderService);
        if let Some(death) = last.and_then(|row| self.death_after(row))
            && !trail.rows.iter().any(|r| r.stage == Stage::Answered)
        {
            told.say(self.died_before(death, "the commit"));
            return;
        }
        if let Some(request) = trail.request {
            told.say(format!(
                "not in the database ({})",
                self.context.answer(request)
            ));
            if last.is_none() {
                told.maybe(self.meanwhile(self.context.view.request_span(request)));
            }
        }
    }

    /// The last handing over of an attempt that can have made this record.
    pub(super) fn handed_before(&self, trail: &Trail, row: usize) -> Option<TraceRow> {
        let appended_ns = self.appended_ns(row).unwrap_or(i64::MAX);
        let reach_ns = appended_ns.saturating_add(APPEND_RESOLUTION_NS);
        let handed = |r: &&TraceRow| r.stage == Stage::Handed && r.at_ns <= reach_ns;
        trail.rows.iter().rfind(handed).copied()
    }
}
