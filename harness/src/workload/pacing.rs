//! When changes become due: a thread of its own sleeps to the intended start of the next one, since
//! async timers are a millisecond late and a thread that sleeps to an absolute time is not.

use super::schedule::Schedule;
use crate::clock::RunClock;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The thread sleeps at least so long, so that a high rate does not cost a wake-up a tick.
const SLEEP_MIN_NS: i64 = 100_000;
/// The thread sleeps at most so long, so that it notices its end.
const SLEEP_MAX_NS: i64 = 50_000_000;
/// A tick that becomes due so much too late was late by the generator's own fault.
const STALL_MIN_NS: i64 = 10_000_000;
/// No load takes ticks faster than one in so long, whatever the number of its connections: with a
/// queue of due ticks nobody waits for the next one, and the thread may sleep for as long as the
/// queue lasts.
const TAKE_MIN_NS: i64 = 1_000;
/// But not so long that it would be taken for a stall.
const SLEEP_QUEUED_MAX_NS: i64 = STALL_MIN_NS / 2;

/// A time in which no tick was made due although some should have been.
#[derive(Debug, Clone, Copy)]
struct Stall {
    /// This is the intended start (ns of run time) of the first of them.
    from_ns: i64,
    until_ns: i64,
}

/// The intended starts of a load, and how well they were kept.
pub(crate) struct Pacing {
    schedule: Schedule,
    clock: RunClock,
    load_from_ns: i64,
    /// The stalls are ordered by time; there is at most one in [`STALL_MIN_NS`].
    stalls: Mutex<Vec<Stall>>,
}

impl Pacing {
    /// Makes a pacing by this schedule, which begins at this run time.
    pub fn new(schedule: Schedule, clock: RunClock, load_from_ns: i64) -> Self {
        Self {
            schedule,
            clock,
            load_from_ns,
            stalls: Mutex::default(),
        }
    }

    /// Returns the intended start of a tick, in ns of run time.
    pub fn intended_ns(&self, tick: u64) -> i64 {
        self.load_from_ns + self.schedule.offset_ns(tick)
    }

    /// How much too late what was intended for this time became due. A connection that was busy at
    /// that time cannot tell: it does not know since when it could have been free.
    pub fn late_ns(&self, intended_ns: i64) -> i64 {
        let stalls = self.stalls();
        let next = stalls.partition_point(|stall| stall.from_ns <= intended_ns);
        match next.checked_sub(1).map(|last| stalls[last]) {
            Some(stall) => (stall.until_ns - intended_ns).max(0),
            None => 0,
        }
    }

    /// Makes ticks due in their time, until the last one or until `due` no longer wants any. It is
    /// told below which number they are due, and answers how many wait for a connection.
    pub fn pace(&self, mut due: impl FnMut(u64) -> Option<u64>) {
        // The kernel may delay a sleeper by its timer slack, 50 us unless told otherwise. Without
        // the permission to change it the pacing is that much later, and the lag says so.
        let _ = nix::sys::prctl::set_timerslack(1);
        let mut tick = 0;
        let mut waiting = Some(0);
        while let Some(queued) = waiting
            && tick < self.schedule.ticks()
        {
            let now = self.clock.now_ns();
            let wanted = self.intended_ns(tick).max(now + lasts_ns(queued));
            if wanted > now {
                let until = wanted.clamp(now + SLEEP_MIN_NS, now + SLEEP_MAX_NS);
                sleep_until(&self.clock, until);
            }
            tick = self.advance(tick);
            waiting = due(tick);
        }
    }

    /// The first tick whose time has not come, given one that was not due before.
    fn advance(&self, mut tick: u64) -> u64 {
        let from = tick;
        let now = self.clock.now_ns();
        while tick < self.schedule.ticks() && self.intended_ns(tick) <= now {
            tick += 1;
        }
        if tick > from {
            let from_ns = self.intended_ns(from);
            if now - from_ns >= STALL_MIN_NS {
                let until_ns = now;
                self.stalls().push(Stall { from_ns, until_ns });
            }
        }
        tick
    }

    fn stalls(&self) -> MutexGuard<'_, Vec<Stall>> {
        self.stalls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For so long, at least, a queue of due ticks lasts.
fn lasts_ns(queued: u64) -> i64 {
    let ns = i64::try_from(queued).unwrap_or(i64::MAX);
    ns.saturating_mul(TAKE_MIN_NS).min(SLEEP_QUEUED_MAX_NS)
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
mod tests {
    use super::super::tests::workload;
    use super::*;
    use std::time::Duration;

    fn pacing(rate: f64, duration: Duration) -> Pacing {
        let schedule = Schedule::new(&workload(rate, duration));
        Pacing::new(schedule, RunClock::start(), 0)
    }

    #[test]
    fn every_tick_becomes_due_once_in_order_and_not_early() {
        let pacing = pacing(2_000.0, Duration::from_millis(200));
        let mut last = 0;
        pacing.pace(|tick| {
            assert!(tick >= last, "{tick} after {last}");
            if let Some(newest) = tick.checked_sub(1) {
                assert!(pacing.clock.now_ns() >= pacing.intended_ns(newest));
            }
            last = tick;
            Some(0)
        });
        assert_eq!(last, 400);
    }

    #[test]
    fn a_load_that_nobody_wants_any_more_is_not_paced_to_its_end() {
        let pacing = pacing(100.0, Duration::from_secs(1_000));
        let mut asked = 0;
        pacing.pace(|_| {
            asked += 1;
            (asked < 3).then_some(0)
        });
        assert_eq!(asked, 3);
    }

    #[test]
    fn with_a_queue_the_thread_may_sleep_as_long_as_it_lasts_but_for_no_stall() {
        assert_eq!(lasts_ns(0), 0);
        assert_eq!(lasts_ns(100), 100 * TAKE_MIN_NS);
        assert_eq!(lasts_ns(u64::MAX), STALL_MIN_NS / 2);
    }
}
