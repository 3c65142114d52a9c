//! Which rows of the outbox were read, which of them are durable elsewhere, and which of those are out of the way.

use std::collections::VecDeque;
use std::fmt::Write;

/// See the module. Events are counted as [`crate::source::Source`] has it.
#[derive(Debug, Default)]
pub(super) struct ReadRows {
    /// The rows that were read and are not confirmed, by their `seq`.
    on_their_way: VecDeque<i64>,
    /// The rows that are confirmed, and have to be deleted or marked.
    durable: Vec<i64>,
    /// So many events are confirmed since the count began.
    confirmed: u64,
    /// So many rows were deleted or marked, ever.
    settled: u64,
}

impl ReadRows {
    /// The next row was read.
    pub fn took(&mut self, seq: i64) {
        self.on_their_way.push_back(seq);
    }

    /// The first `events` events are durable.
    pub fn confirm(&mut self, events: u64) {
        while self.confirmed < events
            && let Some(seq) = self.on_their_way.pop_front()
        {
            self.durable.push(seq);
            self.confirmed += 1;
        }
    }

    /// Whether nothing was read that is not confirmed.
    pub fn is_all_confirmed(&self) -> bool {
        self.on_their_way.is_empty()
    }

    /// Whether some rows have to be deleted or marked.
    pub fn is_due(&self) -> bool {
        !self.durable.is_empty()
    }

    /// Returns this statement for each row that has to be deleted or marked, one after the other; `None` where there are
    /// none. A list in one statement the server may answer by looking at the whole table, and then it waits for every row
    /// that is not committed yet; one number it always looks up.
    pub fn each_due(&self, statement: &str) -> Option<String> {
        let mut sql = String::new();
        for seq in &self.durable {
            // A string takes whatever is written into it.
            let _ = write!(sql, "{statement} WHERE seq = {seq}; ");
        }
        self.is_due().then_some(sql)
    }

    /// All that was due is done.
    pub fn done(&mut self) {
        self.settled += self.durable.len() as u64;
        self.durable.clear();
    }

    /// How many rows were deleted or marked.
    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// Forgets what was read and is not confirmed: it is read again. The count begins anew.
    pub fn rewind(&mut self) {
        self.on_their_way.clear();
        self.confirmed = 0;
    }

    /// A new session begins, which reads what it finds, whatever this one remembers: another relay may have been here
    /// meanwhile, or a server that crashed has other rows under these numbers.
    pub fn restart(&mut self) {
        self.rewind();
        self.durable.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum ReadStep {
        Read(u8),
        Confirm(u8),
        Done,
        Rewind,
        Restart,
    }

    fn steps() -> impl Strategy<Value = Vec<ReadStep>> {
        let step = prop_oneof![
            (0_u8..5).prop_map(ReadStep::Read),
            (0_u8..5).prop_map(ReadStep::Confirm),
            Just(ReadStep::Done),
            Just(ReadStep::Rewind),
            Just(ReadStep::Restart),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// Against lists of everything: what is due was confirmed, each row once, and nothing else.
        #[test]
        fn given_any_steps_then_it_agrees_with_a_slow_model(steps in steps()) {
            let mut rows = ReadRows::default();
            let (mut next, mut read, mut durable, mut settled) = (0_i64, Vec::new(), Vec::new(), 0);
            let mut confirmed = 0;
            for step in steps {
                match step {
                    ReadStep::Read(more) => for _ in 0..more {
                        next += 7;
                        rows.took(next);
                        read.push(next);
                    },
                    ReadStep::Confirm(more) => {
                        let more = usize::from(more).min(read.len());
                        confirmed += more as u64;
                        durable.extend(read.drain(..more));
                        rows.confirm(confirmed);
                    }
                    ReadStep::Done => {
                        rows.done();
                        settled += durable.len() as u64;
                        durable.clear();
                    }
                    ReadStep::Rewind | ReadStep::Restart => {
                        (read, confirmed) = (Vec::new(), 0);
                        if let ReadStep::Restart = step {
                            durable.clear();
                            rows.restart();
                        } else {
                            rows.rewind();
                        }
                    }
                }
                let each: String = durable.iter().map(|seq| format!("X WHERE seq = {seq}; ")).collect();
                prop_assert_eq!(rows.each_due("X"), rows.is_due().then_some(each));
                prop_assert_eq!(rows.is_due(), !durable.is_empty());
                prop_assert_eq!((rows.settled(), rows.is_all_confirmed()), (settled, read.is_empty()));
            }
        }
    }
}
