//! Frames, into which everything on a connection is cut.

use super::{AmqpError, FRAME_BYTES_MAX};

pub(super) const METHOD: u8 = 1;
pub(super) const HEADER: u8 = 2;
pub(super) const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
/// Each frame ends with this byte.
const END: u8 = 0xCE;
/// A frame begins with its kind, its channel, and the length of its payload.
const HEAD_BYTES: usize = 7;
/// So many bytes of a frame are not its payload.
pub(super) const ENVELOPE_BYTES: usize = HEAD_BYTES + 1;

/// What kind of frame it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    Method,
    Header,
    Body,
    Heartbeat,
}

/// A frame that came in, all of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'b> {
    pub kind: FrameKind,
    pub payload: &'b [u8],
}

/// Bytes that came in, and which of them are taken.
#[derive(Debug, Default)]
pub(super) struct FrameBuffer {
    bytes: Vec<u8>,
    taken: usize,
}

impl FrameBuffer {
    /// Returns the bytes that are not taken yet, for more to be appended.
    pub fn room(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        &mut self.bytes
    }

    /// Takes the next frame; `None` where it is not all there yet.
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, AmqpError> {
        let left = &self.bytes[self.taken..];
        let Some((&[kind, _, _, length @ ..], rest)) = left.split_first_chunk::<HEAD_BYTES>()
        else {
            return Ok(None);
        };
        let kind = match kind {
            METHOD => FrameKind::Method,
            HEADER => FrameKind::Header,
            BODY => FrameKind::Body,
            HEARTBEAT => FrameKind::Heartbeat,
            _ => return Err(AmqpError::Malformed("a frame of no known kind")),
        };
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX {
            return Err(AmqpError::Malformed("a frame is longer than agreed"));
        }
        let Some(&end) = rest.get(length) else {
            return Ok(None);
        };
        if end != END {
            return Err(AmqpError::Malformed("a frame does not end where it should"));
        }
        self.taken += ENVELOPE_BYTES + length;
        Ok(Some(Frame {
            kind,
            payload: &rest[..length],
        }))
    }
}

/// Appends a frame whose payload `fill` appends.
pub(super) fn frame(
    out: &mut Vec<u8>,
    kind: u8,
    channel: u16,
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), AmqpError>,
) -> Result<(), AmqpError> {
    let start = out.len();
    out.push(kind);
    out.extend(channel.to_be_bytes());
    out.extend([0; 4]);
    let body = out.len();
    if let Err(error) = fill(out) {
        out.truncate(start);
        return Err(error);
    }
    let length = u32::try_from(out.len() - body).unwrap_or(u32::MAX);
    out[body - 4..body].copy_from_slice(&length.to_be_bytes());
    out.push(END);
    Ok(())
}
