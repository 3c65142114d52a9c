//! Where events came in another order than their versions, or in none: reordered, split.

use crate::checkers::Offence;
use crate::explain::Explainer;
use crate::explain::trail::Passage;
use crate::explain::words::Sentence;
use crate::history::Stage;

impl Explainer<'_> {
    /// A later version came first.
    pub(super) fn reordered(&self, offence: &Offence) -> Option<String> {
        let row = self.row(offence)?;
        let join = &self.context.view.join;
        let later_slot = join.slot(offence.order, offence.against)?;
        let later_row = join.first_row(later_slot)?;
        let (own, later) = (offence.version, offence.against);
        let mut told = Sentence::default();
        told.say(format!("version {later} was {}", self.on_topic(later_row)));
        told.say(format!("version {own} only then, {}", self.on_topic(row)));
        let own = (format!("version {own}"), offence.attempt);
        let later = (format!("version {later}"), join.attempt(later_slot));
        self.handings_of(own, later, later_row, &mut told);
        Some(told.ending("reordered"))
    }

    /// Tells in which order two events were handed to the producer, each with its name and its attempt;
    /// `later_row` is where the later change's event is, which came first.
    pub(super) fn handings_of(
        &self,
        (own, own_attempt): (String, u32),
        (later, later_attempt): (String, u32),
        later_row: usize,
        told: &mut Sentence,
    ) {
        let publisher = self.publisher();
        let own_passages = self.trail(own_attempt).passages(publisher);
        let later_passages = self.trail(later_attempt).passages(publisher);
        let handed = |passages: &[Passage]| passages.iter().find_map(|p| p.handed_ns);
        match (handed(&own_passages), handed(&later_passages)) {
            (Some(own_ns), Some(later_ns)) if later_ns < own_ns => told.say(format!(
                "{later} was handed to the producer at {}, {own} at {}",
                self.at(later_ns),
                self.at(own_ns)
            )),
            (Some(own_ns), Some(later_ns)) => {
                told.say(format!(
                    "{own} was handed to the producer at {}, {later} at {}",
                    self.at(own_ns),
                    self.at(later_ns)
                ));
                self.second_try(&own, &own_passages, told);
            }
            _ => {
                let since_ns = self.appended_ns(later_row).unwrap_or(0);
                let untraced = self.untraced(publisher, since_ns);
                told.say(untraced.unwrap_or_else(|| {
                    "no trace of the order in which they were handed to the producer".to_owned()
                }));
            }
        }
    }

    /// Tells how the first delivery of an event ended that needed another.
    fn second_try(&self, name: &str, passages: &[Passage], told: &mut Sentence) {
        let mut handed = passages.iter().filter(|p| p.handed_ns.is_some());
        let Some(first) = handed.next() else { return };
        if let (Some(end), Some(handed_ns)) = (first.end, first.handed_ns)
            && end.stage != Stage::Delivered
        {
            told.say(self.delivery(handed_ns, &end));
        }
        if let Some(again_ns) = handed.next().and_then(|p| p.handed_ns) {
            told.say(format!(
                "{name} was handed over again at {}",
                self.at(again_ns)
            ));
        }
    }

    /// Explains which versions of an order are on different partitions; `None` if either record is unknown.
    pub(super) fn split(&self, offence: &Offence) -> Option<String> {
        let row = self.row(offence)?;
        let join = &self.context.view.join;
        let home = join.first_row(join.slot(offence.order, offence.against)?)?;
        let mut told = Sentence::default();
        told.say(format!(
            "version {} {}",
            offence.against,
            self.on_topic(home)
        ));
        told.say(format!(
            "version {} {}, with the same key",
            offence.version,
            self.on_topic(row)
        ));
        Some(told.ending("split, its order is undefined"))
    }
}
