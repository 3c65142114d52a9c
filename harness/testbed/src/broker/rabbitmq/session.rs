//! A connection to RabbitMQ over which a topic's stream is read, and its ends asked for.

use super::{stream_of, wire};
use relays::amqp::request::{self, Argument};
use relays::amqp::{Delivered, Heard, Reply};
use relays::amqp_session::{AmqpSession, silent};
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

/// So many records may be on their way to a question for an end.
const TAIL: u16 = 1_000;

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
    /// Connects; an Err says why that was not possible within this time.
    pub fn open(address: &str, within: Duration) -> Result<Self, String> {
        Ok(Self {
            session: AmqpSession::open(address, "outbox-harness-referee", within)?,
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
        within: Duration,
    ) -> Result<String, String> {
        self.consumers += 1;
        let (queue, consumer) = (stream_of(topic), self.consumers.to_string());
        let limited = |out: &mut Vec<u8>| request::set_prefetch(out, prefetch);
        self.ask(&limited, Reply::PrefetchSet, within)?;
        let consumed = |out: &mut Vec<u8>| request::consume(out, &queue, &consumer, from);
        self.ask(&consumed, Reply::Consuming, within)?;
        Ok(consumer)
    }

    /// Ends a consumer; what is still on its way to it goes nowhere.
    fn end_consumer(&mut self, consumer: &str, within: Duration) -> Result<(), String> {
        let ended = |out: &mut Vec<u8>| request::end_consumer(out, consumer);
        self.ask(&ended, Reply::ConsumerEnded, within)?;
        while self.take_heard().is_some() {}
        Ok(())
    }

    /// Returns the offset of the first record of a stream, which has one at least.
    pub fn first(&mut self, topic: &str, within: Duration) -> Result<i64, String> {
        let consumer = self.consume(topic, Argument::Text("first"), 1, within)?;
        let first = self.next_delivered(within)?;
        self.end_consumer(&consumer, within)?;
        wire::offset(&first)
    }

    /// Returns the offset that is one past the last record of a stream, which has one at least.
    ///
    /// RabbitMQ has no question for that. But to acknowledge a record makes it send, at once, what else there is, and a
    /// question on the same channel is answered after that: so what came before the answer is all there is.
    pub fn end(&mut self, topic: &str, within: Duration) -> Result<i64, String> {
        let consumer = self.consume(topic, Argument::Text("last"), TAIL, within)?;
        let mut last = self.next_delivered(within)?;
        loop {
            let tag = last.tag;
            self.say(&|out| request::acknowledge(out, tag))?;
            let asked = |out: &mut Vec<u8>| request::set_prefetch(out, TAIL);
            self.ask(&asked, Reply::PrefetchSet, within)?;
            let mut came = 0;
            while let Some(heard) = self.take_heard() {
                if let Heard::Delivered(delivered) = heard {
                    last = delivered;
                    came += 1;
                }
            }
            // As many as may be on their way: there may be more.
            if came < TAIL {
                break;
            }
        }
        self.end_consumer(&consumer, within)?;
        Ok(wire::offset(&last)? + 1)
    }

    fn next_delivered(&mut self, within: Duration) -> Result<Delivered, String> {
        let until = Instant::now() + within;
        loop {
            match self.hear_by(until)?.ok_or_else(|| silent(within))? {
                Heard::Delivered(delivered) => return Ok(delivered),
                Heard::Reply(_)
                | Heard::Confirmed { .. }
                | Heard::Returned(_)
                | Heard::Blocked(_)
                | Heard::Unblocked => {}
            }
        }
    }
}
