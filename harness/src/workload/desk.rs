//! What is due, and who sends it: each change goes to a connection in the moment in which it is
//! due, or, where every connection that there may be is busy, is held back until one is free.

use super::choices::Choices;
use super::crew::{Call, Crew, Seat, Taker};
use super::hot::HotOrders;
use super::orders::{Change, Orders};
use super::pacing::Pacing;
use super::schedule::Schedule;
use super::worker::Worker;
use super::{Load, Sent};
use crate::scenario::limits::CHANGES;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// At most so many ticks wait for a connection; the oldest beyond are given up.
const QUEUE_MAX: u64 = 1_000_000;
/// A change pauses for so long before its first repetition; the pause is doubled for each further one.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// This is the longest such pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// A job is a change to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    pub change: Change,
    /// It is true where the change waited for a connection.
    pub held_back: bool,
}

/// The desk is what the connections of a load share.
pub(super) struct Desk {
    pub load: Load,
    pub orders: Orders,
    /// Those that reads are of.
    pub hot: HotOrders,
    pacing: Pacing,
    next_attempt: AtomicU32,
    state: Mutex<DeskState>,
    /// Somebody might have settled the last change.
    settled: Notify,
}

struct DeskState {
    crew: Crew<Arc<Seat>>,
    /// These are the tasks of all connections. Each gives back what it sent.
    tasks: JoinSet<Vec<Sent>>,
    /// Ticks below this one are due.
    due: u64,
    /// Ticks below this one are handed out, or given up. Where it is less than `due`, and where
    /// repetitions wait, nobody is free.
    next: u64,
    given_up: u64,
    /// So many repetitions wait for a connection.
    repeats: u64,
    /// Due ticks that are not settled, those that pause before a repetition included.
    open: u64,
    /// No further tick will become due.
    all_due: bool,
    closed: bool,
}

impl DeskState {
    /// Gives up the oldest ticks of a queue that is too long.
    fn bound_queue(&mut self) {
        let beyond = (self.due - self.next).saturating_sub(QUEUE_MAX);
        self.next += beyond;
        self.given_up += beyond;
        self.open -= beyond;
    }
}

impl Desk {
    /// Nothing is due yet, and nobody there.
    pub fn new(load: Load, load_from_ns: i64) -> Self {
        let workload = &load.workload;
        let choices = Choices::new(load.seed, workload);
        Self {
            orders: Orders::new(choices, workload.retries),
            hot: HotOrders::new(),
            pacing: Pacing::new(Schedule::new(workload), load.clock, load_from_ns),
            next_attempt: AtomicU32::new(0),
            state: Mutex::new(DeskState {
                crew: Crew::new(workload.connections),
                tasks: JoinSet::new(),
                due: 0,
                next: 0,
                given_up: 0,
                repeats: 0,
                open: 0,
                all_due: false,
                closed: false,
            }),
            settled: Notify::new(),
            load,
        }
    }

    /// Starts the clients of a closed loop: each sends its next change when the one before is
    /// answered, from the start of the load until its end.
    pub fn start_clients(self: &Arc<Self>, clients: usize, until_ns: i64) {
        let mut state = self.state();
        for _ in 0..clients {
            let worker = Worker::new(Arc::clone(self));
            let from_ns = self.pacing.intended_ns(0);
            state.tasks.spawn(worker.work_closed(from_ns, until_ns));
        }
    }

    /// Whether a client of a closed loop may begin another attempt.
    pub fn is_open(&self) -> bool {
        !self.state().closed && f64::from(self.next_attempt.load(Ordering::Relaxed)) < CHANGES
    }

    /// Makes ticks due in their time, in a thread of its own; it ends with the last one, or when
    /// the desk is closed.
    pub fn start_pacing(self: &Arc<Self>) -> std::io::Result<()> {
        let (desk, runtime) = (Arc::clone(self), Handle::current());
        std::thread::Builder::new()
            .name("pacing".into())
            .spawn(move || {
                let _entered = runtime.enter();
                desk.pacing.pace(|tick| desk.make_due(tick));
                desk.state().all_due = true;
                desk.settled.notify_one();
            })
            .map(drop)
    }

