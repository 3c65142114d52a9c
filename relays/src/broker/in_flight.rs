//! How many bytes of a connection's events are in flight.

/// The sizes of the events, by their positions in a ring.
#[derive(Debug)]
pub(super) struct InFlight {
    sizes: Box<[u32]>,
    bytes: u64,
    /// This is the size in bytes of the largest event that was taken since positions began at 0.
    largest: u32,
}

impl InFlight {
    /// Has room for so many events.
    pub(super) fn new(capacity: u64) -> Self {
        Self {
            sizes: (0..capacity).map(|_| 0).collect(),
            bytes: 0,
            largest: 0,
        }
    }

    fn index(&self, position: u64) -> usize {
        (position % self.sizes.len() as u64) as usize
    }

    /// Takes an event of so many bytes.
    pub(super) fn takes(&mut self, position: u64, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let index = self.index(position);
        self.sizes[index] = bytes;
        self.bytes += u64::from(bytes);
        self.largest = self.largest.max(bytes);
    }

    /// Lets go of these, which must be in flight.
    pub(super) fn settles(&mut self, positions: std::ops::Range<u64>) {
        for position in positions {
            self.bytes -= u64::from(self.sizes[self.index(position)]);
        }
    }

    /// Forgets everything: positions begin at 0 again.
    pub(super) fn clear(&mut self) {
        (self.bytes, self.largest) = (0, 0);
    }

    /// Returns how many bytes are in flight.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the bytes that must be across before the next report, where one comes at the latest after so many, or
    /// after the one event that is larger.
    pub(super) fn outstanding(&self, reported_after_bytes: u32) -> u64 {
        self.bytes
            .min(u64::from(self.largest.max(reported_after_bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH_BYTES: u32 = 500_000;

    #[test]
    fn given_events_of_any_size_when_a_prefix_settles_then_the_rest_is_in_flight() {
        let mut in_flight = InFlight::new(64);
        let mut settled = 0;
        for position in 0..1_000_u64 {
            in_flight.takes(position, 10_000 + position as usize);
            if position % 60 == 59 {
                in_flight.settles(settled..position);
                settled = position;
                assert_eq!(in_flight.bytes, 10_000 + position);
            }
        }
        in_flight.settles(settled..1_000);
        assert_eq!(
            (in_flight.bytes, in_flight.outstanding(BATCH_BYTES)),
            (0, 0)
        );
        in_flight.takes(1_000, 600_000);
        in_flight.takes(1_001, 600_000);
        assert_eq!(in_flight.outstanding(BATCH_BYTES), 600_000);
    }
}
