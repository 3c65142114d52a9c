//! The longest prefix of a sequence without a gap, from completions in any order.
//!
//! One writer thread (the producer's callback) marks, one reader (the pump) advances. A bit an
//! event in a ring: no lock and no allocation per event.

use std::sync::atomic::{AtomicU64, Ordering};

/// This is a ring of completion bits, shared between the marking and the advancing side.
///
/// At most [`CompletionRing::capacity`] positions from the reader's may be outstanding: whoever
/// hands out positions sees to that.
#[derive(Debug)]
pub struct CompletionRing {
    words: Box<[AtomicU64]>,
}

impl CompletionRing {
    /// Makes a ring for `capacity` positions in flight, rounded up to a multiple of 64.
    pub fn new(capacity: usize) -> Self {
        let words = capacity.max(1).div_ceil(64);
        Self {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Positions that may be outstanding at once.
    pub fn capacity(&self) -> u64 {
        self.words.len() as u64 * 64
    }

    fn word(&self, position: u64) -> &AtomicU64 {
        &self.words[(position / 64) as usize % self.words.len()]
    }

    /// Marks one position as complete.
    pub fn mark(&self, position: u64) {
        self.word(position)
            .fetch_or(1 << (position % 64), Ordering::Release);
    }

    /// The first position at or after `from` that is not complete. Clears what it passes, so that
    /// the ring can be used again: positions below the result are free.
    pub fn advance(&self, mut from: u64) -> u64 {
        loop {
            let word = self.word(from);
            let offset = from % 64;
            let complete = (word.load(Ordering::Acquire) >> offset).trailing_ones() as u64;
            if complete == 0 {
                return from;
            }
            let run = u64::MAX >> (64 - complete);
            word.fetch_and(!(run << offset), Ordering::Relaxed);
            from += complete;
            if offset + complete < 64 {
                return from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// The same, slow and obvious.
    #[derive(Default)]
    struct PrefixModel {
        complete: BTreeSet<u64>,
    }

    impl PrefixModel {
        fn advance(&self, mut from: u64) -> u64 {
            while self.complete.contains(&from) {
                from += 1;
            }
            from
        }
    }

    proptest! {
        /// Given positions handed out in order and completed in any order, the prefix is the
        /// model's after each step, over many turns of the ring.
        #[test]
        fn agrees_with_a_slow_model(
            capacity in 1usize..200,
            picks in prop::collection::vec((any::<u16>(), any::<bool>()), 1..1500),
        ) {
            let ring = CompletionRing::new(capacity);
            let mut model = PrefixModel::default();
            let (mut handed_out, mut durable) = (0u64, 0u64);
            let mut outstanding: Vec<u64> = Vec::new();
            for (pick, look) in picks {
                while handed_out < durable + ring.capacity() && handed_out < durable + 150 {
                    outstanding.push(handed_out);
                    handed_out += 1;
                }
                if !outstanding.is_empty() {
                    // Mostly near the front, as brokers do, so that the prefix moves.
                    let at = (pick as usize % 7).min(outstanding.len() - 1);
                    let position = outstanding.remove(at);
                    ring.mark(position);
                    model.complete.insert(position);
                }
                if look {
                    let next = ring.advance(durable);
                    prop_assert_eq!(next, model.advance(durable));
                    durable = next;
                }
            }
            for position in outstanding {
                ring.mark(position);
            }
            prop_assert_eq!(ring.advance(durable), handed_out);
        }
    }

    #[test]
    fn a_full_ring_is_passed_in_one_go_and_comes_back_empty() {
        let ring = CompletionRing::new(128);
        for position in 0..128 {
            ring.mark(position);
        }
        assert_eq!(ring.advance(0), 128);
        assert_eq!(ring.advance(128), 128);
    }

    #[test]
    fn nothing_is_lost_between_two_threads() {
        let ring = std::sync::Arc::new(CompletionRing::new(256));
        let advanced = std::sync::Arc::new(AtomicU64::new(0));
        let writer = {
            let (ring, advanced) = (ring.clone(), advanced.clone());
            std::thread::spawn(move || {
                for position in 0..100_000u64 {
                    while position >= advanced.load(Ordering::Acquire) + ring.capacity() {
                        std::thread::yield_now();
                    }
                    ring.mark(position);
                }
            })
        };
        let mut prefix = 0;
        while prefix < 100_000 {
            prefix = ring.advance(prefix);
            advanced.store(prefix, Ordering::Release);
        }
        assert!(writer.join().is_ok());
    }
}
