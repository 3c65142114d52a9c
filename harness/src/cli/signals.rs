//! SIGINT, SIGTERM and SIGHUP end a run in order: heal, tear down, keep what was recorded.

use super::terminal;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Turns true at the first of these signals. Call it inside the runtime. Later signals are
/// answered on standard error and change nothing: half a healing would leave faults in force.
pub fn watch_signals() -> std::io::Result<watch::Receiver<bool>> {
    let interrupt = signal(SignalKind::interrupt())?;
    let terminate = signal(SignalKind::terminate())?;
    let hang_up = signal(SignalKind::hangup())?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(listen(sender, interrupt, terminate, hang_up));
    Ok(receiver)
}

async fn listen(
    sender: watch::Sender<bool>,
    mut interrupt: Signal,
    mut terminate: Signal,
    mut hang_up: Signal,
) {
    loop {
        let name = tokio::select! {
            Some(()) = interrupt.recv() => "interrupted",
            Some(()) = terminate.recv() => "terminated",
            Some(()) = hang_up.recv() => "hung up",
            else => return,
        };
        let first = !sender.send_replace(true);
        terminal::message(&if first {
            format!("{name}: healing and tearing down; what was recorded is kept")
        } else {
            format!(
                "{name} again: still healing and tearing down (kill -9 {} ends it at once; the reaper then ends the rest)",
                std::process::id()
            )
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use nix::sys::signal::{Signal, raise};
    use std::time::Duration;

    #[tokio::test]
    async fn the_first_signal_interrupts_and_a_second_changes_nothing() {
        let mut interrupted = watch_signals().unwrap();
        assert!(!*interrupted.borrow());
        for signal in [Signal::SIGHUP, Signal::SIGTERM] {
            raise(signal).unwrap();
            tokio::time::timeout(Duration::from_secs(10), interrupted.changed())
                .await
                .unwrap()
                .unwrap();
            assert!(*interrupted.borrow());
        }
    }
}
