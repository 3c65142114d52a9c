//! What the harness asks of a link itself while a fault is in force, and what the answer tells.

use super::probe::Crossing;
use super::reading::Reading;
use super::subject::FaultStage;
use crate::bite::{Question, name};
use std::time::Duration;

/// A link is asked no more often than this: probes cost the server a connection each.
const CROSS_EVERY: Duration = Duration::from_millis(100);

/// How often it is asked, where it is looked so often.
pub(super) fn asked_every(
    question: Option<Question>,
    stage: FaultStage,
    looks: Duration,
) -> Duration {
    // A refused connection costs nobody anything.
    if question == Some(Question::IsRefused) && stage == FaultStage::During {
        looks
    } else {
        looks.max(CROSS_EVERY)
    }
}

/// What came of the question, if it tells anything.
pub(super) fn told(question: Question, crossing: Crossing) -> Option<Reading> {
    let is = |yes: bool| f64::from(u8::from(yes));
    match question {
        Question::IsRefused => {
            let refused = match crossing {
                Crossing::Refused | Crossing::Closed | Crossing::Reset => true,
                Crossing::Answered(_) | Crossing::Silent => false,
            };
            Some((name::PROBE_REFUSED, is(refused)))
        }
        Question::IsReset { .. } => Some((name::PROBE_RESET, is(crossing == Crossing::Reset))),
        Question::Crossing { .. } => match crossing {
            Crossing::Answered(ms) => Some((name::CROSSING_MS, ms)),
            Crossing::Refused | Crossing::Reset | Crossing::Closed | Crossing::Silent => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(1);
    const IS_RESET: Question = Question::IsReset { within: WITHIN };
    const CROSSING: Question = Question::Crossing { within: WITHIN };

    #[test]
    fn given_a_link_that_is_down_then_it_is_asked_at_each_look_and_otherwise_less_often() {
        let (looks, rare) = (Duration::from_millis(50), Duration::from_secs(3));
        let during = |question, looks| asked_every(Some(question), FaultStage::During, looks);
        assert_eq!(during(Question::IsRefused, looks), looks);
        assert_eq!(during(CROSSING, looks), CROSS_EVERY);
        let down = Some(Question::IsRefused);
        for stage in [FaultStage::Before, FaultStage::After] {
            assert_eq!(asked_every(down, stage, looks), CROSS_EVERY);
        }
        assert_eq!(asked_every(down, FaultStage::Before, rare), rare);
        assert_eq!(during(CROSSING, rare), rare);
    }

    #[test]
    fn each_question_is_answered_by_its_own_outcome() {
        let outcomes = [
            Crossing::Refused,
            Crossing::Closed,
            Crossing::Reset,
            Crossing::Silent,
            Crossing::Answered(7.5),
        ];
        let all = |question| outcomes.map(|outcome| told(question, outcome));
        let refused = |value| Some((name::PROBE_REFUSED, value));
        let down = [1.0, 1.0, 1.0, 0.0, 0.0].map(refused);
        assert_eq!(all(Question::IsRefused), down);
        let reset = |value| Some((name::PROBE_RESET, value));
        assert_eq!(all(IS_RESET), [0.0, 0.0, 1.0, 0.0, 0.0].map(reset));
        let answered = Some((name::CROSSING_MS, 7.5));
        assert_eq!(all(CROSSING), [None, None, None, None, answered]);
    }
}
