//! What is remembered of a child over all its lives: starts, deaths, signals.

use super::spawn;
use super::tree::ProcessId;
use crate::clock::RunClock;
use crate::history::{Life, ProcessEvent};
use relays::signal::{Signal, TimedSignal, monotonic_ns};
use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
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
/// An exit code from here on stands for a signal, where a shell or an engine tells of somebody else's end.
const SIGNALLED: i32 = 128;
/// No signal has a higher number.
const SIGNAL_MOST: i32 = 64;
/// How long what a process said last may take into its log; somebody it started may hold its
/// output open, and will not be waited for.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(500);

/// This says how a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exit(ExitStatus);

impl Exit {
    /// Of a container the engine's client says it: a signal's number on top of 128, as a shell does.
    fn of(status: ExitStatus, of_container: bool) -> Self {
        let signal = status.code().map(|code| code - SIGNALLED);
        match signal {
            Some(signal @ 1..=SIGNAL_MOST) if of_container => Self(ExitStatus::from_raw(signal)),
            _ => Self(status),
        }
    }

    /// Returns the exit code; `None` where a signal ended the process.
    pub(super) fn exit_code(self) -> Option<i32> {
        self.0.code()
    }

    /// Returns the number of the signal that ended it, or minus the exit code minus 1 where none did.
    pub(super) fn code(self) -> i32 {
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

/// This is the end of a process that nobody here asked to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnEnd {
    /// This is when it ended, in ns of CLOCK_MONOTONIC.
    pub monotonic_ns: u64,
    /// This is the number of the signal that ended it, or minus the exit code minus 1 where none did.
    pub exit: i32,
    /// `was ended by signal 9` or `exited with code 1`.
    pub how: String,
}

/// Starts that came to nothing, of a process that was to be started until it works.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedStarts {
    /// So many starts failed.
    pub count: u64,
    /// This says why the last of them failed: `it was not ready yet and exited with code 1`.
    pub reason: String,
    /// This says how that one ended by itself, as in [`OwnEnd::exit`]; it is 0 where it did not.
    pub exit: i32,
}

/// Whose business the end of one life is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Business {
    /// Of whoever is starting it, who hears of it and tries again.
    OfItsStart,
    /// Nobody's: nobody asked for it.
    Nobodys,
    /// It is the business of whoever asked for it.
    Ordered,
    /// The process has ended, and nothing that is said of its end later counts.
    Over,
}

/// The course of one life, as far as its end is concerned; shared with the thread that waits for that.
#[derive(Debug)]
pub(super) struct Course(Mutex<Business>);

impl Course {
    /// An end of it is nobody's business, from its first moment on.
    pub(super) fn on_its_own() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Business::Nobodys)))
    }

    /// Until it works, an end of it is the business of whoever starts it.
    pub(super) fn tried() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Business::OfItsStart)))
    }

    /// It works. False where it has ended meanwhile: then nobody else hears of that.
    pub(super) fn works(&self) -> bool {
        let mut business = lock(&self.0);
        if *business == Business::OfItsStart {
            *business = Business::Nobodys;
        }
        *business != Business::Over
    }

    /// Somebody here asks for its end. Of one that has ended this says nothing any more.
    pub(super) fn order(&self) {
        let mut business = lock(&self.0);
        if *business != Business::Over {
            *business = Business::Ordered;
        }
    }

    /// It has ended: whether nobody here had anything to do with that.
    fn ends(&self) -> bool {
        let before = std::mem::replace(&mut *lock(&self.0), Business::Over);
        before == Business::Nobodys
    }
}

#[derive(Debug, Clone, Copy)]
struct LifeEntry {
    monotonic_ns: u64,
    pid: u32,
    life: Life,
    exit: i32,
}

/// This is the memory of one child; it is shared with the threads that watch the child.
#[derive(Debug, Default)]
pub(super) struct Lives {
    entries: Mutex<VecDeque<LifeEntry>>,
    signals: Mutex<VecDeque<TimedSignal>>,
    own_end: watch::Sender<Option<OwnEnd>>,
    own_ends: AtomicU64,
    failed_starts: Mutex<FailedStarts>,
}

