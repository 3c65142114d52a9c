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

/// A step of an event's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Stage {
    /// Order service: the request was read.
    Received = 0,
    /// Order service: the database answered that the change is committed.
    Committed = 1,
    /// Order service: the database answered that the change is rolled back.
    RolledBack = 2,
    /// Order service: the database gave no answer; the change is committed or not.
    Doubtful = 3,
    /// Order service: the answer was handed to the client's connection; detail: the HTTP status.
    Answered = 4,
    /// Relay, polling: the row was claimed; detail: its `seq`.
    Claimed = 5,
    /// Relay, CDC: the change was read from the stream; detail: LSN of its commit.
    Decoded = 6,
    /// Handed to the broker's producer.
    Handed = 7,
    /// The broker confirmed the delivery; detail: the offset.
    Delivered = 8,
    /// The delivery failed; detail: 0 not persisted, 1 possibly persisted, 2 persisted.
    DeliveryFailed = 9,
    /// Given up with its producer, or not waited for any longer: it may be delivered all the same.
    Abandoned = 10,
    /// Relay: confirmed to the source (row deleted or marked, LSN acknowledged).
    Confirmed = 11,
}

impl Stage {
    /// Every stage, in the order of their codes.
    pub const ALL: [Stage; 12] = [
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
    ];

    /// Their names, in the same order.
    pub const NAMES: [&'static str; 12] = [
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
    ];
}
