//! How many deliveries were reported, and a wait until they are enough to be worth a look.
//!
//! One writer thread (the producer's callback) counts, one reader (the pump) waits. A report that
//! nobody waits for costs an addition and a load: to wake the pump for each of thousands would cost
//! both threads more than the delivery did.

use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// Counts reports of one connection, from 0.
#[derive(Debug, Default)]
pub struct Reports {
    count: AtomicU64,
    /// The count that the reader waits for.
    awaited: AtomicU64,
    changed: Notify,
}

impl Reports {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Counts one more report, and wakes the reader if the count that it waits for is reached.
    pub fn add(&self) {
        // In one order with the other side's store and load: whichever comes second sees the first.
        let count = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        if count >= self.awaited.load(Ordering::SeqCst) {
            self.changed.notify_one();
        }
    }

    /// Ends the wait, whatever it is for: something else is to be looked at.
    pub fn disturb(&self) {
        self.changed.notify_one();
    }

    /// Waits until there were so many, or something else is to be looked at; may end early. At most
    /// one waits at a time. Cancel-safe.
    pub async fn reach(&self, count: u64) {
        self.awaited.store(count, Ordering::SeqCst);
        if self.count() < count {
            self.changed.notified().await;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::time::timeout;

    /// A wait that never ends is a lost wake-up.
    const FOR_EVER: Duration = Duration::from_secs(60);

    #[test]
    fn given_reports_from_another_thread_when_some_are_awaited_then_no_wake_up_is_lost() {
        const ROUNDS: u64 = 20_000;
        let reports = Arc::new(Reports::default());
        let (ask, asked) = std::sync::mpsc::channel::<u64>();
        let writer = {
            let reports = Arc::clone(&reports);
            std::thread::spawn(move || {
                for more in asked {
                    (0..more).for_each(|_| reports.add());
                }
            })
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut wanted = 0;
            for round in 0..ROUNDS {
                let more = 1 + round % 7;
                wanted += more;
                ask.send(more).unwrap();
                while reports.count() < wanted {
                    timeout(FOR_EVER, reports.reach(wanted)).await.unwrap();
                }
            }
        });
        drop(ask);
        writer.join().unwrap();
    }

    #[tokio::test]
    async fn given_a_wait_when_too_few_are_reported_then_it_goes_on_and_a_disturbance_ends_it() {
        let reports = Reports::default();
        let mut wait = Box::pin(reports.reach(3));
        assert!(futures::poll!(&mut wait).is_pending());
        reports.add();
        reports.add();
        assert!(futures::poll!(&mut wait).is_pending());
        reports.disturb();
        assert!(futures::poll!(&mut wait).is_ready());
        // And what was awaited may be there before anybody waits
        reports.add();
        assert!(futures::poll!(Box::pin(reports.reach(3))).is_ready());
    }
}
