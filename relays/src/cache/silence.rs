//! How long a connection that many share has owed an answer.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// It begins with the first command after the last answer. What is still open when an answer comes begins no new one: the
/// connection is alive.
#[derive(Debug, Default)]
pub(super) struct Silence(Mutex<Option<Instant>>);

impl Silence {
    /// A command goes out.
    pub fn asked(&self, now: Instant) {
        self.since(|since| {
            since.get_or_insert(now);
        });
    }

    /// An answer came, to whichever command.
    pub fn answered(&self) {
        self.since(|since| *since = None);
    }

    /// Whether no answer has come for this long, although there was something to answer.
    pub fn lasts(&self, at_least: Duration, now: Instant) -> bool {
        let mut lasts = false;
        self.since(|since| {
            lasts = since.is_some_and(|since| now.saturating_duration_since(since) >= at_least);
        });
        lasts
    }

    fn since(&self, look: impl FnOnce(&mut Option<Instant>)) {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_commands_without_an_answer_then_the_silence_is_as_long_as_the_first_of_them_waits() {
        let (silence, begun) = (Silence::default(), Instant::now());
        let at = |ms| begun + Duration::from_millis(ms);
        let second = Duration::from_secs(1);
        assert!(!silence.lasts(second, at(5_000)));
        silence.asked(at(5_000));
        silence.asked(at(5_900));
        assert!(!silence.lasts(second, at(5_999)));
        assert!(silence.lasts(second, at(6_000)));
        silence.answered();
        assert!(!silence.lasts(second, at(9_000)));
        silence.asked(at(9_000));
        assert!(!silence.lasts(second, at(9_500)));
        assert!(silence.lasts(second, at(10_000)));
    }
}
