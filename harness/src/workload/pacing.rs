//! Makes ticks due at their intended times, from a thread of its own: async timers are a
//! millisecond late, a thread that sleeps to an absolute time is not.

use super::schedule::Schedule;
use crate::clock::RunClock;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, Semaphore};

/// At most so many ticks wait for a connection; the oldest beyond are given up.
const QUEUE_MAX: u64 = 1_000_000;

/// The thread sleeps at least so long, so that a high rate does not cost a wake-up a tick.
const SLEEP_MIN_NS: i64 = 100_000;

/// The thread sleeps at most so long, so that it notices its end.
const SLEEP_MAX_NS: i64 = 50_000_000;

/// No load takes ticks faster than one in so long, whatever the number of its connections: with a
/// queue of due ticks nobody waits for the next one, and the thread may sleep for as long as the
/// queue lasts.
const TAKE_MIN_NS: i64 = 1_000;
/// But not so long that it would be taken for a stall.
const SLEEP_QUEUED_MAX_NS: i64 = STALL_MIN_NS / 2;

/// A tick that becomes due so much too late was late by the generator's own fault.
const STALL_MIN_NS: i64 = 10_000_000;

/// A time in which no tick was made due although some should have been.
#[derive(Debug, Clone, Copy)]
struct Stall {
    /// Intended start of the first of them.
    from_ns: i64,
    until_ns: i64,
}

/// The queue of due ticks. Since a tick's time follows from its number, the queue is two numbers.
pub(super) struct Ticks {
    schedule: Schedule,
    clock: RunClock,
    load_from_ns: i64,
    /// Ticks below this one are due.
    due: AtomicU64,
    /// Ticks below this one are taken (or given up).
    next: AtomicU64,
    given_up: AtomicU64,
    /// By time; at most one in [`STALL_MIN_NS`].
    stalls: Mutex<Vec<Stall>>,
    /// Due ticks and retries that are not settled yet.
    open: AtomicU64,
    /// No further tick will become due.
    all_due: AtomicBool,
    closed: AtomicBool,
    /// A permit for each due tick and each due retry, at least.
    wake: Semaphore,
    settled: Notify,
}

impl Ticks {
    pub fn new(schedule: Schedule, clock: RunClock, load_from_ns: i64) -> Self {
        Self {
            schedule,
            clock,
            load_from_ns,
            due: AtomicU64::new(0),
            next: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            stalls: Mutex::default(),
            open: AtomicU64::new(0),
            all_due: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            wake: Semaphore::new(0),
            settled: Notify::new(),
        }
    }

    /// Waits until something may be due; false when nothing more is to be sent.
    pub async fn wait(&self) -> bool {
        match self.wake.acquire().await {
            Ok(permit) => {
                permit.forget();
                true
            }
            Err(_) => false,
        }
    }

    /// Takes the oldest due tick: its intended start, run time.
    pub fn take(&self) -> Option<i64> {
        loop {
            let next = self.next.load(Ordering::Acquire);
            let waiting = self.due.load(Ordering::Acquire).saturating_sub(next);
            let (taken, given_up) = match waiting {
                0 => return None,
                1..=QUEUE_MAX => (1, 0),
                _ => (0, waiting - QUEUE_MAX),
            };
            let exchanged = self.next.compare_exchange_weak(
                next,
                next + taken + given_up,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            if exchanged.is_err() {
                continue;
            }
            if taken == 1 {
                return Some(self.load_from_ns + self.schedule.offset_ns(next));
            }
            self.given_up.fetch_add(given_up, Ordering::Relaxed);
            self.open.fetch_sub(given_up, Ordering::SeqCst);
        }
    }

    /// A tick that was taken has its final outcome.
    pub fn settle_one(&self) {
        let last = self.open.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && self.all_due.load(Ordering::SeqCst) {
            self.settled.notify_one();
        }
    }

    /// A retry of an unsettled tick is due.
    pub fn retry_due(&self) {
        self.wake.add_permits(1);
    }

    /// Returns when every tick of the schedule was due and is settled.
    pub async fn all_settled(&self) {
        while !(self.all_due.load(Ordering::SeqCst) && self.open.load(Ordering::SeqCst) == 0) {
            self.settled.notified().await;
        }
    }

    /// Nothing more is taken from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.wake.close();
    }

    /// How much too late what was intended for this time became due. A worker that was busy at that
    /// time cannot tell: it does not know since when it could have been free.
    pub fn late_ns(&self, intended_ns: i64) -> i64 {
        let stalls = self.stalls();
        let next = stalls.partition_point(|stall| stall.from_ns <= intended_ns);
        match next.checked_sub(1).map(|last| stalls[last]) {
            Some(stall) => (stall.until_ns - intended_ns).max(0),
            None => 0,
        }
    }

    fn stalls(&self) -> MutexGuard<'_, Vec<Stall>> {
        self.stalls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ticks that were due and never taken.
    pub fn unoffered(&self) -> u64 {
        self.given_up.load(Ordering::SeqCst) + self.queued()
    }

    fn queued(&self) -> u64 {
        let next = self.next.load(Ordering::SeqCst);
        self.due.load(Ordering::SeqCst).saturating_sub(next)
    }

