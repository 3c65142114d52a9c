//! SIGINT, SIGTERM and SIGHUP: the first ends a run in order (heal, tear down, keep what was
//! recorded), the second ends it at once.

use super::exit::Outcome;
use super::terminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// So long the program has to let go of everything after the second signal. It then just ends, and
/// the reaper ends what it left.
const LET_GO_WITHIN: Duration = Duration::from_secs(10);

/// Whether a signal has nothing more to heal and to tear down.
static NOTHING_RUNS: AtomicBool = AtomicBool::new(false);

/// What a signal ends from now on is no run.
pub fn nothing_runs() {
    NOTHING_RUNS.store(true, Ordering::Release);
}

/// The user asked for this by signals.
pub struct Signals {
    /// Turns true at the first.
    pub interrupted: watch::Receiver<bool>,
    /// Turns true at the second.
    pub again: watch::Receiver<bool>,
}

/// Listens from now on. Call it inside the runtime.
pub fn watch_signals() -> std::io::Result<Signals> {
    let received = [
        (signal(SignalKind::interrupt())?, "interrupted"),
        (signal(SignalKind::terminate())?, "terminated"),
        (signal(SignalKind::hangup())?, "hung up"),
    ];
    let (first, interrupted) = watch::channel(false);
    let (second, again) = watch::channel(false);
    tokio::spawn(listen([first, second], received));
    Ok(Signals { interrupted, again })
}

async fn listen([first, second]: [watch::Sender<bool>; 2], received: [(Signal, &str); 3]) {
    let mut received = received;
    let name = next(&mut received).await;
    first.send_replace(true);
    terminal::message(&match NOTHING_RUNS.load(Ordering::Acquire) {
        true => format!("{name}: ending"),
        false => format!(
            "{name}: healing and tearing down; what was recorded is kept (once more ends it at once)"
        ),
    });
    let name = next(&mut received).await;
    second.send_replace(true);
    terminal::message(&format!(
        "{name} again: ending at once; what is still there is ended by the reaper"
    ));
    tokio::time::sleep(LET_GO_WITHIN).await;
    std::process::exit(i32::from(Outcome::Unknown.code()));
}

/// Waits for the next signal, and returns what it means, e.g. `interrupted`.
async fn next<'a>(received: &mut [(Signal, &'a str); 3]) -> &'a str {
    let [(a, a_name), (b, b_name), (c, c_name)] = received;
    tokio::select! {
        Some(()) = a.recv() => a_name,
        Some(()) = b.recv() => b_name,
        Some(()) = c.recv() => c_name,
        // No signal can come any more.
        else => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use nix::sys::signal::{Signal, raise};

    #[tokio::test]
    async fn given_a_run_when_signals_come_then_the_first_interrupts_and_the_second_ends_at_once() {
        let mut signals = watch_signals().unwrap();
        let seen = async |receiver: &mut watch::Receiver<bool>| {
            let seen = receiver.wait_for(|now| *now);
            let seen = tokio::time::timeout(Duration::from_secs(10), seen).await;
            assert!(*seen.unwrap().unwrap());
        };
        raise(Signal::SIGHUP).unwrap();
        seen(&mut signals.interrupted).await;
        assert!(!*signals.again.borrow());
        raise(Signal::SIGTERM).unwrap();
        seen(&mut signals.again).await;
    }
}
