//! Starts a relay again when it ends by itself, as an operator's service manager would.

use crate::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Between an end and the next start: what ends at once must not take a processor.
const PAUSE: Duration = Duration::from_millis(500);

/// Keeps one relay, until it is told to end or is dropped.
pub(super) struct Keeper {
    task: JoinHandle<()>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    restarts: AtomicU64,
    /// It could not be started again.
    gave_up: AtomicBool,
    /// It was told to end.
    ended: AtomicBool,
}

impl Keeper {
    pub(super) fn start(relay: &Child) -> Self {
        let (relay, shared) = (relay.clone(), Arc::<Shared>::default());
        let mut ends = relay.own_ends();
        let counted = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                relay.next_own_end(&mut ends).await;
                tokio::time::sleep(PAUSE).await;
                // The nemesis may have started it meanwhile.
                if relay.is_alive() {
                    continue;
                }
                if let Err(error) = relay.restart().await
                    && !relay.is_alive()
                {
                    tracing::warn!(%error, "a relay that ended by itself could not be started again");
                    counted.gave_up.store(true, Ordering::SeqCst);
                    return;
                }
                counted.restarts.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { task, shared }
    }

    /// Whether it would start the relay again.
    pub(super) fn goes_on(&self) -> bool {
        !self.gave_up() && !self.shared.ended.load(Ordering::SeqCst)
    }

    /// Whether the relay ended by itself and could not be started again.
    pub(super) fn gave_up(&self) -> bool {
        self.shared.gave_up.load(Ordering::SeqCst)
    }

    /// How often it did.
    pub(super) fn restarts(&self) -> u64 {
        self.shared.restarts.load(Ordering::SeqCst)
    }

    /// From now on it does not.
    pub(super) fn end(&self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.task.abort();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
    }
}
