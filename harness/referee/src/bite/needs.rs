//! What must be observed of a link under a fault, so that its effect can be judged: each kind of fault says it
//! beside its judgement, and the observers do it without knowing which fault it is for.

use std::time::Duration;

/// What an exchange may take beyond what the fault adds to it.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(5);
/// How long reconnects are waited for after the healing, and a slow close beyond its delay.
const AFTERWARDS: Duration = Duration::from_millis(500);
const MAX_AFTERWARDS: Duration = Duration::from_secs(5);

/// What a kind of fault needs to have observed of each of its links. Connections and their bytes are always counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkNeeds {
    /// These are read at each look.
    pub readings: &'static [LinkReading],
    /// This is asked of the link again and again; `None` where observing is enough.
    pub question: Option<Question>,
    /// Some effects show only so long after the healing.
    pub afterwards: Duration,
}

/// A figure that is read of a link, in the direction in which its toxic works. Its name in the history is in
/// [`super::name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkReading {
    /// Bytes that came into the proxy.
    InBytes,
    /// Bytes that came into the proxy, those among them that it held when counting began.
    InBytesWithHeld,
    /// Bytes that the proxy passed on.
    OutBytes,
    /// The most bytes that it passed on on one connection.
    MostOutBytes,
    /// Bytes that wait in the kernel.
    QueuedBytes,
    /// Segments that came into the proxy.
    InSegments,
    /// Segments that the proxy passed on.
    OutSegments,
    /// Connections on which the system has heard nothing.
    Silent,
    /// Connections that the system has opened so far.
    Opened,
    /// Connections of the system that have ended so far.
    Ended,
    /// Connections on the proxy's other side.
    FarSockets,
}

/// What a probe does, and what its outcome tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// It connects to the proxy and sends nothing: whether that is refused.
    IsRefused,
    /// It connects and exchanges a message with the server: whether the connection is reset.
    IsReset {
        /// The outcome must come within this time.
        within: Duration,
    },
    /// It connects and exchanges a message with the server: how long that takes.
    Crossing {
        /// The answer must come within this time.
        within: Duration,
    },
}

impl LinkNeeds {
    /// Nothing is read but connections and their bytes, and nothing is asked.
    pub(super) const NOTHING: Self = Self::read(&[]);

    /// Returns the needs of a fault that is seen by these readings.
    pub(super) const fn read(readings: &'static [LinkReading]) -> Self {
        Self {
            readings,
            question: None,
            afterwards: Duration::ZERO,
        }
    }

    /// Adds what is asked.
    pub(super) const fn asking(self, question: Question) -> Self {
        Self {
            question: Some(question),
            ..self
        }
    }

    /// Adds the time after the healing in which clients connect again.
    pub(super) const fn and_reconnects(self) -> Self {
        Self {
            afterwards: AFTERWARDS,
            ..self
        }
    }

    /// Adds the time after the healing in which what was delayed so long still comes.
    pub(super) fn and_what_comes_within(self, delay_ms: u64) -> Self {
        let afterwards = Duration::from_millis(delay_ms).saturating_add(AFTERWARDS);
        Self {
            afterwards: afterwards.min(MAX_AFTERWARDS),
            ..self
        }
    }
}

/// Returns the bound of an exchange to which a fault adds so much.
pub(super) fn exchange_within(added_ms: u64) -> Duration {
    Duration::from_millis(added_ms).saturating_add(EXCHANGE_WITHIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bite::needs;
    use crate::bite::staged::{every_kind, toxic};
    use crate::scenario::{FaultKind, Stream, Toxic};

    fn of(kind: Toxic) -> LinkNeeds {
        needs(toxic(kind, Stream::Upstream))
    }

    #[test]
    fn given_what_a_fault_adds_to_an_exchange_then_it_has_five_seconds_more() {
        let latency = Toxic::Latency {
            latency: 700,
            jitter: 40,
        };
        let within = Duration::from_millis(5_740);
        assert_eq!(of(latency).question, Some(Question::Crossing { within }));
        let within = Duration::from_millis(5_300);
        let reset = of(Toxic::ResetPeer { timeout: 300 });
        assert_eq!(reset.question, Some(Question::IsReset { within }));
        assert_eq!(needs(FaultKind::Down).question, Some(Question::IsRefused));
    }

    #[test]
    fn given_a_fault_that_observing_is_enough_for_then_nothing_is_asked() {
        let asked = every_kind()
            .into_iter()
            .filter(|kind| needs(*kind).question.is_some());
        let asked: Vec<&str> = asked.map(FaultKind::name).collect();
        assert_eq!(asked, ["down", "latency", "reset_peer"]);
    }

    #[test]
    fn given_effects_that_show_after_the_healing_then_they_are_waited_for_and_not_for_ever() {
        let half = Duration::from_millis(500);
        assert_eq!(of(Toxic::ResetPeer { timeout: 0 }).afterwards, half);
        assert_eq!(of(Toxic::LimitData { bytes: 1 }).afterwards, half);
        let closes = |delay| of(Toxic::SlowClose { delay }).afterwards;
        assert_eq!(closes(300), Duration::from_millis(800));
        assert_eq!(closes(3_600_000), Duration::from_secs(5));
        assert_eq!(closes(u64::MAX), Duration::from_secs(5));
        let waits = every_kind()
            .into_iter()
            .filter(|kind| needs(*kind).afterwards > Duration::ZERO);
        let waits: Vec<&str> = waits.map(FaultKind::name).collect();
        assert_eq!(waits, ["slow_close", "reset_peer", "limit_data"]);
    }
}
