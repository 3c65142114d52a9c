//! Starts a relay again when it ends by itself, as an operator's service manager would: again and again,
//! until it works or nobody wants it any more.

use crate::process::Child;
use crate::process::comeback::{self, PAUSE};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// While its last step comes to its end.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Keeps one relay, until it is told to end or is dropped.
pub(super) struct Keeper {
    task: JoinHandle<()>,
}

impl Keeper {
    pub(super) fn start(relay: &Child) -> Self {
        let relay = relay.clone();
        let mut ends = relay.own_ends();
        let task = tokio::spawn(async move {
            // It may have ended before anybody looked.
            let mut ended = relay.own_end().is_some();
            loop {
                if !ended {
                    relay.next_own_end(&mut ends).await;
                }
                ended = false;
                bring_back(&relay).await;
            }
        });
        Self { task }
    }

    /// From now on it does not; returns when what it was about to do is over.
    pub(super) async fn end(&self) {
        self.task.abort();
        while !self.task.is_finished() {
            sleep(LOOK_AGAIN).await;
        }
    }
}

/// A start that fails, since what the relay needs is still away, is followed by another one. The nemesis
/// may have started it meanwhile.
async fn bring_back(relay: &Child) {
    sleep(PAUSE).await;
    let rests = || async {
        sleep(PAUSE).await;
        true
    };
    comeback::bring_back(|| relay.try_restart(), |_| true, rests).await;
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}
