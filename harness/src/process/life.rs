//! What is remembered of a child over all its lives: starts, deaths, signals.

use super::spawn;
use super::tree::ProcessId;
use crate::clock::RunClock;
use crate::history::{Life, ProcessEvent};
use relays::signal::{Signal, TimedSignal, monotonic_ns};
use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The newest so many signals of a child are kept (a child sends at most some tens a second).
const SIGNALS_MAX: usize = 100_000;
/// A longer reason in a signal is cut, so that all of them together are bounded in bytes.
const REASON_CHARS_MAX: usize = 300;
/// The newest so many events of a child are kept.
const EVENTS_MAX: usize = 100_000;
/// How long what a process said last may take into its log; somebody it started may hold its
/// output open, and will not be waited for.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(500);

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exit(ExitStatus);

impl Exit {
    /// Its exit code, where no signal ended it.
    pub(super) fn exit_code(self) -> Option<i32> {
        self.0.code()
    }

    /// The signal number, or minus the exit code minus 1.
    fn code(self) -> i32 {
        match self.0.signal() {
            Some(signal) => signal,
            None => -self.0.code().unwrap_or(0) - 1,
        }
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.signal() {
            Some(signal) => write!(f, "was ended by signal {signal}"),
            None => write!(f, "exited with code {}", self.0.code().unwrap_or(0)),
        }
    }
}

/// The end of a process that nobody here asked to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnEnd {
    /// When, CLOCK_MONOTONIC.
    pub monotonic_ns: u64,
    /// The signal number, or minus the exit code minus 1.
    pub exit: i32,
    /// `was ended by signal 9` or `exited with code 1`.
    pub how: String,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    monotonic_ns: u64,
    pid: u32,
    life: Life,
    exit: i32,
}

/// The memory of one child; shared with the threads that watch it.
#[derive(Debug, Default)]
pub(super) struct Lives {
    entries: Mutex<VecDeque<Entry>>,
    signals: Mutex<VecDeque<TimedSignal>>,
    own_end: watch::Sender<Option<OwnEnd>>,
    own_ends: AtomicU64,
}

impl Lives {
    pub(super) fn record(&self, pid: i32, life: Life, exit: i32) {
        let mut entries = lock(&self.entries);
        if entries.len() == EVENTS_MAX {
            entries.pop_front();
        }
        entries.push_back(Entry {
            monotonic_ns: monotonic_ns(),
            pid: u32::try_from(pid).unwrap_or(0),
            life,
            exit,
        });
    }

    pub(super) fn add_signal(&self, mut signal: TimedSignal) {
        if let Signal::DatabaseLost { reason } | Signal::PublishFailed { reason, .. } =
            &mut signal.signal
        {
            *reason = reason.chars().take(REASON_CHARS_MAX).collect();
        }
        let mut signals = lock(&self.signals);
        if signals.len() == SIGNALS_MAX {
            signals.pop_front();
        }
        signals.push_back(signal);
    }

    pub(super) fn signals(&self) -> Vec<TimedSignal> {
        lock(&self.signals).iter().cloned().collect()
    }

    pub(super) fn events(&self, process: &str, clock: &RunClock) -> Vec<ProcessEvent> {
        let entries = lock(&self.entries);
        let since = entries
            .iter()
            .filter(|e| e.monotonic_ns >= clock.origin_monotonic_ns);
        since
            .map(|entry| ProcessEvent {
                process: process.to_owned(),
                pid: entry.pid,
                at_ns: clock.at(entry.monotonic_ns),
                life: entry.life,
                exit: entry.exit,
            })
            .collect()
    }

    /// The first end that nobody ordered, once there is one.
    pub(super) fn own_end(&self) -> watch::Receiver<Option<OwnEnd>> {
        self.own_end.subscribe()
    }

    /// How many ends nobody ordered.
    pub(super) fn own_end_count(&self) -> u64 {
        self.own_ends.load(Ordering::SeqCst)
    }

    /// Waits for the process's end in a thread, so that no runtime has to live as long as it.
    /// `ordered` says at that moment whether somebody here asked for the end; `said` is closed when
    /// all that the process said is in its log.
    pub(super) fn watch(
        lives: &Arc<Self>,
        mut process: std::process::Child,
        id: ProcessId,
        ordered: Arc<AtomicBool>,
        said: Receiver<()>,
    ) -> Result<watch::Receiver<Option<Exit>>, String> {
        let (tell, exit) = watch::channel(None);
        let lives = Arc::clone(lives);
        std::thread::Builder::new()
            .name(format!("wait-{}", id.pid))
            .stack_size(128 * 1024)
            .spawn(move || {
                let status = process.wait().unwrap_or(ExitStatus::from_raw(0));
                let exit = Exit(status);
                let monotonic_ns = monotonic_ns();
                let own = !ordered.load(Ordering::SeqCst);
                spawn::forget(id);
                lives.record(id.pid, Life::Exited, exit.code());
                // Whoever is told of the end reads why at the end of the log.
                let _ = said.recv_timeout(LAST_WORDS_WITHIN);
                if own {
                    let how = exit.to_string();
                    let end = OwnEnd {
                        monotonic_ns,
                        exit: exit.code(),
                        how,
                    };
                    lives.own_ends.fetch_add(1, Ordering::SeqCst);
                    lives.own_end.send_modify(|first| {
                        first.get_or_insert(end);
                    });
                }
                let _ = tell.send(Some(exit));
            })
            .map_err(|e| format!("start the thread that waits for it: {e}"))?;
        Ok(exit)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_without_end_is_cut() {
        let lives = Lives::default();
        let reason = "ü".repeat(10 * REASON_CHARS_MAX);
        lives.add_signal(TimedSignal {
            monotonic_ns: 1,
            signal: Signal::DatabaseLost { reason },
        });
        let expected = Signal::DatabaseLost {
            reason: "ü".repeat(REASON_CHARS_MAX),
        };
        assert_eq!(lives.signals()[0].signal, expected);
    }
}
