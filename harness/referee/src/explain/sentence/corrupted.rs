//! Records that are not what an attempt of this run implies: corrupted, foreign.

use crate::checkers::Offence;
use crate::checkers::raw_reason::raw_reason;
use crate::explain::Explainer;
use crate::explain::words::{Sentence, named};

impl Explainer<'_> {
    /// Explains a record of this run that has other bytes than its attempt implies; `None` if the topic has no
    /// such record.
    pub(super) fn corrupted(&self, offence: &Offence) -> Option<String> {
        let row = self.row(offence)?;
        let mut told = Sentence::default();
        let trail = self.trail(offence.attempt);
        if let Some(handed) = self.handed_before(&trail, row) {
            told.say(format!(
                "handed to the producer by {} at {}",
                named(self.process_by(handed.tracer, handed.pid)),
                self.at(handed.at_ns)
            ));
        }
        told.say(format!(
            "{} with other bytes than its attempt implies{}",
            self.on_topic(row),
            raw_reason(self.context, row)
        ));
        Some(told.ending("corrupted"))
    }

    /// Explains a record that is not of this run; `None` if the topic has no such record.
    pub(super) fn foreign(&self, offence: &Offence) -> Option<String> {
        let row = self.row(offence)?;
        let mut told = Sentence::default();
        told.say(format!(
            "{}, and not of this run{}",
            self.on_topic(row),
            raw_reason(self.context, row)
        ));
        Some(told.ending("foreign"))
    }
}
