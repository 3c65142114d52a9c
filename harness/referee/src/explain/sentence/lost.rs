//! Committed and not on the topic: lost, undrained, undecided.

use crate::checkers::Offence;
use crate::explain::Explainer;
use crate::explain::trail::Trail;
use crate::explain::words::{Sentence, process_of, spoken};
use crate::history::{FenceStep, PendingState, Tracer};
use crate::scenario::Topology;
use crate::view::{Class, NEVER};

impl Explainer<'_> {
    /// Explains a change that is committed, and that nothing delivers any more.
    pub(super) fn lost(&self, offence: &Offence) -> Option<String> {
        let slot = self.slot(offence)?;
        let trail = self.trail(offence.attempt);
        let mut told = Sentence::default();
        told.say(self.commit(&trail));
        self.publishing(&trail, self.fate_span(slot), &mut told);
        self.passed(slot, &trail, &mut told);
        self.instead(&trail, &mut told);
        if self
            .context
            .history()
            .meta
            .heuristic
            .contains(&offence.attempt)
        {
            told.say(
                "it had been decided to commit it, and Kafka had aborted its transaction by itself when somebody \
                 wanted to (the heuristic outcome, as the decision log has it)",
            );
        }
        Some(told.ending("lost"))
    }

    /// Explains a change that is committed, and still in the source.
    pub(super) fn undrained(&self, offence: &Offence) -> Option<String> {
        let slot = self.slot(offence)?;
        let trail = self.trail(offence.attempt);
        let mut told = Sentence::default();
        told.say(self.commit(&trail));
        self.publishing(&trail, self.fate_span(slot), &mut told);
        let history = self.context.history();
        let pending = history.pending.iter();
        let topology = self.context.view.topology();
        let recovers = topology.is_some_and(Topology::recovers);
        let held = match pending.clone().find(|p| p.attempt == offence.attempt) {
            Some(row) if row.state == PendingState::Slot => "still ahead of the slot's position",
            _ if recovers => "decided, and not finished on both sides",
            _ => match self.goes_by_position() {
                true => "still behind the relay's position",
                false => "still in the outbox",
            },
        };
        let at = self
            .fence_ns(FenceStep::ReadSource)
            .map_or_else(String::new, |ns| format!(" at {}", self.at(ns)));
        // Who could still have finished it.
        let last = match recovers {
            true => "relay".to_owned(),
            false => spoken(process_of(self.publisher())),
        };
        told.say(format!("{held} when the {last} was stopped{at}"));
        Some(told.ending("undrained"))
    }

    /// Committed, and the teardown may have cut its publish off.
    pub(super) fn undecided(&self, offence: &Offence) -> Option<String> {
        let trail = self.trail(offence.attempt);
        let mut told = Sentence::default();
        told.say(self.commit(&trail));
        let passages = trail.passages(Tracer::OrderService);
        if let Some(handed_ns) = passages.last().and_then(|p| p.handed_ns) {
            told.say(format!("handed to the producer at {}", self.at(handed_ns)));
        }
        let at = self
            .lives
            .last_death("order-service")
            .map_or_else(String::new, |death| format!(" at {}", self.at(death.at_ns)));
        told.say(format!(
            "the teardown had to kill the order service{at}, which may still have been publishing it"
        ));
        Some(told.ending("undecided"))
    }

    /// Of a publisher of an outbox that is not known to have had it in hand: when it was past it.
    fn passed(&self, slot: usize, trail: &Trail, told: &mut Sentence) {
        let topology = self.context.view.topology();
        let kept = topology.is_none_or(|topology| topology.has_outbox);
        let past_ns = self.context.view.delivery_span(slot).until_ns;
        if kept && past_ns != NEVER && trail.passages(self.publisher()).is_empty() {
            told.say(format!(
                "a change sent after its answer was on the topic at {}",
                self.at(past_ns)
            ));
        }
    }

    /// What is on the topic in place of the event.
    fn instead(&self, trail: &Trail, told: &mut Sentence) {
        let join = &self.context.view.join;
        for row in &trail.records {
            match join.class(*row) {
                Class::Corrupted => {
                    told.say(format!("a damaged record of it is {}", self.on_topic(*row)));
                }
                Class::Phantom => told.say(format!(
                    "an event of it is {} as version {}",
                    self.on_topic(*row),
                    join.log.at(*row).version
                )),
                Class::First | Class::Duplicate | Class::Foreign => continue,
            }
            return;
        }
        let stray = &self.context.history().meta.stray_topics;
        if !stray.is_empty() {
            told.say(format!(
                "events of this run are on other topics: {}",
                stray.join(", ")
            ));
        }
    }
}
