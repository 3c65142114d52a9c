//! How a connection begins, up to the one channel that it has.

use super::conversation::Heard;
use super::method::Reply;
use super::{AmqpError, FRAME_BYTES_MAX, request};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Start,
    Tune,
    ConnectionOpen,
    ChannelOpen,
}

/// Opens a connection and its channel.
#[derive(Debug)]
pub struct Opening {
    name: &'static str,
    due: Due,
}

impl Opening {
    /// Begins it for a client of this name, which the broker's log shows.
    pub fn begin(name: &'static str, out: &mut Vec<u8>) -> Self {
        request::protocol(out);
        Self {
            name,
            due: Due::Start,
        }
    }

    /// Answers what the broker said; whether connection and channel are open now.
    pub fn heard(&mut self, heard: Heard, out: &mut Vec<u8>) -> Result<bool, AmqpError> {
        let reply = match heard {
            Heard::Reply(reply) => reply,
            Heard::Blocked(_) | Heard::Unblocked => return Ok(false),
            Heard::Confirmed { .. } | Heard::Returned(_) | Heard::Delivered(_) => {
                return Err(AmqpError::Malformed("a message before the channel is open"));
            }
        };
        self.due = match (self.due, reply) {
            (Due::Start, Reply::Start) => {
                request::start_ok(out, self.name)?;
                Due::Tune
            }
            (Due::Tune, Reply::Tune(channel_max, frame_max)) => {
                if frame_max != 0 && (frame_max as usize) < FRAME_BYTES_MAX {
                    return Err(AmqpError::SmallFrames(frame_max));
                }
                request::tune_ok(out, channel_max)?;
                request::open(out)?;
                Due::ConnectionOpen
            }
            (Due::ConnectionOpen, Reply::ConnectionOpen) => {
                request::open_channel(out)?;
                Due::ChannelOpen
            }
            (Due::ChannelOpen, Reply::ChannelOpen) => return Ok(true),
            (_, reply) => return Err(AmqpError::Unexpected(reply)),
        };
        Ok(false)
    }
}
