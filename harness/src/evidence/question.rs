//! What the harness asks of a link itself while a fault is in force, and what the answer tells.

use super::probe::Crossing;
use super::reading::Reading;
use super::subject::FaultStage;
use crate::bite::name;
use crate::scenario::{FaultKind, Toxic};
use std::time::Duration;

/// A link is asked no more often than this: probes cost the server a connection each.
const CROSS_EVERY: Duration = Duration::from_millis(100);
/// What an exchange may take beyond what the fault adds to it.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(5);

/// What a probe does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// It connects to the proxy, and sends nothing.
    Connection,
    /// It connects and exchanges a message with the server.
    Exchange {
        /// The answer must come within this time.
        within: Duration,
    },
}

/// What is asked of a link under this kind of fault; `None` where observing is enough.
pub(super) fn question(kind: FaultKind) -> Option<Question> {
    let exchange = |added_ms: u64| {
        let within = Duration::from_millis(added_ms) + EXCHANGE_WITHIN;
        Some(Question::Exchange { within })
    };
    match kind {
        FaultKind::Down => Some(Question::Connection),
        FaultKind::Toxic { toxic, .. } => match toxic {
            Toxic::Latency { latency, jitter } => exchange(latency.saturating_add(jitter)),
            Toxic::ResetPeer { timeout } => exchange(timeout),
            Toxic::Bandwidth { .. }
            | Toxic::SlowClose { .. }
            | Toxic::Timeout { .. }
            | Toxic::Slicer { .. }
            | Toxic::LimitData { .. } => None,
        },
        FaultKind::Kill | FaultKind::Pause => None,
    }
}

/// How often it is asked, where it is looked so often.
pub(super) fn asked_every(kind: FaultKind, stage: FaultStage, looks: Duration) -> Duration {
    // A refused connection costs nobody anything.
    let refused = kind == FaultKind::Down && stage == FaultStage::During;
    if refused {
        looks
    } else {
        looks.max(CROSS_EVERY)
    }
}

/// What came of the question, if it tells anything.
pub(super) fn told(kind: FaultKind, crossing: Crossing) -> Option<Reading> {
    let is = |yes: bool| f64::from(u8::from(yes));
    match kind {
        FaultKind::Down => {
            let refused = match crossing {
                Crossing::Refused | Crossing::Closed | Crossing::Reset => true,
                Crossing::Answered(_) | Crossing::Silent => false,
            };
            Some((name::PROBE_REFUSED, is(refused)))
        }
        FaultKind::Toxic { toxic, .. } => match toxic {
            Toxic::ResetPeer { .. } => Some((name::PROBE_RESET, is(crossing == Crossing::Reset))),
            Toxic::Latency { .. } => match crossing {
                Crossing::Answered(ms) => Some((name::CROSSING_MS, ms)),
                Crossing::Refused | Crossing::Reset | Crossing::Closed | Crossing::Silent => None,
            },
            Toxic::Bandwidth { .. }
            | Toxic::SlowClose { .. }
            | Toxic::Timeout { .. }
            | Toxic::Slicer { .. }
            | Toxic::LimitData { .. } => None,
        },
        FaultKind::Kill | FaultKind::Pause => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Stream;

    fn toxic(toxic: Toxic) -> FaultKind {
        FaultKind::Toxic {
            toxic,
            stream: Stream::Upstream,
            toxicity: 1.0,
        }
    }

    const SLOW: Toxic = Toxic::Latency {
        latency: 700,
        jitter: 40,
    };
    const RESET: Toxic = Toxic::ResetPeer { timeout: 300 };

    /// The kinds that observing is enough for.
    fn unasked() -> [FaultKind; 7] {
        [
            FaultKind::Kill,
            FaultKind::Pause,
            toxic(Toxic::Bandwidth { rate: 1 }),
            toxic(Toxic::SlowClose { delay: 1 }),
            toxic(Toxic::Timeout { timeout: 1 }),
            toxic(Toxic::Slicer {
                average_size: 2,
                size_variation: 1,
                delay: 1,
            }),
            toxic(Toxic::LimitData { bytes: 1 }),
        ]
    }

    #[test]
    fn an_exchange_has_what_the_fault_adds_to_it_and_five_seconds() {
        let exchange = |milliseconds| {
            let within = Duration::from_millis(milliseconds);
            Some(Question::Exchange { within })
        };
        assert_eq!(question(toxic(SLOW)), exchange(5_740));
        assert_eq!(question(toxic(RESET)), exchange(5_300));
        assert_eq!(question(FaultKind::Down), Some(Question::Connection));
        for kind in unasked() {
            assert_eq!(question(kind), None, "{}", kind.name());
        }
    }

    #[test]
    fn given_a_link_that_is_down_then_it_is_asked_at_each_look_and_otherwise_less_often() {
        let (looks, rare) = (Duration::from_millis(50), Duration::from_secs(3));
        let during = |kind, looks| asked_every(kind, FaultStage::During, looks);
        assert_eq!(during(FaultKind::Down, looks), looks);
        assert_eq!(during(toxic(SLOW), looks), CROSS_EVERY);
        for stage in [FaultStage::Before, FaultStage::After] {
            assert_eq!(asked_every(FaultKind::Down, stage, looks), CROSS_EVERY);
        }
        assert_eq!(asked_every(FaultKind::Down, FaultStage::Before, rare), rare);
        assert_eq!(during(toxic(SLOW), rare), rare);
    }

    #[test]
    fn each_kind_is_told_by_its_own_outcome() {
        let outcomes = [
            Crossing::Refused,
            Crossing::Closed,
            Crossing::Reset,
            Crossing::Silent,
            Crossing::Answered(7.5),
        ];
        let all = |kind| outcomes.map(|outcome| told(kind, outcome));
        let refused = |value| Some((name::PROBE_REFUSED, value));
        let down = [1.0, 1.0, 1.0, 0.0, 0.0].map(refused);
        assert_eq!(all(FaultKind::Down), down);
        let reset = |value| Some((name::PROBE_RESET, value));
        assert_eq!(all(toxic(RESET)), [0.0, 0.0, 1.0, 0.0, 0.0].map(reset));
        let answered = Some((name::CROSSING_MS, 7.5));
        assert_eq!(all(toxic(SLOW)), [None, None, None, None, answered]);
        for kind in unasked() {
            assert_eq!(all(kind), [None; 5], "{}", kind.name());
        }
    }
}
