//! What a broker says on a connection, message by message.

use super::fields::Fields;
use super::frames::{FrameBuffer, FrameKind};
use super::method::{self, Reply, Spoken};
use super::{AmqpError, BODY_BYTES_MAX};

/// Something that the broker said.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// It answers what was asked.
    Reply(Reply),
    /// It tells what became of messages that were published, which are numbered from 1.
    Confirmed {
        /// This is the number of the message.
        tag: u64,
        /// Whether it is meant of all before it too of which nothing was told so far.
        is_multiple: bool,
        /// Whether it took them; else it could not.
        is_ack: bool,
    },
    /// A message that had to be given to somebody comes back. It says so before it confirms that message.
    Returned(Returned),
    /// A consumer is given a message.
    Delivered(Delivered),
    /// It takes nothing for now, and says why.
    Blocked(String),
    /// It takes messages again.
    Unblocked,
}

/// A message that nobody could be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// This is AMQP's number of the reason: 312 where no queue is bound.
    pub code: u16,
    /// This is the reason in the broker's words.
    pub text: String,
    /// This is the message's id, as whoever published it had set it; `None` where it had none.
    pub message_id: Option<String>,
}

/// A message that a consumer is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// This is the tag of the consumer.
    pub consumer: Vec<u8>,
    /// By this number it is acknowledged.
    pub tag: u64,
    /// It was published to the exchange of this name.
    pub exchange: Vec<u8>,
    /// This is its routing key.
    pub key: Vec<u8>,
    /// These are its headers, a table for [`super::walk`].
    pub headers: Vec<u8>,
    /// This is its body.
    pub body: Vec<u8>,
}

/// The message that is on its way.
#[derive(Debug)]
struct Coming {
    head: Spoken,
    headers: Vec<u8>,
    message_id: Option<String>,
    body: Vec<u8>,
    bytes: u64,
    has_header: bool,
}

impl Coming {
    fn of(head: Spoken) -> Self {
        Self {
            head,
            headers: Vec::new(),
            message_id: None,
            body: Vec::new(),
            bytes: 0,
            has_header: false,
        }
    }

    fn header(&mut self, payload: &[u8]) -> Result<(), AmqpError> {
        let mut fields = Fields(payload);
        let (_class, _weight) = (fields.short()?, fields.short()?);
        self.bytes = fields.long_long()?;
        if self.bytes > BODY_BYTES_MAX {
            return Err(AmqpError::Malformed("a message is larger than 16 MiB"));
        }
        let flags = fields.short()?;
        let has = |bit: u16| flags & (1 << bit) != 0;
        // In the order of their bits: content type, its encoding, headers, delivery mode, priority, correlation,
        // reply-to, expiration, the message's id.
        for bit in [15, 14] {
            if has(bit) {
                fields.short_string()?;
            }
        }
        if has(13) {
            self.headers = fields.long_string()?.to_vec();
        }
        for bit in [12, 11] {
            if has(bit) {
                fields.octet()?;
            }
        }
        for bit in [10, 9, 8] {
            if has(bit) {
                fields.short_string()?;
            }
        }
        if has(7) {
            self.message_id = Some(method::text(fields.short_string()?));
        }
        self.has_header = true;
        Ok(())
    }

    fn is_whole(&self) -> bool {
        self.has_header && self.body.len() as u64 == self.bytes
    }

    fn heard(self) -> Heard {
        match self.head {
            Spoken::All(heard) => heard,
            Spoken::Return { code, text } => Heard::Returned(Returned {
                code,
                text,
                message_id: self.message_id,
            }),
            Spoken::Deliver {
                consumer,
                tag,
                exchange,
                key,
            } => Heard::Delivered(Delivered {
                consumer,
                tag,
                exchange,
                key,
                headers: self.headers,
                body: self.body,
            }),
        }
    }
}

/// Takes the bytes that a broker sends, and gives what it says.
#[derive(Debug, Default)]
pub struct Conversation {
    frames: FrameBuffer,
    coming: Option<Coming>,
}

impl Conversation {
    /// Returns the bytes that are not understood yet, for more to be appended.
    pub fn room(&mut self) -> &mut Vec<u8> {
        self.frames.room()
    }

    /// Returns what was said next; `None` where it is not all there yet. After an Err there is nothing more.
    pub fn hear(&mut self) -> Result<Option<Heard>, AmqpError> {
        while let Some(frame) = self.frames.next()? {
            match (frame.kind, &mut self.coming) {
                (FrameKind::Heartbeat, _) => continue,
                (FrameKind::Method, None) => match method::read(frame.payload)? {
                    Spoken::All(heard) => return Ok(Some(heard)),
                    head @ (Spoken::Return { .. } | Spoken::Deliver { .. }) => {
                        self.coming = Some(Coming::of(head));
                    }
                },
                (FrameKind::Header, Some(coming)) if !coming.has_header => {
                    coming.header(frame.payload)?;
                }
                (FrameKind::Body, Some(coming)) if coming.has_header => {
                    let bytes = coming.body.len() + frame.payload.len();
                    if bytes as u64 > coming.bytes {
                        return Err(AmqpError::Malformed("a message has more than it says"));
                    }
                    coming.body.extend_from_slice(frame.payload);
                }
                (FrameKind::Method | FrameKind::Header | FrameKind::Body, _) => {
                    return Err(AmqpError::Malformed("a frame where another was due"));
                }
            }
            if let Some(whole) = self.coming.take_if(|coming| coming.is_whole()) {
                return Ok(Some(whole.heard()));
            }
        }
        Ok(None)
    }
}
