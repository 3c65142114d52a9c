//! A valid event beyond the first.

use crate::checkers::Offence;
use crate::explain::Explainer;
use crate::explain::trail::{Passage, Trail};
use crate::explain::words::{Sentence, named, process_of, spoken};
use crate::history::{Stage, Tracer};
use crate::view::Span;

impl Explainer<'_> {
    /// Explains how an event came to be published again; `None` if its record or its version is unknown.
    pub(super) fn duplicated(&self, offence: &Offence) -> Option<String> {
        let row = self.row(offence)?;
        let join = &self.context.view.join;
        let slot = self.slot(offence)?;
        let first = join.first_row(slot)?;
        let trail = self.trail(offence.attempt);
        let mut told = Sentence::default();
        let publisher = self.publisher();
        let passages = trail.passages(publisher);
        let again = self.passage_of(&passages, &trail, row);
        let before = again.and_then(|at| at.checked_sub(1));
        match (before, again) {
            (Some(before), Some(again)) => {
                told.say(format!("first {}", self.on_topic(first)));
                self.between(publisher, &passages[before], &passages[again], &mut told);
                told.say(self.on_topic(row));
            }
            (None, Some(_)) => {
                told.say(self.handings(&passages));
                told.say(format!("first {}", self.on_topic(first)));
                told.say(format!("again {}", self.on_topic(row)));
                told.maybe(self.meanwhile(self.between_appends(first, row)));
            }
            (_, None) => {
                told.say(format!("first {}", self.on_topic(first)));
                told.say(format!("again {}", self.on_topic(row)));
                let span = self.between_appends(first, row);
                let untraced = self.untraced(publisher, span.until_ns);
                told.say(untraced.unwrap_or_else(|| {
                    let name = spoken(process_of(publisher));
                    format!("no trace of it in the {name}")
                }));
                told.maybe(self.meanwhile(span));
            }
        }
        Some(told.ending("duplicated"))
    }

    /// How often it was handed over, where no passage before the repetition is known.
    fn handings(&self, passages: &[Passage]) -> String {
        let mut handed = passages.iter().filter_map(|p| p.handed_ns);
        let first = handed.next().map(|ns| self.at(ns)).unwrap_or_default();
        match handed.count() {
            0 => format!("handed to the producer once, at {first}, as far as the trace goes"),
            more => format!(
                "handed to the producer {} times, first at {first}",
                more + 1
            ),
        }
    }

    fn between_appends(&self, first: usize, again: usize) -> Span {
        let ends = [first, again].map(|row| self.appended_ns(row));
        Span {
            from_ns: ends.into_iter().flatten().min().unwrap_or(0),
            until_ns: ends.into_iter().flatten().max().unwrap_or(0),
        }
    }

    /// Returns the index of the passage that made a record: the one whose report names its offset, else the last that
    /// handed it over in time.
    fn passage_of(&self, passages: &[Passage], trail: &Trail, row: usize) -> Option<usize> {
        let offset = self.context.view.join.log.at(row).offset;
        let reported = passages.iter().position(|p| {
            p.delivered()
                .is_some_and(|r| i64::try_from(r.detail) == Ok(offset))
        });
        reported.or_else(|| {
            let handed_ns = self.handed_before(trail, row)?.at_ns;
            passages.iter().position(|p| p.handed_ns == Some(handed_ns))
        })
    }

    /// Tells how an earlier passage ended, and how it came to a second.
    fn between(&self, publisher: Tracer, before: &Passage, again: &Passage, told: &mut Sentence) {
        let name = spoken(process_of(publisher));
        let at = |ns: i64| self.at(ns);
        let again_ns = again.handed_ns.unwrap_or(again.begun_ns());
        let same = before.pid == again.pid;
        let from = self.process_by(publisher, before.pid);
        let to = self.process_by(publisher, again.pid);
        let death = self
            .lives
            .death(from, before.pid, before.last_ns)
            .filter(|death| !same && death.at_ns <= again_ns);
        match (before.end, before.confirmed_ns, death) {
            (_, Some(confirmed_ns), _) if confirmed_ns <= again_ns => {
                told.say(format!(
                    "confirmed {} at {}",
                    self.confirmed_to(),
                    at(confirmed_ns)
                ));
                told.maybe(death.map(|death| self.died(death)));
            }
            (Some(end), _, None) if end.stage != Stage::Delivered => {
                told.say(self.delivery(before.handed_ns.unwrap_or(before.last_ns), &end));
            }
            (_, _, Some(death)) => told.say(match publisher {
                Tracer::Relay => {
                    let before = format!("it confirmed it {}", self.confirmed_to());
                    self.died_before(death, &before)
                }
                Tracer::OrderService => self.died(death),
            }),
            (_, _, None) => {
                if let Some(row) = before.delivered() {
                    told.say(format!("its delivery was reported at {}", at(row.at_ns)));
                }
                if publisher == Tracer::Relay {
                    told.say(format!(
                        "not confirmed {} before it was taken up again",
                        self.confirmed_to()
                    ));
                }
            }
        }
        let who = match (same, death) {
            (true, _) => format!("the same {name}"),
            (false, _) if from != to => named(to),
            (false, Some(_)) => format!("the next {name}"),
            (false, None) => format!("another {name}"),
        };
        told.say(format!("published again by {who} at {}", at(again_ns)));
    }
}
