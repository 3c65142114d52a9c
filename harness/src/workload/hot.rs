//! The orders whose changes were sent last: of these reads are made, since what changes is what can be stale.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// So many changes back a read looks at most.
const KEPT: usize = 64;

/// These are the orders of the changes that were sent last, newest last.
#[derive(Debug)]
pub(super) struct HotOrders {
    sent: AtomicU64,
    orders: [AtomicU32; KEPT],
}

impl HotOrders {
    /// Nothing was sent yet.
    pub fn new() -> Self {
        Self {
            sent: AtomicU64::new(0),
            orders: [const { AtomicU32::new(0) }; KEPT],
        }
    }

    /// A change of this order is about to be sent.
    pub fn note(&self, order: u32) {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        self.orders[number as usize % KEPT].store(order, Ordering::Relaxed);
    }

    /// Returns the order that a draw from 0..1 falls on; the first one of all, before anything was sent.
    pub fn pick(&self, draw: f64) -> u32 {
        let sent = self.sent.load(Ordering::Relaxed);
        let known = sent.min(KEPT as u64);
        let Some(last) = known.checked_sub(1) else {
            return 0;
        };
        let back = ((draw * known as f64) as u64).min(last);
        let number = sent - 1 - back;
        self.orders[number as usize % KEPT].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn given_nothing_that_was_sent_when_an_order_is_picked_then_it_is_the_first() {
        assert_eq!(HotOrders::new().pick(0.99), 0);
    }

    proptest! {
        /// As of a list from which the last few are drawn.
        #[test]
        fn given_orders_when_one_is_picked_then_it_is_one_of_the_last(
            orders in prop::collection::vec(any::<u32>(), 1..300), draw in 0.0f64..1.0
        ) {
            let hot = HotOrders::new();
            orders.iter().for_each(|order| hot.note(*order));
            let last: Vec<u32> = orders.iter().rev().take(KEPT).copied().collect();
            let wanted = last[(draw * last.len() as f64) as usize];
            prop_assert_eq!(hot.pick(draw), wanted);
        }
    }
}
