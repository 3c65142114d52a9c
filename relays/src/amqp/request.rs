//! What a client says. Each appends to bytes that are yet to be sent; an Err appends nothing.

use super::frames::{BODY, ENVELOPE_BYTES, HEADER, METHOD, frame};
use super::{AmqpError, CHANNEL, FRAME_BYTES_MAX};
use std::io::Write;

/// Every server of ours has this user, with this password, for clients of its own machine.
const GUEST: &str = "guest";
/// The whole of a connection belongs to this channel.
const CONNECTION: u16 = 0;
/// What is asked for is only looked for, and not made.
const PASSIVE: u8 = 1;
/// What is made survives a restart.
const DURABLE: u8 = 2;
/// So many bytes of a body fit into a frame.
const CHUNK_BYTES: usize = FRAME_BYTES_MAX - ENVELOPE_BYTES;

/// An argument of a queue, a binding or a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument<'a> {
    /// It is text.
    Text(&'a str),
    /// It is a whole number.
    Integer(i64),
    /// It is so, or it is not.
    Flag(bool),
}

/// A message that is to be published, and kept on disk by queues that keep any.
#[derive(Debug, Clone, Copy)]
pub struct Publishing<'m> {
    /// It goes to the exchange of this name; that without one gives it to the queue that is named as the key.
    pub exchange: &'m str,
    /// This is its routing key.
    pub key: &'m str,
    /// Whether it is returned where nobody could be given it.
    pub is_mandatory: bool,
    /// By this id a returned message is known again; `None` gives it none.
    pub message_id: Option<u64>,
    /// These are its headers, all of them text.
    pub headers: &'m [(&'m str, &'m str)],
    /// This is its body.
    pub body: &'m [u8],
}

fn method(
    out: &mut Vec<u8>,
    channel: u16,
    (class, method): (u16, u16),
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), AmqpError>,
) -> Result<(), AmqpError> {
    frame(out, METHOD, channel, |out| {
        out.extend(class.to_be_bytes());
        out.extend(method.to_be_bytes());
        fill(out)
    })
}

fn short_string(out: &mut Vec<u8>, what: &'static str, text: &str) -> Result<(), AmqpError> {
    let bytes = u8::try_from(text.len()).map_err(|_| AmqpError::TooLong(what, text.len()))?;
    out.push(bytes);
    out.extend(text.as_bytes());
    Ok(())
}

fn long_string(out: &mut Vec<u8>, text: &str) {
    let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
    out.extend(bytes.to_be_bytes());
    out.extend(text.as_bytes());
}

/// Appends a table, whose entries `fill` appends.
fn table(
    out: &mut Vec<u8>,
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), AmqpError>,
) -> Result<(), AmqpError> {
    let start = out.len();
    out.extend([0; 4]);
    fill(out)?;
    let bytes = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&bytes.to_be_bytes());
    Ok(())
}

fn text_entry(out: &mut Vec<u8>, name: &str, text: &str) -> Result<(), AmqpError> {
    short_string(out, "the name of a header", name)?;
    out.push(b'S');
    long_string(out, text);
    Ok(())
}

