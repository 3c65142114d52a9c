//! What order service and relay write of each event's way through them, so that a verdict can be
//! explained: cheap, bounded, and off unless the configuration asks for it.
//!
//! Each life of a process writes a file of its own: a header, then a [`Step`] after the other, all
//! of them [`STEP_BYTES`] long. They are appended with one system call a step or a batch of steps,
//! and never flushed: what was written survives the death of the process in the page cache.

mod reader;
mod step;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::{TracedLife, read};
pub use step::{STEP_BYTES, Step};
pub use writer::Trace;

/// How the name of a life's file ends.
pub const EXTENSION: &str = "trace";

/// This stands for the offset of a delivery where the broker confirms deliveries without telling their offsets.
pub const NO_OFFSET: u64 = u64::MAX;

/// This is a step of an event's way through order service and relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Stage {
    /// The order service has read the request.
    Received = 0,
    /// The database answered the order service that the change is committed.
    Committed = 1,
    /// The database answered the order service that the change is rolled back.
    RolledBack = 2,
    /// The database gave the order service no answer; the change is committed or not.
    Doubtful = 3,
    /// The order service handed the answer to the client's connection; the detail is the HTTP status.
    Answered = 4,
    /// A polling relay claimed the row; the detail is its `seq`.
    Claimed = 5,
    /// A CDC relay read the change from the stream; the detail is the LSN of its commit.
    Decoded = 6,
    /// The event was handed to the broker's producer.
    Handed = 7,
    /// The broker confirmed the delivery; the detail is the offset, or [`NO_OFFSET`].
    Delivered = 8,
    /// The delivery failed; the detail is 0 for not persisted, 1 for possibly persisted, 2 for persisted.
    DeliveryFailed = 9,
    /// The event was given up with its producer, or is not waited for any longer: it may be delivered all the same.
    Abandoned = 10,
    /// The relay confirmed the event to the source (row deleted or marked, LSN acknowledged).
    Confirmed = 11,
    /// The order's entry was removed from the cache for the change, or its new state was written there.
    Invalidated = 12,
    /// That did not succeed, or nobody knows whether it did.
    InvalidationFailed = 13,
}

impl Stage {
    /// These are all stages, in the order of their codes.
    pub const ALL: [Stage; 14] = [
        Self::Received,
        Self::Committed,
        Self::RolledBack,
        Self::Doubtful,
        Self::Answered,
        Self::Claimed,
        Self::Decoded,
        Self::Handed,
        Self::Delivered,
        Self::DeliveryFailed,
        Self::Abandoned,
        Self::Confirmed,
        Self::Invalidated,
        Self::InvalidationFailed,
    ];

    /// These are the names of the stages, in the same order.
    pub const NAMES: [&'static str; 14] = [
        "received",
        "committed",
        "rolled back",
        "doubtful",
        "answered",
        "claimed",
        "decoded",
        "handed",
        "delivered",
        "delivery failed",
        "abandoned",
        "confirmed",
        "invalidated",
        "invalidation failed",
    ];
}
