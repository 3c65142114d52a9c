//! A connection to RabbitMQ over which a topic's stream is read, and its ends asked for.

use super::{stream_of, wire};
use relays::amqp::request::{self, Argument};
use relays::amqp::{Delivered, Heard, QueueDepth, Reply};
use relays::amqp_session::{AmqpSession, silent};
use std::ops::{Deref, DerefMut};
use std::time::Instant;

pub(super) use relays::amqp_session::Question;

/// An open connection with its channel.
pub(super) struct StreamSession {
    session: AmqpSession,
    /// The number of the last consumer, by which the next one is named.
    consumers: u32,
}

impl Deref for StreamSession {
    type Target = AmqpSession;

    fn deref(&self) -> &AmqpSession {
        &self.session
    }
}

impl DerefMut for StreamSession {
    fn deref_mut(&mut self) -> &mut AmqpSession {
        &mut self.session
    }
}

impl StreamSession {
    /// Connects; an Err says why that was not possible by this time.
    pub fn open(address: &str, until: Instant) -> Result<Self, String> {
        Ok(Self {
            session: AmqpSession::open(address, "outbox-harness-referee", until)?,
            consumers: 0,
        })
    }

    /// Begins to read the stream of a topic from here on, with so many records on their way at most; returns the name of
    /// the consumer that does.
    pub fn consume(
        &mut self,
        topic: &str,
        from: Argument<'_>,
        prefetch: u16,
        until: Instant,
    ) -> Result<String, String> {
        self.consumers += 1;
        let (queue, consumer) = (stream_of(topic), self.consumers.to_string());
        let limited = |out: &mut Vec<u8>| request::set_prefetch(out, prefetch);
        self.ask(&limited, Reply::PrefetchSet, until)?;
        let consumed = |out: &mut Vec<u8>| request::consume(out, &queue, &consumer, from);
        self.ask(&consumed, Reply::Consuming, until)?;
        Ok(consumer)
    }

    /// Returns how many messages and consumers a queue has, which is there.
    pub fn depth_of(&mut self, queue: &str, until: Instant) -> Result<QueueDepth, String> {
        let asked = |out: &mut Vec<u8>| request::ask_for_queue(out, queue);
        match self.ask(&asked, Reply::QUEUE_DECLARED, until)? {
            Reply::QueueDeclared(depth) => Ok(depth),
            other => Err(format!(
                "asking queue {queue}: the broker answered {other:?}"
            )),
        }
    }

    /// Ends a consumer; what is still on its way to it goes nowhere.
    pub fn end_consumer(&mut self, consumer: &str, until: Instant) -> Result<(), String> {
        let ended = |out: &mut Vec<u8>| request::end_consumer(out, consumer);
        self.ask(&ended, Reply::ConsumerEnded, until)?;
        while self.take_heard().is_some() {}
        Ok(())
    }

    /// Returns the offset of the first record of a stream, which has one at least.
    pub fn first(&mut self, topic: &str, until: Instant) -> Result<i64, String> {
        let consumer = self.consume(topic, Argument::Text("first"), 1, until)?;
        let first = self.next_delivered(until)?;
        self.end_consumer(&consumer, until)?;
        wire::offset(&first)
    }

    /// Waits until a record is delivered.
    pub fn next_delivered(&mut self, until: Instant) -> Result<Delivered, String> {
        loop {
            match self.hear_by(until)?.ok_or_else(silent)? {
                Heard::Delivered(delivered) => return Ok(delivered),
                Heard::Reply(_)
                | Heard::Confirmed { .. }
                | Heard::Returned(_)
                | Heard::Blocked(_)
                | Heard::Unblocked => {}
            }
        }
    }

    /// Returns the records that were delivered while something else was waited for.
    pub fn delivered_meanwhile(&mut self) -> impl Iterator<Item = Delivered> {
        let heard = std::iter::from_fn(move || self.take_heard());
        heard.filter_map(|heard| match heard {
            Heard::Delivered(delivered) => Some(delivered),
            Heard::Reply(_)
            | Heard::Confirmed { .. }
            | Heard::Returned(_)
            | Heard::Blocked(_)
            | Heard::Unblocked => None,
        })
    }
}
