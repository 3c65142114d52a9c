//! What a source that wraps another one read of it, and what it gave out instead: the inner one is told
//! of what it gave when all that was given out for it is durable.

use relays::source::Source;
use std::collections::VecDeque;

/// Counts since the last connection.
#[derive(Debug, Default)]
pub struct Ledger {
    /// These three count the events read, those given out for them, and those of the latter that are durable.
    read: u64,
    given: u64,
    confirmed: u64,
    /// (given, read) after each read that is not confirmed.
    reads: VecDeque<(u64, u64)>,
}

impl Ledger {
    /// So many events were read, and so many given out for them.
    pub fn note(&mut self, read: u64, given: u64) {
        self.read += read;
        self.given += given;
        self.reads.push_back((self.given, self.read));
    }

    /// So many of what was given out are durable.
    pub fn confirm(&mut self, events: u64, inner: &mut impl Source) {
        self.confirmed = events;
        self.settle(inner);
    }

    /// Confirms the reads of which everything given out is durable: for one that gave nothing out,
    /// that is at once.
    pub fn settle(&mut self, inner: &mut impl Source) {
        while let Some((given, read)) = self.reads.front().copied() {
            if given > self.confirmed {
                return;
            }
            inner.confirm(read);
            self.reads.pop_front();
        }
    }
}