    /// Opens a few connections ahead, so that the first changes do not wait for theirs.
    pub fn open_ahead(self: &Arc<Self>, few: usize) {
        let mut state = self.state();
        for _ in 0..few {
            match state.crew.taker() {
                Taker::New => {
                    let worker = Worker::new(Arc::clone(self));
                    state.tasks.spawn(worker.open_and_work());
                }
                Taker::Free(_) | Taker::Nobody => return,
            }
        }
    }

    /// Ticks below this one are due: hands out those that are new. Answers how many wait then;
    /// nothing once the desk is closed.
    fn make_due(self: &Arc<Self>, tick: u64) -> Option<u64> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        state.open += tick - state.due;
        state.due = tick;
        while state.next < state.due {
            let call = Call::Tick(state.next);
            if !self.hand_out(&mut state, call) {
                break;
            }
            state.next += 1;
        }
        state.bound_queue();
        Some(state.due - state.next)
    }

    /// Hands the call to a connection, and returns whether there was one that could be called.
    fn hand_out(self: &Arc<Self>, state: &mut DeskState, call: Call) -> bool {
        match state.crew.taker() {
            Taker::Free(seat) => seat.call(call),
            Taker::New => {
                let worker = Worker::new(Arc::clone(self));
                state.tasks.spawn(worker.answer(call));
            }
            Taker::Nobody => return false,
        }
        true
    }

    /// Returns the change of a call. Only a call to leave has none.
    pub fn job(&self, call: Call) -> Option<Job> {
        let change = match call {
            Call::Tick(number) => Some(self.orders.change(self.pacing.intended_ns(number))),
            Call::Repeat => self.orders.repeated(),
            Call::Leave => None,
        };
        change.map(|change| Job {
            change,
            held_back: false,
        })
    }

    /// A connection is free, and has `settled` a change or not: it gets the one that was held back
    /// longest, or its seat is kept until it is called.
    pub fn rest(&self, seat: &Arc<Seat>, settled: bool) -> Option<Job> {
        let mut state = self.state();
        if settled {
            state.open -= 1;
            if state.open == 0 && state.all_due {
                self.settled.notify_one();
            }
        }
        if state.closed {
            seat.call(Call::Leave);
            return None;
        }
        let change = if state.repeats > 0 {
            state.repeats -= 1;
            drop(state);
            self.orders.repeated()
        } else if state.next < state.due {
            let tick = state.next;
            state.next += 1;
            drop(state);
            Some(self.orders.change(self.pacing.intended_ns(tick)))
        } else {
            state.crew.rest(Arc::clone(seat));
            None
        };
        change.map(|change| Job {
            change,
            held_back: true,
        })
    }

    /// Returns a number for an attempt. Numbers are dense: each attempt leaves a row.
    pub fn attempt(&self) -> u32 {
        self.next_attempt.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends `change` again after its pause. Bounded by the number of retries of a change; what is
    /// still pausing when the load is given up is never sent.
    pub fn repeat_later(self: &Arc<Self>, change: Change) {
        let pause = pause(change.repeats);
        let desk = Arc::clone(self);
        let intended_ns = desk.load.clock.now_ns() + pause.as_nanos() as i64;
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            desk.orders.repeat(change, intended_ns);
            let mut state = desk.state();
            if !state.closed && !desk.hand_out(&mut state, Call::Repeat) {
                state.repeats += 1;
            }
        });
    }

    /// Returns when every tick of the schedule was due and is settled.
    pub async fn all_settled(&self) {
        loop {
            {
                let state = self.state();
                if state.all_due && state.open == 0 {
                    return;
                }
            }
            self.settled.notified().await;
        }
    }

    /// Closes the connections that nobody needed since this was done last, but for a few.
    pub fn close_spare(&self, few: usize) {
        let spare = self.state().crew.spare(few);
        spare.iter().for_each(|seat| seat.call(Call::Leave));
    }

    /// Nothing more is sent from now on; what was sent gets its outcome.
    pub fn close(&self) {
        let free = {
            let mut state = self.state();
            state.closed = true;
            state.crew.dismiss()
        };
        free.iter().for_each(|seat| seat.call(Call::Leave));
    }

    /// The tasks of all connections, once the desk is closed.
    pub fn tasks(&self) -> JoinSet<Vec<Sent>> {
        std::mem::take(&mut self.state().tasks)
    }

    /// Returns how much too late, in ns, what was intended for this time became due; see [`Pacing::late_ns`].
    pub fn late_ns(&self, intended_ns: i64) -> i64 {
        self.pacing.late_ns(intended_ns)
    }

    /// Ticks that were due and never sent.
    pub fn unoffered(&self) -> u64 {
        let state = self.state();
        state.given_up + state.due - state.next
    }

    fn state(&self) -> MutexGuard<'_, DeskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a change waits before it is sent once more.
