//! A connection to RabbitMQ that blocks its thread, each wait of it bounded.

use super::{stream_of, wire};
use relays::amqp::request::{self, Argument};
use relays::amqp::{AmqpError, Conversation, Delivered, Heard, Opening, Reply};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// So much is read at once.
const READ_BYTES: usize = 64 * 1024;
/// No wait is shorter than this, since none at all would be without a bound.
const LEAST: Duration = Duration::from_millis(1);

/// What is asked of the broker is appended by this.
pub(super) type Question<'q> = &'q dyn Fn(&mut Vec<u8>) -> Result<(), AmqpError>;

/// An open connection with its channel.
pub(super) struct AmqpSession {
    stream: TcpStream,
    conversation: Conversation,
    /// What was heard while something else was waited for.
    heard: VecDeque<Heard>,
    pieces: Box<[u8]>,
    /// The number of the last consumer, by which the next one is named.
    consumers: u32,
}

impl AmqpSession {
    /// Connects; an Err says why that was not possible by this time.
    pub fn open(address: &str, until: Instant) -> Result<Self, String> {
        let within = until.saturating_duration_since(Instant::now());
        let failed = |e: std::io::Error| format!("connecting to RabbitMQ at {address}: {e}");
        let mut places = address.to_socket_addrs().map_err(failed)?;
        let place = places
            .next()
            .ok_or_else(|| format!("{address} is no address"))?;
        let stream = TcpStream::connect_timeout(&place, within.max(LEAST)).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream
            .set_write_timeout(Some(within.max(LEAST)))
            .map_err(failed)?;
        let mut session = Self {
            stream,
            conversation: Conversation::default(),
            heard: VecDeque::new(),
            pieces: vec![0; READ_BYTES].into_boxed_slice(),
            consumers: 0,
        };
        let mut out = Vec::new();
        let mut opening = Opening::begin("outbox-harness-referee", &mut out);
        loop {
            session.send(&out)?;
            out.clear();
            let heard = session.hear_by(until)?;
            let heard = heard.ok_or_else(silent)?;
            let is_open = opening.heard(heard, &mut out);
            if is_open.map_err(|e| e.to_string())? {
                return Ok(session);
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).map_err(|e| lost(&e))
    }

    /// Says something that is not answered.
    pub fn say(&mut self, what: Question<'_>) -> Result<(), String> {
        let mut out = Vec::new();
        what(&mut out).map_err(|e| e.to_string())?;
        self.send(&out)
    }

    /// Asks for something, and waits for the answer; what is heard meanwhile is kept for later.
    pub fn ask(
        &mut self,
        question: Question<'_>,
        answer: Reply,
        until: Instant,
    ) -> Result<(), String> {
        self.say(question)?;
        loop {
            match self.hear_new(until)?.ok_or_else(silent)? {
                Heard::Reply(reply) if reply == answer => return Ok(()),
                Heard::Reply(other) => return Err(AmqpError::Unexpected(other).to_string()),
                other => self.heard.push_back(other),
            }
        }
    }

    /// Returns what is heard next; `None` where it is nothing within this time.
    pub fn hear(&mut self, within: Duration) -> Result<Option<Heard>, String> {
        self.hear_by(Instant::now() + within)
    }

    fn hear_by(&mut self, until: Instant) -> Result<Option<Heard>, String> {
        match self.heard.pop_front() {
            Some(heard) => Ok(Some(heard)),
            None => self.hear_new(until),
        }
    }

    fn hear_new(&mut self, until: Instant) -> Result<Option<Heard>, String> {
        loop {
            let next = self.conversation.hear();
            if let Some(heard) = next.map_err(|e| e.to_string())? {
                return Ok(Some(heard));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let bounded = self.stream.set_read_timeout(Some(left.max(LEAST)));
            bounded.map_err(|e| lost(&e))?;
            match self.stream.read(&mut self.pieces) {
                Ok(0) => return Err("RabbitMQ ended the connection without a word".to_owned()),
                Ok(bytes) => self.conversation.room().extend(&self.pieces[..bytes]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(lost(&e)),
            }
        }
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

    /// Ends a consumer; what is still on its way to it goes nowhere.
    pub fn end_consumer(&mut self, consumer: &str, until: Instant) -> Result<(), String> {
        let ended = |out: &mut Vec<u8>| request::end_consumer(out, consumer);
        self.ask(&ended, Reply::ConsumerEnded, until)?;
        self.heard.clear();
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
        self.heard.drain(..).filter_map(|heard| match heard {
            Heard::Delivered(delivered) => Some(delivered),
            Heard::Reply(_)
            | Heard::Confirmed { .. }
            | Heard::Returned(_)
            | Heard::Blocked(_)
            | Heard::Unblocked => None,
        })
    }
}

fn silent() -> String {
    "RabbitMQ did not answer in time".to_owned()
}

fn lost(error: &std::io::Error) -> String {
    format!("the connection to RabbitMQ was lost: {error}")
}
