//! What is remembered of a child over all its lives: starts, deaths, signals.

use super::spawn;
use super::tree::ProcessId;
use crate::clock::RunClock;
use crate::history::{Life, ProcessEvent};
use relays::signal::{TimedSignal, monotonic_ns};
use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The newest so many signals of a child are kept (a child sends at most some tens a second).
const SIGNALS_MAX: usize = 100_000;
/// The newest so many events of a child are kept.
const EVENTS_MAX: usize = 100_000;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exit(ExitStatus);

impl Exit {
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

    pub(super) fn add_signal(&self, signal: TimedSignal) {
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

    /// Waits for the process's end in a thread, so that no runtime has to live as long as it.
    pub(super) fn watch(
        lives: &Arc<Self>,
        mut process: std::process::Child,
        id: ProcessId,
    ) -> Result<watch::Receiver<Option<Exit>>, String> {
        let (tell, exit) = watch::channel(None);
        let lives = Arc::clone(lives);
        std::thread::Builder::new()
            .name(format!("wait-{}", id.pid))
            .stack_size(128 * 1024)
            .spawn(move || {
                let status = process.wait().unwrap_or(ExitStatus::from_raw(0));
                let exit = Exit(status);
                spawn::forget(id);
                lives.record(id.pid, Life::Exited, exit.code());
                let _ = tell.send(Some(exit));
            })
            .map_err(|e| format!("start the thread that waits for it: {e}"))?;
        Ok(exit)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
