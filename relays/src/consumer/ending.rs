//! That a consumer was told to end, and how long what is under way may then still take.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What is under way is given up so long after it was told: there must be time for a last commit before it is killed.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(4);
/// It is looked at so often.
const LOOK: Duration = Duration::from_millis(20);

/// Shared by who hears it and who has to mind.
#[derive(Debug, Clone, Default)]
pub(super) struct EndSignal {
    told: Arc<OnceLock<Instant>>,
    finishes: bool,
}

impl EndSignal {
    /// The signal of a consumer that still does what it was given when it is told to end.
    pub fn of_who_finishes() -> Self {
        Self {
            finishes: true,
            ..Self::default()
        }
    }

    /// Tells it, of which the first time counts.
    pub fn tell(&self) {
        let _ = self.told.set(Instant::now());
    }

    /// Whether it was told.
    pub fn is_told(&self) -> bool {
        self.told.get().is_some()
    }

    /// Whether nothing new is to be begun: what is not begun is somebody else's then.
    pub fn begins_nothing(&self) -> bool {
        match self.finishes {
            true => self.is_over(),
            false => self.is_told(),
        }
    }

    /// Whether what is under way is to be given up.
    pub fn is_over(&self) -> bool {
        let told = self.told.get();
        told.is_some_and(|told| told.elapsed() >= GIVEN_UP_AFTER)
    }

    /// Waits until it is.
    pub async fn over(&self) {
        while !self.is_over() {
            tokio::time::sleep(LOOK).await;
        }
    }
}
