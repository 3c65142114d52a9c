//! Where the client was told something else than what is so: unacknowledged, false rejection,
//! missing, double applied.

use crate::checkers::Offence;
use crate::explain::Explainer;
use crate::explain::trail::Trail;
use crate::explain::words::Sentence;
use crate::history::{NONE, Outcome, Request, Stage, Tracer};

impl Explainer<'_> {
    /// Committed, and the client does not know.
    pub(super) fn unacknowledged(&self, offence: &Offence) -> Option<String> {
        let trail = self.trail(offence.attempt);
        let request = trail.request?;
        let mut told = Sentence::default();
        told.say(self.commit(&trail));
        self.failed_publish(&trail, &mut told);
        self.no_word(&trail, request, &mut told);
        Some(told.ending("unacknowledged"))
    }

    /// Tells of a publish of the service itself that failed before its answer.
    fn failed_publish(&self, trail: &Trail, told: &mut Sentence) {
        let passages = trail.passages(Tracer::OrderService);
        let Some(last) = passages.last() else { return };
        if let (Some(handed_ns), Some(end)) = (last.handed_ns, last.end)
            && end.stage != Stage::Delivered
        {
            told.say(self.delivery(handed_ns, &end));
        }
    }

    /// Tells what the client got in place of a word.
    fn no_word(&self, trail: &Trail, request: Request, told: &mut Sentence) {
        let client = match (request.outcome, request.status) {
            (Outcome::NotSent, _) => "the client could not even send it".to_owned(),
            (_, 0) => format!("the client had no answer by {}", self.at(request.ended_ns)),
            (_, status) => format!(
                "the client was answered with status {status} at {}",
                self.at(request.ended_ns)
            ),
        };
        let answered = trail.service(Stage::Answered).copied();
        match (request.status, answered) {
            (0, Some(row)) => {
                told.say(client);
                told.say(format!(
                    "the order service answered with status {} at {}",
                    row.detail,
                    self.at(row.at_ns)
                ));
            }
            (0, None) => {
                let last = trail.last(Tracer::OrderService);
                match last.and_then(|row| self.death_after(row)) {
                    Some(death) => told.say(self.died_before(death, "it answered")),
                    None => {
                        told.say(client);
                        told.maybe(self.meanwhile(self.context.view.request_span(request)));
                    }
                }
            }
            (_, _) => told.say(client),
        }
    }

    /// Explains a change whose client was told no, and which is committed.
    pub(super) fn false_rejection(&self, offence: &Offence) -> Option<String> {
        let trail = self.trail(offence.attempt);
        let mut told = Sentence::default();
        told.say(self.commit(&trail));
        let refused = self
            .siblings(trail.request?.change)
            .filter_map(|attempt| self.context.history().requests.get(attempt as usize))
            .find(|r| r.outcome == Outcome::Rejected)?;
        told.say(format!(
            "the client was told no at {} (status {})",
            self.at(refused.ended_ns),
            refused.status
        ));
        Some(told.ending("false rejection"))
    }

    /// Explains a change whose client was told yes, and which is not there.
    pub(super) fn missing(&self, offence: &Offence) -> Option<String> {
        let trail = self.trail(offence.attempt);
        let request = trail.request?;
        let mut told = Sentence::default();
        told.say(format!(
            "the client was told at {} that it is committed as version {}",
            self.at(request.ended_ns),
            request.told_version
        ));
        for (stage, what) in [
            (Stage::RolledBack, "rolled back"),
            (Stage::Committed, "reported committed by the database"),
            (Stage::Doubtful, "the database had given no answer by"),
        ] {
            if let Some(row) = trail.service(stage) {
                let join = if stage == Stage::Doubtful {
                    " "
                } else {
                    " at "
                };
                told.say(format!("{what}{join}{}", self.at(row.at_ns)));
            }
        }
        let join = &self.context.view.join;
        if let Some(own) = trail.slot {
            told.say(format!("it is version {}", join.truth.at(own).version));
        }
        told.say(match join.slot(request.order, request.told_version) {
            None => "the order has no such version".to_owned(),
            Some(slot) => match join.truth.at(slot).attempt {
                NONE => "that version was made by an attempt of nobody".to_owned(),
                other => format!(
                    "that version was made by another attempt, {}",
                    self.commit(&self.trail(other))
                ),
            },
        });
        Some(told.ending("missing"))
    }

    /// Explains why one change has two versions.
    pub(super) fn double_applied(&self, offence: &Offence) -> Option<String> {
        let slot = self.slot(offence)?;
        let join = &self.context.view.join;
        let change = join.request(slot)?.change;
        let earlier = self
            .siblings(change)
            .filter_map(|attempt| join.slot_of(attempt))
            .filter(|other| *other < slot)
            .min()?;
        let made = |slot: usize| {
            let trail = self.trail(join.truth.at(slot).attempt);
            let answer = match (trail.request, trail.committed_ns()) {
                (Some(request), Some(_)) => format!(" ({})", self.context.answer(request)),
                _ => String::new(),
            };
            let version = join.truth.at(slot).version;
            format!("version {version} {}{answer}", self.commit(&trail))
        };
        let mut told = Sentence::default();
        told.say(made(earlier));
        let again = if join.truth.at(earlier).attempt == offence.attempt {
            "by the same attempt"
        } else {
            "by another attempt at the same change"
        };
        told.say(format!("{}, {again}", made(slot)));
        Some(told.ending("applied twice"))
    }
}
