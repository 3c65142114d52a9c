//! Reads beside the changes: on a schedule and over connections of their own, so that neither waits for the other. Each
//! is sent when it is due, and held back where every connection is busy, as changes are.

use super::crew::{Call, Crew, Seat, Taker};
use super::desk::Desk;
use super::pacing::Pacing;
use super::reader::Reader;
use super::schedule::Schedule;
use super::{Load, fires};
use crate::history::{ReadOutcome, ReadRow, ReadSource, Rows};
use crate::scenario::{Workload, limits};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// However few reads there are, so many may be outstanding.
const CONNECTIONS_MIN: f64 = 16.0;

/// A read that was sent, or was not, with the number of its tick.
pub(super) type ReadTick = (u64, ReadRow);

/// Returns how many connections the reads of an open loop may have: in proportion to those of the changes, and
/// no more than these may be.
pub fn read_connections(workload: &Workload) -> usize {
    if workload.read_share <= 0.0 || workload.rate <= 0.0 {
        return 0;
    }
    let share = workload.connections as f64 * workload.reads_a_second() / workload.rate;
    let most = f64::from(limits::CONNECTIONS);
    share.ceil().clamp(CONNECTIONS_MIN, most) as usize
}

/// What the connections of readers share.
pub(super) struct ReadDesk {
    /// The changes' desk knows which orders are hot.
    changes: Arc<Desk>,
    pacing: Pacing,
    state: Mutex<ReadState>,
    /// Somebody might have settled the last read.
    settled: Notify,
}

struct ReadState {
    crew: Crew<Arc<Seat>>,
    /// These are the tasks of all connections. Each gives back what it sent.
    tasks: JoinSet<Vec<ReadTick>>,
    /// Reads below this one are due.
    due: u64,
    /// Reads below this one are handed out. Where it is less than `due`, nobody is free.
    next: u64,
    /// Due reads that are not settled.
    open: u64,
    /// No further read will become due.
    all_due: bool,
    closed: bool,
}

