//! Where an event of a later change was there first, of whatever order: overtaken.

use crate::checkers::Offence;
use crate::checkers::context::version_name;
use crate::explain::Explainer;
use crate::explain::words::Sentence;

impl Explainer<'_> {
    /// Explains which event was there first although its change was sent last; `None` if either is unknown.
    pub(super) fn overtaken(&self, offence: &Offence) -> Option<String> {
        let row = self.row(offence)?;
        let slot = self.slot(offence)?;
        let view = &self.context.view;
        let later_slot = view.join.slot(offence.against_order, offence.against)?;
        let later_row = view.join.first_row(later_slot)?;
        let (own, later) = self.names(offence);
        let mut told = Sentence::default();
        told.say(format!(
            "{own} was answered at {}",
            self.at(view.answered_ns(slot)?)
        ));
        told.say(format!(
            "{later} was sent only at {}, and was {}",
            self.at(view.first_sent_ns(later_slot)?),
            self.on_topic(later_row)
        ));
        told.say(format!("{own} only then, {}", self.on_topic(row)));
        let own = (own, offence.attempt);
        let later = (later, view.join.attempt(later_slot));
        self.handings_of(own, later, later_row, &mut told);
        Some(told.ending("overtaken"))
    }

    /// Names the two changes: by their versions alone where they are of one order.
    fn names(&self, offence: &Offence) -> (String, String) {
        let (own, later) = (offence.order, offence.against_order);
        if own == later {
            let name = |version: u32| format!("version {version}");
            return (name(offence.version), name(offence.against));
        }
        (
            version_name(own, offence.version),
            version_name(later, offence.against),
        )
    }
}
