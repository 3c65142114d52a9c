//! The connections of a load: how many there are, who is free, and what each is told next.

use futures::task::AtomicWaker;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

/// What a connection is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// The connection is to send a change for the tick with this number.
    Tick(u64),
    /// Send a change again whose pause is over.
    Repeat,
    /// The connection is to close: others do the work.
    Leave,
}

/// Where a free connection waits for its call. One call at a time: a connection is called only
/// when it is free, and is free again only when it has taken its call.
#[derive(Debug)]
pub(super) struct Seat {
    call: AtomicU64,
    waker: AtomicWaker,
}

impl Seat {
    const NONE: u64 = u64::MAX;
    const REPEAT: u64 = u64::MAX - 1;
    const LEAVE: u64 = u64::MAX - 2;

    pub fn new() -> Self {
        Self {
            call: AtomicU64::new(Self::NONE),
            waker: AtomicWaker::new(),
        }
    }

    /// Calls whoever sits here.
    pub fn call(&self, call: Call) {
        let number = match call {
            Call::Tick(number) => number,
            Call::Repeat => Self::REPEAT,
            Call::Leave => Self::LEAVE,
        };
        self.call.store(number, Ordering::Release);
        self.waker.wake();
    }

    /// Waits for the call.
    pub async fn called(&self) -> Call {
        poll_fn(|cx| {
            self.waker.register(cx.waker());
            match self.call.swap(Self::NONE, Ordering::AcqRel) {
                Self::NONE => Poll::Pending,
                Self::REPEAT => Poll::Ready(Call::Repeat),
                Self::LEAVE => Poll::Ready(Call::Leave),
                number => Poll::Ready(Call::Tick(number)),
            }
        })
        .await
    }
}

/// Who takes what is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taker<S> {
    /// The free connection that was used last.
    Free(S),
    /// One that has to be opened.
    New,
    /// Every connection that there may be is busy.
    Nobody,
}

/// How many connections there are, and which of them are free.
#[derive(Debug)]
pub(super) struct Crew<S> {
    ceiling: usize,
    size: usize,
    /// The one used last is last.
    free: Vec<S>,
    /// The fewest that were free since [`Crew::spare`] was asked last.
    least_free: usize,
}

impl<S> Crew<S> {
    /// Makes a crew of at most so many connections, and none yet.
    pub fn new(ceiling: usize) -> Self {
        Self {
            ceiling: ceiling.max(1),
            size: 0,
            free: Vec::new(),
            least_free: 0,
        }
    }

    /// Who takes something that is due now. Of a new one the caller has to see to its being there.
    pub fn taker(&mut self) -> Taker<S> {
        if let Some(seat) = self.free.pop() {
            self.least_free = self.least_free.min(self.free.len());
            return Taker::Free(seat);
        }
        if self.size == self.ceiling {
            return Taker::Nobody;
        }
        self.size += 1;
        Taker::New
    }

    /// A connection is free.
    pub fn rest(&mut self, seat: S) {
        self.free.push(seat);
    }

    /// Takes away the connections that nobody needed since this was asked last, but for a few.
    pub fn spare(&mut self, few: usize) -> Vec<S> {
        let spare = self.least_free.saturating_sub(few).min(self.free.len());
        self.size -= spare;
        let gone = self.free.drain(..spare).collect();
        self.least_free = self.free.len();
        gone
    }

    /// Takes away all that are free.
    pub fn dismiss(&mut self) -> Vec<S> {
        self.size -= self.free.len();
        std::mem::take(&mut self.free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(crew: &mut Crew<u32>, seats: std::ops::Range<u32>) {
        for seat in seats.clone() {
            assert_eq!(crew.taker(), Taker::New);
            let _ = seat;
        }
        seats.for_each(|seat| crew.rest(seat));
    }

    #[test]
    fn given_free_connections_when_something_is_due_then_the_one_used_last_takes_it() {
        let mut crew = Crew::new(9);
        opened(&mut crew, 0..3);
        assert_eq!(crew.taker(), Taker::Free(2));
        assert_eq!(crew.taker(), Taker::Free(1));
        crew.rest(2);
        assert_eq!(crew.taker(), Taker::Free(2));
    }

    #[test]
    fn given_nobody_free_when_something_is_due_then_one_is_opened_up_to_the_ceiling() {
        let mut crew: Crew<u32> = Crew::new(2);
        assert_eq!([crew.taker(), crew.taker()], [Taker::New, Taker::New]);
        assert_eq!(crew.taker(), Taker::Nobody);
        crew.rest(0);
        assert_eq!(crew.taker(), Taker::Free(0));
    }

    #[test]
    fn given_connections_that_nobody_needs_when_time_goes_by_then_all_but_a_few_are_closed() {
        let mut crew = Crew::new(1_000);
        opened(&mut crew, 0..500);
        // Opening them needed them all: nothing is known yet.
        assert_eq!(crew.spare(8), Vec::<u32>::new());
        // From then on twenty are busy at a time.
        let busy: Vec<_> = (0..20).map(|_| crew.taker()).collect();
        assert_eq!(busy.len(), 20);
        (480..500).for_each(|seat| crew.rest(seat));
        let gone = crew.spare(8);
        assert_eq!(
            gone,
            (0..472).collect::<Vec<_>>(),
            "the longest unused ones"
        );
        assert_eq!(crew.size, 28);
        assert_eq!(crew.spare(8).len(), 20, "and when nothing happens at all");
        assert_eq!(crew.spare(8).len(), 0);
        assert_eq!(crew.size, 8);
    }

    #[tokio::test]
    async fn given_somebody_who_waits_when_called_then_the_call_comes_once() {
        let seat = std::sync::Arc::new(Seat::new());
        let waiting = tokio::spawn({
            let seat = std::sync::Arc::clone(&seat);
            async move { (seat.called().await, seat.called().await) }
        });
        for call in [Call::Tick(7), Call::Repeat] {
            seat.call(call);
            while seat.call.load(Ordering::Acquire) != Seat::NONE {
                tokio::task::yield_now().await;
            }
        }
        let heard = waiting.await.map_err(|e| e.to_string());
        assert_eq!(heard, Ok((Call::Tick(7), Call::Repeat)));
    }
}