    /// For so long, at least, the queue of due ticks lasts.
    fn queued_ns(&self) -> i64 {
        let ns = i64::try_from(self.queued()).unwrap_or(i64::MAX);
        ns.saturating_mul(TAKE_MIN_NS).min(SLEEP_QUEUED_MAX_NS)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn intended_ns(&self, tick: u64) -> i64 {
        self.load_from_ns + self.schedule.offset_ns(tick)
    }

    /// Makes everything due whose time has come; returns the first tick that is not.
    fn advance(&self, mut tick: u64) -> u64 {
        let from = tick;
        let now = self.clock.now_ns();
        while tick < self.schedule.ticks() && self.intended_ns(tick) <= now {
            tick += 1;
        }
        let fresh = tick - from;
        if fresh > 0 {
            let from_ns = self.intended_ns(from);
            if now - from_ns >= STALL_MIN_NS {
                let until_ns = now;
                self.stalls().push(Stall { from_ns, until_ns });
            }
            self.open.fetch_add(fresh, Ordering::SeqCst);
            self.due.store(tick, Ordering::Release);
            self.wake.add_permits(fresh as usize);
        }
        tick
    }
}

/// Starts the pacing thread; it ends with the schedule or when the ticks are closed.
pub(super) fn start(ticks: Arc<Ticks>) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("pacing".into())
        .spawn(move || pace(&ticks))
        .map(drop)
}

fn pace(ticks: &Ticks) {
    // The kernel may delay a sleeper by its timer slack, 50 us unless told otherwise. Without the
    // permission to change it the pacing is that much later, and the lag says so.
    let _ = nix::sys::prctl::set_timerslack(1);
    let mut tick = 0;
    while tick < ticks.schedule.ticks() && !ticks.is_closed() {
        let now = ticks.clock.now_ns();
        let wanted = ticks.intended_ns(tick).max(now + ticks.queued_ns());
        if wanted > now {
            let until = wanted.clamp(now + SLEEP_MIN_NS, now + SLEEP_MAX_NS);
            sleep_until(&ticks.clock, until);
        }
        tick = ticks.advance(tick);
    }
    ticks.all_due.store(true, Ordering::SeqCst);
    ticks.settled.notify_one();
}

fn sleep_until(clock: &RunClock, run_ns: i64) {
    let monotonic_ns = (clock.origin_monotonic_ns as i64 + run_ns).max(0);
    let until = TimeSpec::new(monotonic_ns / 1_000_000_000, monotonic_ns % 1_000_000_000);
    // An early return (a signal) only makes the caller look at the clock again.
    let _ = clock_nanosleep(
        ClockId::CLOCK_MONOTONIC,
        ClockNanosleepFlags::TIMER_ABSTIME,
        &until,
    );
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::workload;
    use super::*;
    use std::time::Duration;

    fn ticks(rate: f64, duration: Duration) -> Arc<Ticks> {
        let clock = RunClock::start();
        let schedule = Schedule::new(&workload(rate, duration));
        Arc::new(Ticks::new(schedule, clock, 0))
    }

    #[tokio::test]
    async fn every_tick_is_taken_once_in_order_and_not_early() {
        let ticks = ticks(2_000.0, Duration::from_millis(200));
        start(Arc::clone(&ticks)).unwrap();
        let mut taken = Vec::new();
        while taken.len() < 400 && ticks.wait().await {
            let intended = ticks.take().unwrap();
            assert!(ticks.clock.now_ns() >= intended);
            taken.push(intended);
            ticks.settle_one();
        }
        let expected: Vec<i64> = (0..400).map(|i| i * 500_000).collect();
        assert_eq!(taken, expected);
        ticks.all_settled().await;
        assert_eq!((ticks.take(), ticks.unoffered()), (None, 0));
    }

    #[tokio::test]
    async fn what_overflows_the_queue_is_counted_not_kept() {
        // Given more due ticks than may wait, since a second's worth is due at once
        let ticks = ticks(2_000_000.0, Duration::from_secs(1));
        while ticks.clock.now_ns() < 1_000_000_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(ticks.advance(0), 2_000_000);
        // When the first is taken
        let first = ticks.take().unwrap();
        // Then it is the oldest of those that may wait
        assert_eq!(first, 500_000_000);
        assert_eq!(ticks.unoffered(), 1_999_999);
        assert_eq!(ticks.given_up.load(Ordering::SeqCst), 1_000_000);
    }

    #[tokio::test]
    async fn with_a_queue_the_thread_may_sleep_as_long_as_it_lasts_but_for_no_stall() {
        let ticks = ticks(100_000.0, Duration::from_millis(100));
        assert_eq!(ticks.queued_ns(), 0);
        while ticks.clock.now_ns() < 100_000_000 {
            tokio::task::yield_now().await;
        }
        ticks.advance(0);
        assert_eq!(ticks.queued_ns(), STALL_MIN_NS / 2);
        for _ in 0..9_900 {
            ticks.take().unwrap();
        }
        assert_eq!(ticks.queued_ns(), 100 * TAKE_MIN_NS);
    }

    #[tokio::test]
    async fn closing_wakes_whoever_waits() {
        let ticks = ticks(0.01, Duration::from_secs(1_000));
        let waiter = tokio::spawn({
            let ticks = Arc::clone(&ticks);
            async move { ticks.wait().await }
        });
        ticks.close();
        assert!(!waiter.await.unwrap());
    }
}
