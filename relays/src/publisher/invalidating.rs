//! A publisher that also takes each event's order out of a cache. An event counts as durable when both is done, so a relay
//! confirms to its source what was published and invalidated, and no invalidation is ever lost: what either side has
//! not done is done again by the next session.
//!
//! Both go on side by side. The change is committed before its event is here, so the order of the two does not matter.

use super::{Delivery, Offer, PublishError, Publisher};
use crate::cache::{CacheError, Invalidations};
use crate::source::Event;
use std::time::Duration;

/// So many invalidations are not done at most.
const IN_FLIGHT_MAX: u64 = 10_240;

/// Publishes by `P`, and invalidates by `C`.
pub struct InvalidatingPublisher<P, C> {
    publisher: P,
    cache: C,
    /// So many events were taken since both sides' counts began.
    taken: u64,
}

impl<P: Publisher, C: Invalidations> InvalidatingPublisher<P, C> {
    /// Nothing is connected yet.
    pub fn new(publisher: P, cache: C) -> Self {
        Self {
            publisher,
            cache,
            taken: 0,
        }
    }

    fn failed(&self, error: CacheError) -> PublishError {
        PublishError {
            doing: error.doing,
            reason: error.reason,
            failed: self.taken - self.cache.done().min(self.taken),
            is_of_cache: true,
        }
    }
}

impl<P: Publisher, C: Invalidations> Publisher for InvalidatingPublisher<P, C> {
    async fn connect(&mut self) -> Result<(), PublishError> {
        // First: where it cannot be reached nothing is published that would be published again.
        let reached = self.cache.connect().await;
        reached.map_err(|error| self.failed(error))?;
        self.publisher.connect().await?;
        if self.publisher.taken() != self.taken {
            // It began to count anew by itself, which it does only while nothing is in flight.
            self.cache.abandon();
            self.taken = self.publisher.taken();
            let reached = self.cache.connect().await;
            reached.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    fn offer(&mut self, event: &Event<'_>) -> Result<Offer, PublishError> {
        if self.taken >= self.cache.done() + IN_FLIGHT_MAX {
            return Ok(Offer::Full);
        }
        let offer = self.publisher.offer(event)?;
        match offer {
            Offer::Taken => {
                self.cache.ask(event.key, event.version);
                self.taken += 1;
            }
            Offer::Full => {}
        }
        Ok(offer)
    }

    fn taken(&self) -> u64 {
        self.taken
    }

    fn durable(&mut self) -> Result<u64, PublishError> {
        if let Some(error) = self.cache.failure() {
            return Err(self.failed(error));
        }
        let published = self.publisher.durable()?;
        Ok(published.min(self.cache.done()))
    }

    fn durable_despite_failure(&mut self) -> u64 {
        let published = self.publisher.durable_despite_failure();
        published.min(self.cache.done())
    }

    fn reported(&self) -> u64 {
        self.publisher.reported() + self.cache.done()
    }

    fn patience(&self) -> Duration {
        self.publisher.patience()
    }

    fn deliveries(&mut self, each: impl FnMut(Delivery)) {
        self.publisher.deliveries(each);
    }

    fn invalidated(&self) -> u64 {
        self.cache.done()
    }

    async fn progress(&self) {
        // A side that has nothing to wait for would end the wait at once, again and again, while the other is late.
        let published = self.publisher.reported() >= self.taken;
        let invalidated = self.cache.done() >= self.taken;
        match (published, invalidated) {
            (true, false) => self.cache.progress().await,
            (false, true) | (true, true) => self.publisher.progress().await,
            (false, false) => tokio::select! {
                () = self.publisher.progress() => {}
                () = self.cache.progress() => {}
            },
        }
    }

    fn held_up(&self) -> Option<String> {
        self.publisher.held_up()
    }

    fn trouble(&mut self) -> Option<String> {
        self.publisher.trouble()
    }

    async fn abandon(&mut self) {
        self.cache.abandon();
        self.taken = 0;
        self.publisher.abandon().await;
    }
}

#[cfg(test)]
mod tests;
