//! Which position in the write-ahead log may be acknowledged, from how many events are durable.

use std::collections::VecDeque;

/// These are positions in the write-ahead log that wait for the events before them.
///
/// A position is reached when everything the stream sent before it has been read; it may be
/// acknowledged when as many events are durable as had been read by then. Transactions without
/// events of ours, and the server's notes of how far it is, are positions like any other: so an
/// idle slot does not hold the log back. At most one position is kept for each number of events,
/// so there are never more of them than events in flight, plus one.
#[derive(Debug, Default)]
pub(super) struct Positions {
    read: u64,
    durable: u64,
    in_transaction: bool,
    /// Each entry is (events read before the position, the position, an LSN); both strictly increase.
    waiting: VecDeque<(u64, u64)>,
    acknowledged: u64,
    /// Events before what may be acknowledged: since the last restart, and before it.
    settled: u64,
    settled_before: u64,
}

impl Positions {
    /// What may be acknowledged: never goes back.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// How many events, restarts or not, were read before what may be acknowledged.
    pub(super) fn settled(&self) -> u64 {
        self.settled_before + self.settled
    }

    /// Whether the end of a transaction is still to come.
    pub(super) fn is_within_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Whether nothing was read that is not in a position which may be acknowledged.
    pub(super) fn is_all_confirmed(&self) -> bool {
        !self.in_transaction && self.read <= self.durable
    }

    /// Notes that a transaction begins: what the server says it has sent does not count until the commit is read.
    pub(super) fn begin(&mut self) {
        self.in_transaction = true;
    }

    /// An event of it was read.
    pub(super) fn event(&mut self) {
        self.read += 1;
    }

    /// It was read to its end, which is at `position`.
    pub(super) fn commit(&mut self, position: u64) {
        self.in_transaction = false;
        self.reached(position);
    }

    /// The server has sent everything up to `position`.
    pub(super) fn sent_up_to(&mut self, position: u64) {
        // Within a transaction that is a position before its end; its commit will do.
        if !self.in_transaction {
            self.reached(position);
        }
    }

    fn reached(&mut self, position: u64) {
        match self.waiting.back_mut() {
            Some((_, last)) if *last >= position => return,
            Some((read, last)) if *read == self.read => *last = position,
            _ => self.waiting.push_back((self.read, position)),
        }
        self.settle();
    }

    /// The first `events` events are durable.
    pub(super) fn confirm(&mut self, events: u64) {
        self.durable = self.durable.max(events);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some((read, position)) = self.waiting.front().copied() {
            if read > self.durable {
                return;
            }
            self.acknowledged = self.acknowledged.max(position);
            self.settled = read;
            self.waiting.pop_front();
        }
    }

    /// The stream begins again after what was acknowledged; events are counted anew.
    pub(super) fn restart(&mut self) {
        *self = Self {
            acknowledged: self.acknowledged,
            settled_before: self.settled(),
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same, slow and obvious: everything ever read, in order.
    #[derive(Default)]
    struct PositionsModel {
        read: Vec<Entry>,
        durable: u64,
    }

    #[derive(Clone, Copy)]
    enum Entry {
        Event,
        Position(u64),
    }

    impl PositionsModel {
        /// The highest position before the first event that is not durable, and the events before
        /// it.
        fn acknowledged(&self) -> (u64, u64) {
            let (mut events, mut acknowledged) = (0, (0, 0));
            for entry in &self.read {
                match entry {
                    Entry::Event => events += 1,
                    Entry::Position(position) if events <= self.durable => {
                        acknowledged = (*position, events);
                    }
                    Entry::Position(_) => break,
                }
            }
            acknowledged
        }

        fn events(&self) -> u64 {
            self.read
                .iter()
                .filter(|e| matches!(e, Entry::Event))
                .count() as u64
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Transaction(u8),
        KeepAlive,
        KeepAliveWithin,
        Durable(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0u8..4).prop_map(Step::Transaction),
            Just(Step::KeepAlive),
            Just(Step::KeepAliveWithin),
            (0u8..8).prop_map(Step::Durable),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn agrees_with_a_slow_model(steps in steps()) {
            let (mut positions, mut model) = (Positions::default(), PositionsModel::default());
            let mut lsn = 100;
            for step in steps {
                lsn += 10;
                match step {
                    Step::Transaction(events) => {
                        positions.begin();
                        for _ in 0..events {
                            positions.event();
                            model.read.push(Entry::Event);
                        }
                        positions.commit(lsn);
                        model.read.push(Entry::Position(lsn));
                    }
                    Step::KeepAlive => {
                        positions.sent_up_to(lsn);
                        model.read.push(Entry::Position(lsn));
                    }
                    Step::KeepAliveWithin => {
                        positions.begin();
                        positions.event();
                        model.read.push(Entry::Event);
                        positions.sent_up_to(lsn);
                        positions.commit(lsn + 1);
                        model.read.push(Entry::Position(lsn + 1));
                    }
                    Step::Durable(more) => {
                        model.durable = (model.durable + u64::from(more)).min(model.events());
                        positions.confirm(model.durable);
                    }
                }
                let acknowledged = (positions.acknowledged(), positions.settled());
                prop_assert_eq!(acknowledged, model.acknowledged());
                prop_assert!(positions.waiting.len() as u64 <= model.events() - model.durable + 1);
            }
        }
    }

    #[test]
    fn a_restart_keeps_what_was_acknowledged_and_counts_anew() {
        let mut positions = Positions::default();
        positions.begin();
        positions.event();
        positions.commit(10);
        positions.confirm(1);
        positions.begin();
        positions.event();
        positions.commit(20);
        positions.restart();
        assert_eq!((positions.acknowledged(), positions.settled()), (10, 1));
        positions.begin();
        positions.event();
        positions.commit(20);
        assert_eq!(positions.acknowledged(), 10);
        positions.confirm(1);
        assert_eq!((positions.acknowledged(), positions.settled()), (20, 2));
    }
}