impl Lives {
    pub(super) fn record(&self, pid: i32, life: Life, exit: i32) {
        let mut entries = lock(&self.entries);
        if entries.len() == EVENTS_MAX {
            entries.pop_front();
        }
        entries.push_back(LifeEntry {
            monotonic_ns: monotonic_ns(),
            pid: u32::try_from(pid).unwrap_or(0),
            life,
            exit,
        });
    }

    pub(super) fn add_signal(&self, mut signal: TimedSignal) {
        if let Signal::DatabaseLost { reason }
        | Signal::PublishFailed { reason, .. }
        | Signal::InvalidationFailed { reason, .. } = &mut signal.signal
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

    /// Another start came to nothing.
    pub(super) fn start_failed(&self, reason: String, exit: i32) {
        let mut failed = lock(&self.failed_starts);
        *failed = FailedStarts {
            count: failed.count + 1,
            reason,
            exit,
        };
    }

    /// Returns how many starts came to nothing so far, and why the last of them did.
    pub(super) fn failed_starts(&self) -> FailedStarts {
        lock(&self.failed_starts).clone()
    }

    /// It is not started any more: that it stays away is an end that nobody ordered.
    pub(super) fn stays_away(&self) {
        let FailedStarts {
            count,
            reason,
            exit,
        } = self.failed_starts();
        let starts = if count == 1 { "start" } else { "starts" };
        self.note_own_end(OwnEnd {
            monotonic_ns: monotonic_ns(),
            exit,
            how: format!("never became ready again in {count} {starts}; the last time {reason}"),
        });
    }

    fn note_own_end(&self, end: OwnEnd) {
        self.own_end.send_modify(|first| {
            first.get_or_insert(end);
        });
    }

    /// Waits for the end of the process (which stands for a container, or does not) in a thread, so that no runtime has to live as long as it.
    /// `course` says at that moment whose business the end is; `said` is closed when all that the
    /// process said is in its log.
    pub(super) fn watch(
        lives: &Arc<Self>,
        (mut process, id, of_container): (std::process::Child, ProcessId, bool),
        course: Arc<Course>,
        said: Receiver<()>,
    ) -> Result<watch::Receiver<Option<Exit>>, String> {
        let (tell, exit) = watch::channel(None);
        let lives = Arc::clone(lives);
        std::thread::Builder::new()
            .name(format!("wait-{}", id.pid))
            .stack_size(128 * 1024)
            .spawn(move || {
                let status = process.wait().unwrap_or(ExitStatus::from_raw(0));
                let exit = Exit::of(status, of_container);
                let monotonic_ns = monotonic_ns();
                let own = course.ends();
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
                    lives.note_own_end(end);
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
#[allow(clippy::unwrap_used)]
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

    #[test]
    fn given_a_life_when_it_ends_then_whose_business_that_is_depends_on_how_far_it_had_come() {
        let own = |course: Arc<Course>, before: &dyn Fn(&Course)| {
            before(&course);
            course.ends()
        };
        assert!(own(Course::on_its_own(), &|_| {}));
        assert!(!own(Course::on_its_own(), &Course::order));
        // One that is being started is told of by its start, until it works
        assert!(!own(Course::tried(), &|_| {}));
        assert!(own(Course::tried(), &|course| assert!(course.works())));
        assert!(!own(Course::tried(), &Course::order));
        // What ended before anybody knew that it works is its start's business as well
        let course = Course::tried();
        assert!(!course.ends());
        assert!(!course.works());
        course.order();
        assert!(!course.ends());
    }

    #[test]
    fn given_starts_that_failed_when_it_is_given_up_then_its_end_tells_how_many_and_why() {
        let lives = Lives::default();
        lives.start_failed("it was not ready within 20s".to_owned(), 0);
        lives.start_failed("it was not ready yet and exited with code 6".to_owned(), -7);
        assert_eq!(lives.own_end().borrow().clone(), None);
        lives.stays_away();
        let end = lives.own_end().borrow().clone().unwrap();
        assert_eq!(end.exit, -7);
        assert_eq!(
            end.how,
            "never became ready again in 2 starts; the last time it was not ready yet and exited with \
             code 6"
        );
        assert_eq!(lives.own_end_count(), 0);
    }
}
