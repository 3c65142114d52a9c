//! How long work may go on: as long as its own bound says, and a little longer than an interruption.

use std::fmt;
use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

/// What is under way when the user interrupts, and all that comes after it, has so long together:
/// enough to read what was recorded where everything answers.
pub const AFTER_INTERRUPTION: Duration = Duration::from_secs(5);

/// Why work was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// It took longer than it may.
    Bound(Duration),
    /// The user interrupted the run.
    Interruption,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bound(within) => write!(f, "it did not end within {within:?}"),
            Self::Interruption => write!(f, "interrupted"),
        }
    }
}

/// Bounds every wait of a run in one place.
pub struct Patience {
    interrupted: watch::Receiver<bool>,
    after_interruption: Duration,
    /// When it runs out: known from the first wait that saw the interruption.
    ends: OnceLock<Instant>,
}

impl Patience {
    /// `interrupted` turns true when the user interrupts.
    pub fn new(interrupted: watch::Receiver<bool>) -> Self {
        Self {
            interrupted,
            after_interruption: AFTER_INTERRUPTION,
            ends: OnceLock::new(),
        }
    }

    /// Whether the user has interrupted: then nothing is waited for that need not be.
    pub fn is_interrupted(&self) -> bool {
        *self.interrupted.borrow()
    }

    /// Does the work, or drops it when it may not go on.
    pub async fn give<T>(&self, within: Duration, work: impl Future<Output = T>) -> Result<T, Cut> {
        tokio::select! {
            biased;
            done = timeout(within, work) => done.map_err(|_| Cut::Bound(within)),
            () = self.runs_out() => Err(Cut::Interruption),
        }
    }

    /// Returns when the user interrupts.
    pub async fn interruption(&self) {
        let mut interrupted = self.interrupted.clone();
        if interrupted.wait_for(|i| *i).await.is_err() {
            // Nobody is left who could.
            std::future::pending::<()>().await;
        }
    }

    async fn runs_out(&self) {
        self.interruption().await;
        let ends = self
            .ends
            .get_or_init(|| Instant::now() + self.after_interruption);
        sleep_until(*ends).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(50);
    /// A test that takes longer has failed.
    const SOON: Duration = Duration::from_secs(20);

    async fn soon<T>(work: impl Future<Output = T>) -> T {
        timeout(SOON, work).await.expect("it goes on")
    }

    #[tokio::test]
    async fn given_work_that_never_ends_when_its_bound_is_over_then_it_is_cut_off() {
        let (_user, interrupted) = watch::channel(false);
        let patience = Patience::new(interrupted);
        let cut = soon(patience.give(SHORT, pending::<()>()))
            .await
            .unwrap_err();
        assert_eq!(cut, Cut::Bound(SHORT));
        assert_eq!(cut.to_string(), "it did not end within 50ms");
    }

    #[tokio::test]
    async fn given_an_interruption_when_work_does_not_end_then_all_of_it_together_has_a_little_more()
     {
        let (user, interrupted) = watch::channel(false);
        let patience = Patience {
            after_interruption: SHORT,
            ..Patience::new(interrupted)
        };
        let began = Instant::now();
        let interrupts = async {
            tokio::time::sleep(SHORT).await;
            user.send(true).unwrap();
        };
        let given_up = soon(patience.give(LONG, pending::<()>()));
        let (cut, ()) = tokio::join!(given_up, interrupts);
        assert_eq!(cut, Err(Cut::Interruption));
        assert!(began.elapsed() >= SHORT * 2, "{:?}", began.elapsed());
        // The next one has nothing left of it, unless it need not wait.
        let next = soon(patience.give(LONG, pending::<()>())).await;
        assert_eq!(next, Err(Cut::Interruption));
        assert_eq!(patience.give(LONG, ready(5)).await, Ok(5));
    }

    #[tokio::test]
    async fn given_nobody_who_could_interrupt_when_work_takes_time_then_it_is_not_cut_off() {
        let (user, interrupted) = watch::channel(false);
        drop(user);
        let patience = Patience::new(interrupted);
        let work = tokio::time::sleep(SHORT);
        assert_eq!(patience.give(LONG, work).await, Ok(()));
    }

    #[tokio::test]
    async fn an_interruption_is_known_from_then_on() {
        let (user, interrupted) = watch::channel(false);
        let patience = Patience::new(interrupted);
        assert!(!patience.is_interrupted());
        user.send(true).unwrap();
        assert!(patience.is_interrupted());
    }
}
