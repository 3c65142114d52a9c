//! Which change is sent next: orders that wait for their next change, and changes to repeat.

use super::choices::Choices;
use crate::history::{Intent, Outcome};
use std::sync::atomic::{AtomicU32, Ordering};

/// This is an order as far as its client knows it. It is in one place at a time (with a worker, or waiting here), so
/// that a change is sent only after the answer to the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    /// This is the order's number, from 0; its id is derived from it.
    pub index: u32,
    /// The newest version the client was told; 0 before the first.
    pub version: u32,
    /// Changes it may still go through.
    pub left: u32,
}

/// This is a change about to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub order: Order,
    pub number: u32,
    pub intent: Intent,
    /// Earlier attempts whose outcome is unknown.
    pub repeats: u32,
    /// This is when it is meant to be sent, in ns of run time.
    pub intended_ns: i64,
}

/// This is what follows from an attempt's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The order waits for its next change, or has none left.
    Settled,
    /// The same change is to be sent again after a pause.
    Repeat,
}

/// These are the orders and changes that wait. The queues are lock-free; an order is only opened when none waits, so
/// they hold at most one order a connection, and one for each pause of a retry.
pub(super) struct Orders {
    choices: Choices,
    retries: u32,
    next_order: AtomicU32,
    next_change: AtomicU32,
    ready: Queue<Order>,
    repeats: Queue<Change>,
}

struct Queue<T> {
    push: async_channel::Sender<T>,
    pop: async_channel::Receiver<T>,
}

impl<T> Queue<T> {
    fn new() -> Self {
        let (push, pop) = async_channel::unbounded();
        Self { push, pop }
    }

    fn push(&self, value: T) {
        // Cannot fail: the queue is unbounded, and this very struct keeps it open.
        let _ = self.push.try_send(value);
    }

    fn pop(&self) -> Option<T> {
        self.pop.try_recv().ok()
    }
}

impl Orders {
    pub fn new(choices: Choices, retries: u32) -> Self {
        Self {
            choices,
            retries,
            next_order: AtomicU32::new(0),
            next_change: AtomicU32::new(0),
            ready: Queue::new(),
            repeats: Queue::new(),
        }
    }

    /// Returns the choices that the seed makes, e.g. what each change asks for.
    pub fn choices(&self) -> &Choices {
        &self.choices
    }

    /// Returns a change for a tick: of the order that has waited longest, else of a new one.
    pub fn change(&self, intended_ns: i64) -> Change {
        let order = self.ready.pop().unwrap_or_else(|| {
            let index = self.next_order.fetch_add(1, Ordering::Relaxed);
            Order {
                index,
                version: 0,
                left: self.choices.life(index),
            }
        });
        let number = self.next_change.fetch_add(1, Ordering::Relaxed);
        Change {
            order,
            number,
            intent: self.choices.intent(number),
            repeats: 0,
            intended_ns,
        }
    }

    /// A change whose pause before its repetition is over.
    pub fn repeated(&self) -> Option<Change> {
        self.repeats.pop()
    }

    /// The pause before the repetition of `change` is over; it was meant to start then.
    pub fn repeat(&self, change: Change, intended_ns: i64) {
        self.repeats.push(Change {
            repeats: change.repeats + 1,
            intended_ns,
            ..change
        });
    }

    /// Takes the order back after an attempt.
    pub fn answered(&self, change: &Change, outcome: Outcome, told_version: u32) -> Next {
        let mut order = change.order;
        // An earlier attempt may still commit, unless this one was told that the change has.
        let ambiguous = change.repeats > 0;
        match outcome {
            Outcome::Committed => {
                order.version = told_version;
                order.left = order.left.saturating_sub(1);
            }
            Outcome::Rejected if !ambiguous => order.left = order.left.saturating_sub(1),
            Outcome::NotSent if !ambiguous => {}
            // The change is settled, and what the order holds is not known: leave it alone.
            Outcome::Rejected => return Next::Settled,
            Outcome::NotSent | Outcome::Unknown if change.repeats < self.retries => {
                return Next::Repeat;
            }
            Outcome::NotSent | Outcome::Unknown => return Next::Settled,
        }
        if order.left > 0 {
            self.ready.push(order);
        }
        Next::Settled
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::workload;
    use super::*;
    use std::time::Duration;

    fn orders(changes_per_order: u32, retries: u32) -> Orders {
        let mut workload = workload(1.0, Duration::from_secs(1));
        workload.changes_per_order = changes_per_order;
        Orders::new(Choices::new(1, &workload), retries)
    }

    #[test]
    fn an_order_gets_its_next_change_after_its_answer_and_before_new_orders() {
        let orders = orders(2, 0);
        let first = orders.change(0);
        let second = orders.change(1);
        assert_eq!((first.order.index, second.order.index), (0, 1));
        orders.answered(&second, Outcome::Committed, 1);
        let third = orders.change(2);
        assert_eq!((third.order.index, third.order.version), (1, 1));
        assert_eq!(third.number, 2);
        orders.answered(&third, Outcome::Committed, 2);
        assert_eq!(
            orders.change(3).order.index,
            2,
            "both changes of order 1 are done"
        );
    }

    #[test]
    fn after_an_unknown_the_order_is_left_alone() {
        let orders = orders(5, 0);
        let change = orders.change(0);
        assert_eq!(orders.answered(&change, Outcome::Unknown, 0), Next::Settled);
        assert_eq!(orders.change(1).order.index, 1);
    }

    #[test]
    fn a_rejection_uses_up_a_change_and_not_sent_does_not() {
        let orders = orders(2, 0);
        orders.answered(&orders.change(0), Outcome::NotSent, 0);
        orders.answered(&orders.change(1), Outcome::Rejected, 0);
        let change = orders.change(2);
        assert_eq!(
            (change.order.index, change.order.version, change.order.left),
            (0, 0, 1)
        );
        orders.answered(&change, Outcome::Rejected, 0);
        assert_eq!(orders.change(3).order.index, 1);
    }

    #[test]
    fn a_repeated_change_keeps_its_number_and_gives_up_at_the_limit() {
        let orders = orders(2, 2);
        let mut change = orders.change(0);
        for repeats in 1..=2 {
            assert_eq!(orders.answered(&change, Outcome::Unknown, 0), Next::Repeat);
            orders.repeat(change, 50);
            let again = orders.repeated().unwrap();
            assert_eq!(
                (again.number, again.repeats, again.intended_ns),
                (0, repeats, 50)
            );
            change = again;
        }
        assert_eq!(orders.answered(&change, Outcome::Unknown, 0), Next::Settled);
        assert_eq!(orders.change(9).order.index, 1);
    }

    #[test]
    fn a_rejected_repetition_leaves_the_order_alone_and_a_committed_one_does_not() {
        let orders = orders(3, 1);
        for (outcome, usable) in [(Outcome::Rejected, false), (Outcome::Committed, true)] {
            let change = orders.change(0);
            orders.answered(&change, Outcome::Unknown, 0);
            orders.repeat(change, 1);
            let again = orders.repeated().unwrap();
            assert_eq!(orders.answered(&again, outcome, 1), Next::Settled);
            assert_eq!(orders.change(2).order.index == change.order.index, usable);
        }
    }
}