fn arguments(out: &mut Vec<u8>, all: &[(&str, Argument<'_>)]) -> Result<(), AmqpError> {
    table(out, |out| {
        for (name, argument) in all {
            match argument {
                Argument::Text(text) => text_entry(out, name, text)?,
                Argument::Integer(number) => {
                    short_string(out, "the name of an argument", name)?;
                    out.push(b'l');
                    out.extend(number.to_be_bytes());
                }
                Argument::Flag(is_so) => {
                    short_string(out, "the name of an argument", name)?;
                    out.extend([b't', u8::from(*is_so)]);
                }
            }
        }
        Ok(())
    })
}

/// Says which protocol it is, before anything else.
pub(super) fn protocol(out: &mut Vec<u8>) {
    out.extend(b"AMQP\0\0\x09\x01");
}

pub(super) fn start_ok(out: &mut Vec<u8>, name: &str) -> Result<(), AmqpError> {
    // What a client must say to be told of it.
    const TOLD: [&str; 4] = [
        "publisher_confirms",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
    ];
    method(out, CONNECTION, (10, 11), |out| {
        table(out, |out| {
            text_entry(out, "product", "outbox-harness")?;
            text_entry(out, "connection_name", name)?;
            short_string(out, "the name of a header", "capabilities")?;
            out.push(b'F');
            table(out, |out| {
                for capability in TOLD {
                    short_string(out, "the name of a capability", capability)?;
                    out.extend([b't', 1]);
                }
                Ok(())
            })
        })?;
        short_string(out, "the mechanism", "PLAIN")?;
        long_string(out, &format!("\0{GUEST}\0{GUEST}"));
        short_string(out, "the locale", "en_US")
    })
}

/// Agrees on the limits; no heartbeats: whoever waits for an answer has a patience of its own.
pub(super) fn tune_ok(out: &mut Vec<u8>, channel_max: u16) -> Result<(), AmqpError> {
    method(out, CONNECTION, (10, 31), |out| {
        out.extend(channel_max.to_be_bytes());
        out.extend((FRAME_BYTES_MAX as u32).to_be_bytes());
        out.extend(0_u16.to_be_bytes());
        Ok(())
    })
}

pub(super) fn open(out: &mut Vec<u8>) -> Result<(), AmqpError> {
    method(out, CONNECTION, (10, 40), |out| {
        short_string(out, "the virtual host", "/")?;
        out.extend([0, 0]);
        Ok(())
    })
}

pub(super) fn open_channel(out: &mut Vec<u8>) -> Result<(), AmqpError> {
    method(out, CHANNEL, (20, 10), |out| {
        out.push(0);
        Ok(())
    })
}

/// Makes an exchange that survives a restart, and routes by patterns of keys.
pub fn declare_exchange(out: &mut Vec<u8>, name: &str) -> Result<(), AmqpError> {
    exchange(out, name, "topic", DURABLE)
}

/// Makes an exchange that survives a restart, and gives each message to one of its queues by a hash of the key. The node
/// needs a plugin for that.
pub fn declare_hashed_exchange(out: &mut Vec<u8>, name: &str) -> Result<(), AmqpError> {
    exchange(out, name, "x-consistent-hash", DURABLE)
}

/// Asks whether an exchange is there; where it is not, the broker closes the channel.
pub fn ask_for_exchange(out: &mut Vec<u8>, name: &str) -> Result<(), AmqpError> {
    exchange(out, name, "topic", PASSIVE)
}

fn exchange(out: &mut Vec<u8>, name: &str, kind: &str, bits: u8) -> Result<(), AmqpError> {
    method(out, CHANNEL, (40, 10), |out| {
        out.extend([0, 0]);
        short_string(out, "the name of an exchange", name)?;
        short_string(out, "the type of an exchange", kind)?;
        out.push(bits);
        arguments(out, &[])
    })
}

/// Has an exchange get what another one is given with keys of this pattern.
pub fn bind_exchange(
    out: &mut Vec<u8>,
    exchange: &str,
    source: &str,
    pattern: &str,
) -> Result<(), AmqpError> {
    method(out, CHANNEL, (40, 30), |out| {
        out.extend([0, 0]);
        short_string(out, "the name of an exchange", exchange)?;
        short_string(out, "the name of an exchange", source)?;
        short_string(out, "a pattern of keys", pattern)?;
        out.push(0);
        arguments(out, &[])
    })
}

/// Deletes an exchange; one that is not there is no error.
pub fn delete_exchange(out: &mut Vec<u8>, name: &str) -> Result<(), AmqpError> {
    method(out, CHANNEL, (40, 20), |out| {
        out.extend([0, 0]);
        short_string(out, "the name of an exchange", name)?;
        out.push(0);
        Ok(())
    })
}

/// Asks whether a queue is there and takes messages; where it does not, the broker closes the channel.
pub fn ask_for_queue(out: &mut Vec<u8>, name: &str) -> Result<(), AmqpError> {
    method(out, CHANNEL, (50, 10), |out| {
        out.extend([0, 0]);
        short_string(out, "the name of a queue", name)?;
        out.push(PASSIVE);
        arguments(out, &[])
    })
}

/// Makes a queue of this type (`x-queue-type`) that survives a restart; one that is there must be of the same type.
pub fn declare_queue(out: &mut Vec<u8>, name: &str, kind: &str) -> Result<(), AmqpError> {
    durable_queue(out, name, &[("x-queue-type", Argument::Text(kind))])
}

/// Does the same, of a queue that gives everything to one consumer, and to another one when that is gone
/// (`x-single-active-consumer`).
pub fn declare_single_queue(out: &mut Vec<u8>, name: &str, kind: &str) -> Result<(), AmqpError> {
    let of_one = ("x-single-active-consumer", Argument::Flag(true));
    durable_queue(out, name, &[("x-queue-type", Argument::Text(kind)), of_one])
}

fn durable_queue(
    out: &mut Vec<u8>,
    name: &str,
    all: &[(&str, Argument<'_>)],
) -> Result<(), AmqpError> {
    method(out, CHANNEL, (50, 10), |out| {
        out.extend([0, 0]);
        short_string(out, "the name of a queue", name)?;
        out.push(DURABLE);
        arguments(out, all)
    })
}

/// Has a queue get what an exchange is given with keys of this pattern.
pub fn bind(
    out: &mut Vec<u8>,
    queue: &str,
    exchange: &str,
    pattern: &str,
) -> Result<(), AmqpError> {
    method(out, CHANNEL, (50, 20), |out| {
        out.extend([0, 0]);
        short_string(out, "the name of a queue", queue)?;
        short_string(out, "the name of an exchange", exchange)?;
        short_string(out, "a pattern of keys", pattern)?;
        out.push(0);
        arguments(out, &[])
    })
}

/// Deletes a queue; one that is not there is no error.
pub fn delete_queue(out: &mut Vec<u8>, name: &str) -> Result<(), AmqpError> {
    method(out, CHANNEL, (50, 40), |out| {
        out.extend([0, 0]);
        short_string(out, "the name of a queue", name)?;
        out.push(0);
        Ok(())
    })
}

/// Lets so many messages be on their way to a consumer that are not acknowledged.
pub fn set_prefetch(out: &mut Vec<u8>, messages: u16) -> Result<(), AmqpError> {
    method(out, CHANNEL, (60, 10), |out| {
        out.extend(0_u32.to_be_bytes());
        out.extend(messages.to_be_bytes());
        out.push(0);
        Ok(())
    })
}

/// Reads a queue, from which everything is taken that is acknowledged.
pub fn consume_queue(out: &mut Vec<u8>, queue: &str, consumer: &str) -> Result<(), AmqpError> {
    begin_consumer(out, queue, consumer, &[])
}

/// Reads a stream from this offset on, which is text (`first`, `last`, `next`) or a number.
pub fn consume(
    out: &mut Vec<u8>,
    queue: &str,
    consumer: &str,
    from: Argument<'_>,
) -> Result<(), AmqpError> {
    begin_consumer(out, queue, consumer, &[("x-stream-offset", from)])
}

fn begin_consumer(
    out: &mut Vec<u8>,
    queue: &str,
    consumer: &str,
    all: &[(&str, Argument<'_>)],
) -> Result<(), AmqpError> {
    method(out, CHANNEL, (60, 20), |out| {
        out.extend([0, 0]);
        short_string(out, "the name of a queue", queue)?;
        short_string(out, "the tag of a consumer", consumer)?;
        out.push(0);
        arguments(out, all)
    })
}

/// Ends a consumer.
pub fn end_consumer(out: &mut Vec<u8>, consumer: &str) -> Result<(), AmqpError> {
    method(out, CHANNEL, (60, 30), |out| {
        short_string(out, "the tag of a consumer", consumer)?;
        out.push(0);
        Ok(())
    })
}

/// Acknowledges a message and all before it.
pub fn acknowledge(out: &mut Vec<u8>, tag: u64) -> Result<(), AmqpError> {
    method(out, CHANNEL, (60, 80), |out| {
        out.extend(tag.to_be_bytes());
        out.push(1);
        Ok(())
    })
}

/// Gives one message back to its queue.
pub fn give_back(out: &mut Vec<u8>, tag: u64) -> Result<(), AmqpError> {
    const REQUEUE: u8 = 2;
    method(out, CHANNEL, (60, 120), |out| {
        out.extend(tag.to_be_bytes());
        out.push(REQUEUE);
        Ok(())
    })
}

/// Ends the connection in order: it is answered when the broker has put back whatever was not acknowledged.
pub fn close(out: &mut Vec<u8>) -> Result<(), AmqpError> {
    const SUCCESS: u16 = 200;
    method(out, CONNECTION, (10, 50), |out| {
        out.extend(SUCCESS.to_be_bytes());
        short_string(out, "a farewell", "")?;
        out.extend([0; 4]);
        Ok(())
    })
}

/// Has the broker tell of each message that is published from now on whether it took it.
pub fn select_confirms(out: &mut Vec<u8>) -> Result<(), AmqpError> {
    method(out, CHANNEL, (85, 10), |out| {
        out.push(0);
        Ok(())
    })
}

/// Publishes a message.
pub fn publish(out: &mut Vec<u8>, message: &Publishing<'_>) -> Result<(), AmqpError> {
    const HAS_HEADERS: u16 = 1 << 13;
    const HAS_DELIVERY_MODE: u16 = 1 << 12;
    const HAS_MESSAGE_ID: u16 = 1 << 7;
    const PERSISTENT: u8 = 2;
    let start = out.len();
    method(out, CHANNEL, (60, 40), |out| {
        out.extend([0, 0]);
        short_string(out, "the name of an exchange", message.exchange)?;
        short_string(out, "a routing key", message.key)?;
        out.push(u8::from(message.is_mandatory));
        Ok(())
    })?;
    let has_id = message.message_id.map_or(0, |_| HAS_MESSAGE_ID);
    let header = frame(out, HEADER, CHANNEL, |out| {
        out.extend(60_u16.to_be_bytes());
        out.extend(0_u16.to_be_bytes());
        out.extend((message.body.len() as u64).to_be_bytes());
        out.extend((HAS_HEADERS | HAS_DELIVERY_MODE | has_id).to_be_bytes());
        table(out, |out| {
            let mut headers = message.headers.iter();
            headers.try_for_each(|(name, value)| text_entry(out, name, value))
        })?;
        out.push(PERSISTENT);
        if let Some(id) = message.message_id {
            let length = out.len();
            out.push(0);
            // Writing to memory does not fail, and no number has more digits than a byte can say.
            let _ = write!(out, "{id}");
            out[length] = (out.len() - length - 1) as u8;
        }
        Ok(())
    });
    if let Err(error) = header {
        out.truncate(start);
        return Err(error);
    }
    for chunk in message.body.chunks(CHUNK_BYTES) {
        frame(out, BODY, CHANNEL, |out| {
            out.extend(chunk);
            Ok(())
        })?;
    }
    Ok(())
}