pub(super) fn pause(repeats: u32) -> Duration {
    RETRY_PAUSE
        .saturating_mul(1 << repeats.min(10))
        .min(RETRY_PAUSE_MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::load;
    use super::*;

    #[tokio::test]
    async fn given_more_due_ticks_than_may_wait_when_they_are_due_then_the_oldest_are_counted_not_kept()
     {
        let desk = Desk::new(load(1), 0);
        let mut state = desk.state();
        (state.due, state.open) = (2_000_000, 2_000_000);
        state.bound_queue();
        assert_eq!((state.next, state.given_up), (1_000_000, 1_000_000));
        assert_eq!(state.open, QUEUE_MAX);
        drop(state);
        assert_eq!(desk.unoffered(), 2_000_000);
    }

    #[tokio::test]
    async fn given_every_connection_busy_when_changes_become_due_then_each_of_them_is_held_back_and_no_other()
     {
        // Given two connections, called for the first two of five ticks
        let desk = Arc::new(Desk::new(load(2), 0));
        let seats = [0, 1].map(|_| Arc::new(Seat::new()));
        for _ in &seats {
            assert!(matches!(desk.state().crew.taker(), Taker::New));
        }
        for seat in &seats {
            assert!(desk.rest(seat, false).is_none());
        }
        assert_eq!(desk.make_due(5), Some(3));
        // The one used last comes first.
        assert_eq!(seats[1].called().await, Call::Tick(0));
        assert_eq!(seats[0].called().await, Call::Tick(1));
        let first = desk.job(Call::Tick(0)).unwrap();
        assert!(!first.held_back);
        // When they are free again
        for seat in [&seats[0], &seats[1], &seats[0]] {
            let held = desk.rest(seat, true).unwrap();
            assert!(held.held_back);
        }
        // Then the next one waits for its call, and what it is called for was not held back
        assert!(desk.rest(&seats[1], true).is_none());
        assert_eq!(desk.make_due(6), Some(0));
        let call = seats[1].called().await;
        assert_eq!(call, Call::Tick(5));
        assert!(!desk.job(call).unwrap().held_back);
    }

    #[tokio::test]
    async fn given_a_desk_that_is_closed_when_a_connection_is_free_then_it_leaves() {
        let desk = Arc::new(Desk::new(load(2), 0));
        let (free, busy) = (Arc::new(Seat::new()), Arc::new(Seat::new()));
        for _ in 0..2 {
            assert!(matches!(desk.state().crew.taker(), Taker::New));
        }
        assert!(desk.rest(&free, false).is_none());
        desk.close();
        assert!(desk.rest(&busy, false).is_none());
        assert_eq!(free.called().await, Call::Leave);
        assert_eq!(busy.called().await, Call::Leave);
        assert_eq!(desk.make_due(1), None);
    }
}
