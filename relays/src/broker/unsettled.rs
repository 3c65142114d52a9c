//! Which of the events that were sent are answered, and how far without a gap.

use std::collections::VecDeque;

/// The events of one connection, by position from 0 in the order in which they were taken.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    /// All before this one are durable.
    durable: u64,
    waiting: VecDeque<Sent>,
    bytes: u64,
    largest_bytes: u32,
}

#[derive(Debug)]
struct Sent {
    bytes: u32,
    is_durable: bool,
}

impl Unsettled {
    /// Takes an event of so many bytes.
    pub fn take(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.bytes += u64::from(bytes);
        self.largest_bytes = self.largest_bytes.max(bytes);
        self.waiting.push_back(Sent {
            bytes,
            is_durable: false,
        });
    }

    /// Notes that the event of this position is durable; false where none waits at this position.
    pub fn settle(&mut self, position: u64) -> bool {
        let waiting = position.checked_sub(self.durable);
        let waiting = waiting.and_then(|index| usize::try_from(index).ok());
        let Some(sent) = waiting.and_then(|index| self.waiting.get_mut(index)) else {
            return false;
        };
        let is_new = !std::mem::replace(&mut sent.is_durable, true);
        while let Some(sent) = self.waiting.pop_front_if(|first| first.is_durable) {
            self.bytes -= u64::from(sent.bytes);
            self.durable += 1;
        }
        is_new
    }

    /// How many of the first are durable without a gap.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// How many were taken.
    pub fn taken(&self) -> u64 {
        self.durable + self.waiting.len() as u64
    }

    /// How many were taken and are not part of what is durable without a gap.
    pub fn count(&self) -> usize {
        self.waiting.len()
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The size of the largest event that was ever taken, in bytes.
    pub fn largest_bytes(&self) -> u32 {
        self.largest_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// In whatever order answers come, some of them twice or to nothing, the prefix and the bytes are a slow model's.
        #[test]
        fn given_any_answers_then_the_prefix_is_a_slow_models(
            sizes in prop::collection::vec(0_usize..2_000, 1..80),
            answers in prop::collection::vec(0_u64..90, 0..200),
        ) {
            let mut in_flight = Unsettled::default();
            let mut settled = vec![false; sizes.len()];
            let mut taken = 0;
            for (turn, position) in answers.into_iter().enumerate() {
                if taken < sizes.len() && turn % 2 == 0 {
                    in_flight.take(sizes[taken]);
                    taken += 1;
                }
                let is_new = position < taken as u64 && !settled[position as usize];
                prop_assert_eq!(in_flight.settle(position), is_new);
                if is_new {
                    settled[position as usize] = true;
                }
                let durable = settled.iter().take_while(|settled| **settled).count();
                prop_assert_eq!(in_flight.durable(), durable as u64);
                prop_assert_eq!(in_flight.taken(), taken as u64);
                prop_assert_eq!(in_flight.count(), taken - durable);
                let bytes: usize = sizes[durable..taken].iter().sum();
                prop_assert_eq!(in_flight.bytes(), bytes as u64);
                let largest = sizes[..taken].iter().max().copied().unwrap_or(0);
                prop_assert_eq!(in_flight.largest_bytes() as usize, largest);
            }
        }
    }
}
