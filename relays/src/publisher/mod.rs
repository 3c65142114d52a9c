//! Where events go to. A publisher knows no database.

pub mod alone;
pub mod invalidating;

use crate::persistence::Persistence;
use crate::source::Event;
use std::future::Future;
use std::time::Duration;
use thiserror::Error;

/// Why publishing cannot go on, in words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{doing}: {reason}")]
pub struct PublishError {
    /// What was being done.
    pub doing: String,
    /// Why it failed, and what to do about it.
    pub reason: String,
    /// Deliveries known to have failed (0: none was attempted).
    pub failed: u64,
    /// Whether the cache failed that is invalidated beside the publishing; the broker otherwise.
    pub is_of_cache: bool,
}

/// What became of an event that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// It has the next position; its delivery is under way.
    Taken,
    /// There is no room now. Offer it again after progress.
    Full,
}

/// What became of an event that was taken, as the broker's client reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// This is the event's position, counted from 0 as [`Publisher`] says.
    pub position: u64,
    /// This is when the client reported it, on CLOCK_MONOTONIC, in nanoseconds.
    pub at_ns: u64,
    /// The offset it has (or [`crate::trace::NO_OFFSET`]); or else whether it may have one all the same.
    pub fate: Result<u64, Persistence>,
}

/// A broker's producer, as the pump needs it.
///
/// Events get positions 0, 1, 2, ... in the order they are taken, starting anew with each
/// [`Publisher::connect`] that follows an [`Publisher::abandon`]. Within one key the broker appends
/// them in that order or not at all: an implementation that cannot promise it must fail instead.
pub trait Publisher {
    /// Connects if it is not connected; returns when the destination is known to accept events.
    /// Bounded in time; may be called again after a failure.
    fn connect(&mut self) -> impl Future<Output = Result<(), PublishError>>;

    /// Hands one event over; never blocks.
    fn offer(&mut self, event: &Event<'_>) -> Result<Offer, PublishError>;

    /// Number of events taken since the connection was made.
    fn taken(&self) -> u64;

    /// How many of the first events taken are durable without a gap; the error once any delivery
    /// failed. It is an error for good: then only [`Publisher::abandon`] helps.
    fn durable(&mut self) -> Result<u64, PublishError>;

    /// As [`Publisher::durable`], whatever has failed: what is durable stays so.
    fn durable_despite_failure(&mut self) -> u64;

    /// How many deliveries were reported since the connection was made, of whatever event and with
    /// whatever result. While this grows, the link is slow at worst.
    fn reported(&self) -> u64;

    /// How long the next report may stay away with what is in flight now, before the link must be
    /// taken for dead: longer than a slow link needs.
    fn patience(&self) -> Duration;

    /// Returns why the broker takes nothing for now, where it has said so itself.
    fn held_up(&self) -> Option<String> {
        None
    }

    /// Gives, for a trace, `each` delivery that was reported since the last call: at least those
    /// of everything durable, in any order. A publisher may keep none of them.
    fn deliveries(&mut self, _each: impl FnMut(Delivery)) {}

    /// Tells, for a trace, how many of the first events taken are out of the cache that it invalidates; 0 where it has none.
    fn invalidated(&self) -> u64 {
        0
    }

    /// Waits until all deliveries in flight are reported, or so many that it is worth a look, or
    /// one failed. Cancel-safe.
    fn progress(&self) -> impl Future<Output = ()>;

    /// A loss of contact that has not failed any delivery so far, if there was one since the last
    /// call.
    fn trouble(&mut self) -> Option<String>;

    /// Gives up everything in flight and the connection with it. When this returns, nothing of it
    /// is sent any more; what had been sent before may still arrive, in order.
    fn abandon(&mut self) -> impl Future<Output = ()>;
}
