//! AMQP 0-9-1, as far as RabbitMQ's clients here need it: bytes out, bytes in, no socket. A client of its own, since
//! of a library's one must know to which event a returned message belongs, and which acknowledgements came before it.
//!
//! One connection has one channel. Whatever ends the channel ends the connection too: both are made anew then.

mod conversation;
mod fields;
mod frames;
mod method;
mod opening;
pub mod request;
#[cfg(test)]
mod tests;

pub use conversation::{Conversation, Delivered, Heard, Returned};
pub use fields::{TableValue, walk};
pub use method::{QueueDepth, Reply};
pub use opening::Opening;

use thiserror::Error;

/// A frame has at most so many bytes, its envelope included: RabbitMQ's default, which every server of ours has.
pub const FRAME_BYTES_MAX: usize = 131_072;
/// A message that comes in has a body of at most so many bytes.
pub const BODY_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// This is the channel that every connection has.
const CHANNEL: u16 = 1;

/// Why a connection is of no more use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AmqpError {
    /// What came is not the protocol.
    #[error("what the broker sent is no AMQP: {0}")]
    Malformed(&'static str),
    /// What is to be sent does not fit into the protocol.
    #[error("{0} has {1} bytes, and AMQP allows 255")]
    TooLong(&'static str, usize),
    /// The broker has closed connection or channel, and says why.
    #[error("the broker closed the {what}: {text} ({code})")]
    Closed {
        /// This is `connection` or `channel`.
        what: &'static str,
        /// This is AMQP's number of the reason.
        code: u16,
        /// This is the reason in the broker's words.
        text: String,
    },
    /// The broker ended a consumer, as it does when the queue is deleted.
    #[error("the broker ended the reading: its queue is gone")]
    Cancelled,
    /// Something else was due.
    #[error("the broker answered {0:?} where something else was due")]
    Unexpected(Reply),
    /// The broker cuts messages into frames that are too small for what is sent here.
    #[error(
        "the broker's frame_max is {0}, and {FRAME_BYTES_MAX} is needed: set frame_max = {FRAME_BYTES_MAX}"
    )]
    SmallFrames(u32),
}
