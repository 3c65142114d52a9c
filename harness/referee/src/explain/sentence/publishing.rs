//! The way from the commit to the broker, told up to where it ends.

use crate::explain::Explainer;
use crate::explain::trail::{Passage, Trail};
use crate::explain::words::{Sentence, named, offset, persistence, process_of, spoken};
use crate::history::{Stage, TraceRow, Tracer};
use crate::scenario::Publisher;
use crate::view::NEVER;
use crate::view::Span;

impl Explainer<'_> {
    /// Tells who publishes in this strategy.
    pub(super) fn publisher(&self) -> Tracer {
        match self.context.view.publisher() {
            Publisher::Service => Tracer::OrderService,
            Publisher::Relay => Tracer::Relay,
        }
    }

    /// What the publisher did with an event that did not arrive. `span`: when that was.
    pub(super) fn publishing(&self, trail: &Trail, span: Span, told: &mut Sentence) {
        let publisher = self.publisher();
        let passages = trail.passages(publisher);
        match (passages.last(), publisher) {
            (Some(last), _) => {
                match (passages.len(), last.taken) {
                    (1, Some(row)) => told.say(self.taken(&row)),
                    (1, None) => {}
                    (times, _) => told.say(format!(
                        "{} {times} times by the {}, the last time at {}",
                        match publisher {
                            Tracer::Relay => "taken up",
                            Tracer::OrderService => "tried",
                        },
                        spoken(process_of(publisher)),
                        self.at(last.begun_ns())
                    )),
                }
                self.passage(publisher, last, told);
            }
            (None, Tracer::OrderService) => self.not_published_by_service(trail, span, told),
            (None, Tracer::Relay) => self.not_taken_by_relay(trail, span, told),
        }
    }

    fn not_published_by_service(&self, trail: &Trail, span: Span, told: &mut Sentence) {
        let Some(last) = trail.last(Tracer::OrderService) else {
            let since_ns = span.from_ns;
            let untraced = self.untraced(Tracer::OrderService, since_ns);
            told.say(untraced.unwrap_or_else(|| "no trace of it in the order service".to_owned()));
            told.maybe(self.meanwhile(span));
            return;
        };
        if last.stage == Stage::Answered {
            told.say(format!(
                "answered with status {} at {} without being published",
                last.detail,
                self.at(last.at_ns)
            ));
        } else if let Some(death) = self.death_after(last) {
            told.say(self.died_before(death, "the publish"));
        } else {
            told.say("no trace of its publish");
            told.maybe(self.untraced(Tracer::OrderService, last.at_ns + 1));
            told.maybe(self.meanwhile(span));
        }
    }

    fn not_taken_by_relay(&self, trail: &Trail, span: Span, told: &mut Sentence) {
        let since_ns = trail.committed_ns().unwrap_or(span.from_ns);
        let untraced = self.untraced(Tracer::Relay, since_ns);
        told.say(untraced.unwrap_or_else(|| "no trace of it in the relay".to_owned()));
        told.maybe(self.meanwhile(Span {
            from_ns: since_ns,
            ..span
        }));
    }

    /// A passage that did not end well, from the handing over on.
    fn passage(&self, publisher: Tracer, passage: &Passage, told: &mut Sentence) {
        let confirmed = |how: &str| {
            let to = self.confirmed_to();
            passage
                .confirmed_ns
                .map(|at_ns| format!("confirmed {to} at {} {how}", self.at(at_ns)))
        };
        let death = || {
            self.lives.death(
                self.process_by(publisher, passage.pid),
                passage.pid,
                passage.last_ns,
            )
        };
        let Some(handed_ns) = passage.handed_ns else {
            told.say(match (confirmed("without being published"), death()) {
                (Some(confirmed), _) => confirmed,
                (None, Some(death)) => self.died_before(death, "it published it"),
                (None, None) => "no trace of its publish".to_owned(),
            });
            return;
        };
        told.say(format!("handed to the producer at {}", self.at(handed_ns)));
        let Some(end) = passage.end else {
            told.say(match (confirmed("without a delivery report"), death()) {
                (Some(confirmed), _) => confirmed,
                (None, Some(death)) => self.died_before(death, "the broker had confirmed it"),
                (None, None) => "no delivery report of it in the trace".to_owned(),
            });
            return;
        };
        told.say(self.delivery(handed_ns, &end));
        if end.stage == Stage::Delivered {
            told.say("yet the topic has no valid event of it");
            return;
        }
        told.maybe(confirmed("all the same"));
        let tries_again = match publisher {
            Tracer::Relay => passage.confirmed_ns.is_none(),
            Tracer::OrderService => self.service_retries(),
        };
        match (death(), publisher) {
            (Some(death), _) if tries_again => told.say(self.died_before(death, "it tried again")),
            (None, Tracer::Relay) if tries_again => told.say("no trace of another try"),
            // It may have tried as often as it is to.
            _ => {}
        }
    }

    /// Whether the order service publishes again what failed.
    fn service_retries(&self) -> bool {
        let topology = self.context.view.topology();
        let one_chance = topology.and_then(|topology| topology.one_chance);
        one_chance.is_some_and(|one_chance| one_chance.policy.retries > 0)
    }

    /// Tells how and when the relay took an event: `claimed by the relay at 2.104 s`.
    pub(super) fn taken(&self, row: &TraceRow) -> String {
        let how = match row.stage {
            Stage::Decoded => "read from the replication stream",
            _ => "claimed",
        };
        let relay = named(self.process_by(row.tracer, row.pid));
        format!("{how} by {relay} at {}", self.at(row.at_ns))
    }

    /// Tells what the producer reported of a delivery.
    pub(super) fn delivery(&self, handed_ns: i64, end: &TraceRow) -> String {
        let at = self.at(end.at_ns);
        let span = Span {
            from_ns: handed_ns,
            until_ns: end.at_ns,
        };
        match end.stage {
            Stage::Delivered => {
                format!("its delivery was reported at {at}{}", offset(end.detail))
            }
            Stage::DeliveryFailed => format!(
                "its publish failed at {at} ({}){}",
                persistence(end.detail),
                self.while_faults(span)
            ),
            _ => format!(
                "given up at {at} without a delivery report{}",
                self.while_faults(span)
            ),
        }
    }

    /// The time in which a slot's event can have met its fate, ended where the final reads begin.
    pub(in crate::explain) fn fate_span(&self, slot: usize) -> Span {
        let span = self.context.view.delivery_span(slot);
        let until_ns = match span.until_ns {
            NEVER => self.final_reads_ns().max(span.from_ns),
            until_ns => until_ns,
        };
        Span { until_ns, ..span }
    }
}