/// Reads from `load_from_ns` on, beside the changes of this desk; returns when each read that was due has its outcome.
/// When `stop` fires, none is sent any more.
pub(super) async fn read_beside(
    changes: Arc<Desk>,
    load_from_ns: i64,
    stop: watch::Receiver<bool>,
) -> Rows<ReadRow> {
    let workload = &changes.load.workload;
    let lasts = workload.duration + workload.request_timeout * 2 + Duration::from_secs(10);
    let desk = Arc::new(ReadDesk::new(changes, load_from_ns));
    let _close = CloseReads(Arc::clone(&desk));
    let paced = desk.start_pacing();
    if let Err(error) = paced {
        tracing::error!("no thread for the pacing of reads, nothing is read: {error}");
        return Rows::new();
    }
    tokio::select! {
        () = desk.all_settled() => {}
        () = fires(stop) => {}
        () = tokio::time::sleep(lasts) => {
            tracing::warn!("the reads were not all sent long after the load's end");
        }
    }
    desk.close();
    let mut rows = desk.never_sent();
    let mut readers = desk.tasks();
    while let Some(part) = readers.join_next().await {
        match part {
            Ok(part) => rows.extend(part),
            Err(error) => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
    rows.sort_unstable_by_key(|(tick, _)| *tick);
    let rows = rows.into_iter().map(|(_, mut row)| {
        row.lag_ns = row.lag_ns.max(desk.pacing.late_ns(row.intended_ns));
        row
    });
    rows.collect()
}

/// Ends the pacing thread and the readers on every way out.
struct CloseReads(Arc<ReadDesk>);

impl Drop for CloseReads {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl ReadDesk {
    /// Nothing is due yet, and nobody there.
    pub fn new(changes: Arc<Desk>, load_from_ns: i64) -> Self {
        let workload = &changes.load.workload;
        let schedule = Schedule::new(&Workload {
            rate: workload.reads_a_second(),
            ..workload.clone()
        });
        Self {
            pacing: Pacing::new(schedule, changes.load.clock, load_from_ns),
            state: Mutex::new(ReadState {
                crew: Crew::new(read_connections(workload)),
                tasks: JoinSet::new(),
                due: 0,
                next: 0,
                open: 0,
                all_due: false,
                closed: false,
            }),
            settled: Notify::new(),
            changes,
        }
    }

    /// Returns the load that this is a part of.
    pub fn load(&self) -> &Load {
        &self.changes.load
    }

    /// Returns when a read is due, and of which order it is.
    pub fn read(&self, tick: u64) -> (i64, u32) {
        let draw = self.changes.orders.choices().read(tick);
        (self.pacing.intended_ns(tick), self.changes.hot.pick(draw))
    }

    fn start_pacing(self: &Arc<Self>) -> std::io::Result<()> {
        let (desk, runtime) = (Arc::clone(self), Handle::current());
        std::thread::Builder::new()
            .name("pacing-reads".into())
            .spawn(move || {
                let _entered = runtime.enter();
                desk.pacing.pace(|tick| desk.make_due(tick));
                desk.state().all_due = true;
                desk.settled.notify_one();
            })
            .map(drop)
    }

    /// Reads below this number are due: hands out those that are new. Answers how many wait then; nothing once the desk
    /// is closed.
    fn make_due(self: &Arc<Self>, tick: u64) -> Option<u64> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        state.open += tick - state.due;
        state.due = tick;
        while state.next < state.due {
            let call = Call::Tick(state.next);
            match state.crew.taker() {
                Taker::Free(seat) => seat.call(call),
                Taker::New => {
                    let reader = Reader::new(Arc::clone(self));
                    let tick = state.next;
                    state.tasks.spawn(reader.begin_with(tick));
                }
                Taker::Nobody => break,
            }
            state.next += 1;
        }
        Some(state.due - state.next)
    }

    /// A reader has settled a read, and is free: it gets the one that was held back longest, or its seat is kept until it
    /// is called.
    pub fn rest(&self, seat: &Arc<Seat>) -> Option<u64> {
        let mut state = self.state();
        state.open = state.open.saturating_sub(1);
        if state.open == 0 && state.all_due {
            self.settled.notify_one();
        }
        if state.closed {
            seat.call(Call::Leave);
            return None;
        }
        if state.next < state.due {
            let tick = state.next;
            state.next += 1;
            return Some(tick);
        }
        state.crew.rest(Arc::clone(seat));
        None
    }

    async fn all_settled(&self) {
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

    /// Nothing more is sent from now on; what was sent gets its outcome.
    fn close(&self) {
        let free = {
            let mut state = self.state();
            state.closed = true;
            state.crew.dismiss()
        };
        free.iter().for_each(|seat| seat.call(Call::Leave));
    }

    /// What was due and is not sent any more.
    fn never_sent(&self) -> Vec<ReadTick> {
        let state = self.state();
        let now_ns = self.load().clock.now_ns();
        let row = |tick| {
            let (intended_ns, order) = self.read(tick);
            let row = ReadRow {
                order,
                intended_ns,
                sent_ns: now_ns,
                ended_ns: now_ns,
                lag_ns: 0,
                held_back: true,
                outcome: ReadOutcome::NotSent,
                source: ReadSource::Unknown,
                version: 0,
            };
            (tick, row)
        };
        (state.next..state.due).map(row).collect()
    }

    fn tasks(&self) -> JoinSet<Vec<ReadTick>> {
        std::mem::take(&mut self.state().tasks)
    }

    fn state(&self) -> MutexGuard<'_, ReadState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::load;
    use super::*;

    fn desk(read_share: f64) -> Arc<ReadDesk> {
        let mut load = load(4);
        load.workload.read_share = read_share;
        Arc::new(ReadDesk::new(Arc::new(Desk::new(load, 0)), 0))
    }

    #[test]
    fn given_a_share_of_reads_then_so_many_are_due_beside_the_changes() {
        let mut load = load(100);
        (load.workload.rate, load.workload.duration) = (300.0, Duration::from_secs(2));
        for (share, reads, connections) in [(0.5, 600, 100), (0.75, 1_800, 300), (0.1, 67, 16)] {
            load.workload.read_share = share;
            let desk = ReadDesk::new(Arc::new(Desk::new(load.clone(), 0)), 0);
            let due = (0..).take_while(|t| desk.pacing.intended_ns(*t) < 2_000_000_000);
            assert_eq!(due.count(), reads, "{share}");
            assert_eq!(read_connections(&load.workload), connections, "{share}");
        }
        (load.workload.read_share, load.workload.connections) = (0.99, 10_000);
        assert_eq!(read_connections(&load.workload), 10_000);
        load.workload.read_share = 0.0;
        assert_eq!(read_connections(&load.workload), 0);
    }

    #[tokio::test]
    async fn given_every_reader_busy_when_reads_become_due_then_they_wait_and_are_never_sent_once_it_is_closed()
     {
        let desk = desk(0.5);
        let most = read_connections(&desk.load().workload) as u64;
        let seats: Vec<_> = (0..most).map(|_| Arc::new(Seat::new())).collect();
        for _ in &seats {
            assert!(matches!(desk.state().crew.taker(), Taker::New));
        }
        for seat in &seats {
            assert_eq!(desk.rest(seat), None);
        }
        assert_eq!(desk.make_due(most + 3), Some(3));
        for seat in &seats {
            assert!(matches!(seat.called().await, Call::Tick(_)));
        }
        assert_eq!(desk.rest(&seats[0]), Some(most));
        desk.close();
        assert_eq!(desk.rest(&seats[1]), None);
        assert_eq!(seats[1].called().await, Call::Leave);
        let left = desk.never_sent();
        let ticks: Vec<u64> = left.iter().map(|(tick, _)| *tick).collect();
        assert_eq!(ticks, [most + 1, most + 2]);
        assert!(
            left.iter()
                .all(|(_, row)| row.outcome == ReadOutcome::NotSent)
        );
        assert_eq!(desk.make_due(most + 4), None);
    }
}
