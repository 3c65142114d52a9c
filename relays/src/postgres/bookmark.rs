//! How far a reader of events has come: what it has read, what of that is durable elsewhere, and what of that is
//! kept where its successor finds it.

use std::collections::VecDeque;

/// This is the place of an event among all: first by the transaction that appended it, then by its number. Whatever
/// shows later is behind every place below the oldest transaction that was running.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// This is the id of the transaction.
    pub xid: u64,
    /// This is the number of the event.
    pub seq: i64,
}

/// See the module. Events are counted as [`super::Source`] has it.
#[derive(Debug, Default)]
pub(super) struct Bookmark {
    /// The next event to be read is the first behind this.
    read: Place,
    /// The events that were read and are not confirmed.
    on_their_way: VecDeque<Place>,
    /// The first events since the count began of which this many are confirmed, the last of them here.
    confirmed: u64,
    durable: Place,
    /// What is kept, and how many events are confirmed that are not behind it.
    kept: Place,
    settled: u64,
    /// Events that were confirmed before the count began.
    confirmed_before: u64,
}

impl Bookmark {
    /// A new session begins, which found this kept, and reads on behind that whatever this one remembers: what the
    /// server had answered may be undone (it crashed, and its commits wait for no disk; or another one has taken its
    /// place), and then other events have the places that were read.
    pub fn resume(&mut self, kept: Place) {
        (self.kept, self.durable) = (kept, kept);
        self.rewind();
        self.confirmed_before = self.settled;
    }

    /// Forgets what was read and is not confirmed: it is read again. The count begins anew.
    pub fn rewind(&mut self) {
        self.on_their_way.clear();
        self.read = self.durable;
        self.confirmed_before += self.confirmed;
        self.confirmed = 0;
    }

    /// Where to read on.
    pub fn read(&self) -> Place {
        self.read
    }

    /// The next event was read, at this place.
    pub fn took(&mut self, place: Place) {
        self.read = place;
        self.on_their_way.push_back(place);
    }

    /// The first `events` events are durable.
    pub fn confirm(&mut self, events: u64) {
        while self.confirmed < events
            && let Some(place) = self.on_their_way.pop_front()
        {
            self.durable = place;
            self.confirmed += 1;
        }
    }

    /// What is to be kept, if it is not yet.
    pub fn due(&self) -> Option<Place> {
        (self.durable > self.kept).then_some(self.durable)
    }

    /// Everything up to this place, which was due, is kept by now.
    pub fn keep(&mut self, place: Place) {
        self.kept = place;
        if place == self.durable {
            self.settled = self.confirmed_before + self.confirmed;
        }
    }

    /// How many events, since this was made, are not behind what is kept.
    pub fn settled(&self) -> u64 {
        self.settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two events a transaction, and numbers that fall from one transaction to the next.
    fn place(n: u64) -> Place {
        place_by(&[9, 7, 8, 3, 1], n)
    }

    /// Two events a transaction, with the numbers that it drew: they say nothing of where it is among the others.
    fn place_by(draws: &[i64], n: u64) -> Place {
        let (transaction, nth) = (n / 2, n % 2);
        let drawn = draws[transaction as usize % draws.len()];
        Place {
            xid: 100 + transaction,
            seq: 2 * drawn + nth as i64,
        }
    }

    #[test]
    fn given_a_new_session_when_its_predecessor_had_more_confirmed_than_it_finds_kept_then_it_reads_on_behind_what_is_kept()
     {
        let mut bookmark = Bookmark::default();
        bookmark.resume(place(3));
        for n in 4..=6 {
            bookmark.took(place(n));
        }
        bookmark.confirm(2);
        bookmark.resume(place(3));
        assert_eq!((bookmark.read(), bookmark.due()), (place(3), None));
        // And counts what is confirmed from there on
        bookmark.took(place(4));
        bookmark.confirm(1);
        bookmark.keep(place(4));
        assert_eq!(bookmark.settled(), 1);
        // And behind what another relay has kept meanwhile
        bookmark.resume(place(9));
        assert_eq!((bookmark.read(), bookmark.due()), (place(9), None));
    }

    #[derive(Debug, Clone)]
    enum BookmarkStep {
        Read(u8),
        Confirm(u8),
        Keep,
        Rewind,
        Restart,
    }

    fn steps() -> impl Strategy<Value = Vec<BookmarkStep>> {
        let step = prop_oneof![
            (0_u8..5).prop_map(BookmarkStep::Read),
            (0_u8..5).prop_map(BookmarkStep::Confirm),
            Just(BookmarkStep::Keep),
            Just(BookmarkStep::Rewind),
            Just(BookmarkStep::Restart),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// Against three numbers: whatever is read, confirmed, kept and forgotten in whatever order, what is kept is
        /// durable, and what is not durable is read again.
        #[test]
        fn given_any_steps_then_it_agrees_with_a_slow_model(
            steps in steps(),
            draws in prop::collection::vec(0_i64..50, 1..400),
        ) {
            let mut bookmark = Bookmark::default();
            // The events are numbered from 1; so many were read, are durable, are kept.
            let (mut read, mut durable, mut kept) = (0_u64, 0_u64, 0_u64);
            let mut count_from = 0;
            let at = |n: u64| if n == 0 { Place::default() } else { place_by(&draws, n) };
            for step in steps {
                match step {
                    BookmarkStep::Read(more) => for _ in 0..more {
                        read += 1;
                        bookmark.took(at(read));
                    },
                    BookmarkStep::Confirm(more) => {
                        durable = (durable + u64::from(more)).min(read);
                        bookmark.confirm(durable - count_from);
                    }
                    BookmarkStep::Keep => if let Some(due) = bookmark.due() {
                        bookmark.keep(due);
                        kept = durable;
                    },
                    BookmarkStep::Rewind => {
                        bookmark.rewind();
                        (read, count_from) = (durable, durable);
                    }
                    BookmarkStep::Restart => {
                        bookmark.resume(at(kept));
                        (read, durable, count_from) = (kept, kept, kept);
                    }
                }
                prop_assert_eq!(bookmark.read(), at(read));
                let due = (kept < durable).then_some(at(durable));
                prop_assert_eq!(bookmark.due(), due);
                prop_assert_eq!(bookmark.settled(), kept);
            }
        }
    }
}
