//! That a consumer was told to end, and how long what is under way may then still take.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What is under way is given up so long after it was told: there must be time for a last commit before it is killed.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(4);
/// It is looked at so often.
const LOOK: Duration = Duration::from_millis(20);

/// Shared by who hears it and who has to mind.
#[derive(Debug, Clone, Default)]
pub(super) struct EndSignal(Arc<OnceLock<Instant>>);

impl EndSignal {
    /// Tells it, of which the first time counts.
    pub fn tell(&self) {
        let _ = self.0.set(Instant::now());
    }

    /// Whether it was told.
    pub fn is_told(&self) -> bool {
        self.0.get().is_some()
    }

    /// Whether what is under way is to be given up.
    pub fn is_over(&self) -> bool {
        let told = self.0.get();
        told.is_some_and(|told| told.elapsed() >= GIVEN_UP_AFTER)
    }

    /// Waits until it is.
    pub async fn over(&self) {
        while !self.is_over() {
            tokio::time::sleep(LOOK).await;
        }
    }
}
