//! What a broker says: its methods, read.

use super::AmqpError;
use super::conversation::Heard;
use super::fields::Fields;

/// An answer to something that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// The broker begins a connection.
    Start,
    /// The broker says its limits: how many channels a connection may have, and how many bytes a frame; 0 is no limit.
    Tune(u16, u32),
    /// The connection is open.
    ConnectionOpen,
    /// The channel is open.
    ChannelOpen,
    /// The exchange is there.
    ExchangeDeclared,
    /// The exchange is gone.
    ExchangeDeleted,
    /// The exchange gets what another one gets.
    ExchangeBound,
    /// The queue is there, and this is what it has.
    QueueDeclared(QueueDepth),
    /// The queue gets what the exchange gets.
    QueueBound,
    /// The queue is gone.
    QueueDeleted,
    /// So many messages may be on their way to a consumer, from now on.
    PrefetchSet,
    /// The consumer reads.
    Consuming,
    /// The consumer reads no more.
    ConsumerEnded,
    /// What is published from now on is confirmed.
    ConfirmsOn,
    /// The connection is closed, as it was asked for.
    ConnectionClosed,
}

/// What a queue has at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// So many messages wait in it; those that a consumer was given and has not acknowledged are not among them.
    pub waiting: u32,
    /// So many consumers read it.
    pub consumers: u32,
}

impl Reply {
    /// Asking for a queue is answered by this, whatever it has.
    pub const QUEUE_DECLARED: Self = Self::QueueDeclared(QueueDepth {
        waiting: 0,
        consumers: 0,
    });

    /// Whether it is the answer that is due, whatever numbers are in it.
    pub fn answers(self, due: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&due)
    }
}

/// What a method is the beginning of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    /// It is all.
    All(Heard),
    /// A message follows that nobody could be given, with the reason.
    Return { code: u16, text: String },
    /// A message follows that a consumer is given.
    Deliver {
        consumer: Vec<u8>,
        tag: u64,
        exchange: Vec<u8>,
        key: Vec<u8>,
    },
}

/// Reads a method.
pub(super) fn read(payload: &[u8]) -> Result<Spoken, AmqpError> {
    let mut fields = Fields(payload);
    let (class, method) = (fields.short()?, fields.short()?);
    let reply = match (class, method) {
        (10, 10) => Reply::Start,
        (10, 30) => Reply::Tune(fields.short()?, fields.long()?),
        (10, 41) => Reply::ConnectionOpen,
        (10, 50) => return Err(closed("connection", fields)),
        (10, 60) => return Ok(Spoken::All(Heard::Blocked(text(fields.short_string()?)))),
        (10, 61) => return Ok(Spoken::All(Heard::Unblocked)),
        (10, 51) => Reply::ConnectionClosed,
        (20, 11) => Reply::ChannelOpen,
        (20, 40) => return Err(closed("channel", fields)),
        (40, 11) => Reply::ExchangeDeclared,
        (40, 21) => Reply::ExchangeDeleted,
        (40, 31) => Reply::ExchangeBound,
        (50, 11) => {
            let _name = fields.short_string()?;
            Reply::QueueDeclared(QueueDepth {
                waiting: fields.long()?,
                consumers: fields.long()?,
            })
        }
        (50, 21) => Reply::QueueBound,
        (50, 41) => Reply::QueueDeleted,
        (60, 11) => Reply::PrefetchSet,
        (60, 21) => Reply::Consuming,
        (60, 30) => return Err(AmqpError::Cancelled),
        (60, 31) => Reply::ConsumerEnded,
        (60, 50) => {
            return Ok(Spoken::Return {
                code: fields.short()?,
                text: text(fields.short_string()?),
            });
        }
        (60, 60) => {
            let (consumer, tag) = (fields.short_string()?.to_vec(), fields.long_long()?);
            let _redelivered = fields.octet()?;
            return Ok(Spoken::Deliver {
                consumer,
                tag,
                exchange: fields.short_string()?.to_vec(),
                key: fields.short_string()?.to_vec(),
            });
        }
        (60, 80 | 120) => {
            let (tag, bits) = (fields.long_long()?, fields.octet()?);
            return Ok(Spoken::All(Heard::Confirmed {
                tag,
                is_multiple: bits & 1 == 1,
                is_ack: method == 80,
            }));
        }
        (85, 11) => Reply::ConfirmsOn,
        _ => return Err(AmqpError::Malformed("a method that nobody asked for")),
    };
    Ok(Spoken::All(Heard::Reply(reply)))
}

fn closed(what: &'static str, mut fields: Fields<'_>) -> AmqpError {
    let mut reason = || Ok::<_, AmqpError>((fields.short()?, text(fields.short_string()?)));
    match reason() {
        Ok((code, text)) => AmqpError::Closed { what, code, text },
        Err(malformed) => malformed,
    }
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
