//! The cache answered what was old: who committed, who invalidated, who filled it again, who read.

use crate::checkers::Offence;
use crate::checkers::stale_reads::{answered, from};
use crate::explain::Explainer;
use crate::explain::trail::Trail;
use crate::explain::words::{Sentence, named};
use crate::history::{ReadOutcome, ReadRow, ReadSource, Stage};
use crate::view::Span;

impl Explainer<'_> {
    /// Explains why the cache, at the end, holds what is not the committed version; `None` where nothing of the order is
    /// committed.
    pub(super) fn stale(&self, offence: &Offence) -> Option<String> {
        let slot = self.slot(offence)?;
        let trail = self.trail(offence.attempt);
        let mut told = Sentence::default();
        told.say(format!(
            "version {} was {}",
            offence.version,
            self.commit(&trail)
        ));
        self.invalidation(&trail, &mut told);
        told.maybe(self.filling(offence, i64::MAX));
        told.maybe(self.meanwhile(self.context.view.delivery_span(slot)));
        let held = match offence.against {
            0 => "something that no version can be read from".to_owned(),
            version => format!("version {version}"),
        };
        Some(told.ending(&format!("at the end the cache holds {held}: stale")))
    }

    /// Explains why a read was answered less than had been acknowledged; `None` if the read, or what it should have seen,
    /// is unknown.
    pub(super) fn stale_read(&self, offence: &Offence) -> Option<String> {
        let view = &self.context.view;
        let read = self.read(offence)?;
        let (missed, told_ns) = view.freshness().missed(&view.join, &read)?;
        let (first, due) = (view.join.truth.at(missed), offence.version);
        let trail = self.trail(first.attempt);
        let mut told = Sentence::default();
        told.say(format!(
            "version {} was {}, and a client knew of it, or of a later one, at {}",
            first.version,
            self.commit(&trail),
            self.at(told_ns)
        ));
        self.invalidation(&trail, &mut told);
        told.maybe(self.filling(offence, read.ended_ns));
        let instead = match due == first.version {
            true => String::new(),
            false => format!(" instead of version {due}"),
        };
        told.say(format!(
            "the read sent at {} was answered {}{}{instead} at {}",
            self.at(read.sent_ns),
            answered(&read),
            from(read.source),
            self.at(read.ended_ns)
        ));
        told.maybe(self.meanwhile(view.stale_span(missed, &read)));
        Some(told.ending("a stale read"))
    }

    /// What is known of the invalidation for a change: when it was done and by whom, or that it failed; or that nobody
    /// wrote of one.
    fn invalidation(&self, trail: &Trail, told: &mut Sentence) {
        let of_cache = |stage| trail.rows.iter().rfind(move |row| row.stage == stage);
        let done = of_cache(Stage::Invalidated);
        let failed = of_cache(Stage::InvalidationFailed);
        let by = |row: &crate::history::TraceRow| named(self.process_by(row.tracer, row.pid));
        if let Some(row) = failed {
            let span = Span {
                from_ns: trail.committed_ns().unwrap_or(row.at_ns),
                until_ns: row.at_ns,
            };
            told.say(format!(
                "its invalidation by {} failed at {}{}",
                by(row),
                self.at(row.at_ns),
                self.while_faults(span)
            ));
        }
        match (done, failed) {
            (Some(row), _) => told.say(format!(
                "{} invalidated it in the cache at {}",
                by(row),
                self.at(row.at_ns)
            )),
            (None, None) if !trail.rows.is_empty() && self.trace_cut_ns.is_none() => {
                told.say("nobody wrote of an invalidation for it");
            }
            (None, _) => {}
        }
    }

    /// Says which read may have put into the cache what is old there: the last one, answered by then, that found just
    /// that in the database.
    fn filling(&self, offence: &Offence, until_ns: i64) -> Option<String> {
        let history = self.context.history();
        let mut reads = self.reads_of(offence.order).map(|n| history.reads.at(n));
        let filled = |read: &ReadRow| {
            read.outcome == ReadOutcome::Answered
                && read.source == ReadSource::Database
                && read.version == offence.against
                && read.ended_ns <= until_ns
        };
        let read = reads.rfind(filled)?;
        Some(format!(
            "a read sent at {} had found version {} in the database, and was answered, the cache filled, at {}",
            self.at(read.sent_ns),
            read.version,
            self.at(read.ended_ns)
        ))
    }

    /// The read that an offence is about.
    fn read(&self, offence: &Offence) -> Option<ReadRow> {
        self.context.history().reads.get(offence.read? as usize)
    }
}
