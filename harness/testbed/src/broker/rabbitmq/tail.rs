//! The end of a stream, asked for again and again over one connection.
//!
//! RabbitMQ has no question for it. But whoever acknowledges a record is sent, at once, what else there is, and a question
//! on the same channel is answered after that: what came before the answer is all there is. So one consumer follows the
//! stream, which sends it each record once, and keeps some of them for later acknowledgements.

use super::session::StreamSession;
use super::wire;
use relays::amqp::Reply;
use relays::amqp::request::{self, Argument};
use relays::signal::monotonic_ns;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many records may be on their way.
const ON_THEIR_WAY: u16 = 1_000;
/// So many are kept for questions to which nothing new comes, a record each.
const KEPT: usize = 200;

/// The end of a stream, and when it was there.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownEnd {
    /// This is the offset one past the last record.
    pub offset: i64,
    /// By this reading of CLOCK_MONOTONIC, in nanoseconds, all of it had been seen.
    pub at_monotonic_ns: u64,
}

/// Asks for the ends of streams; it follows the one that was asked for last.
pub(super) struct StreamTail {
    address: String,
    following: Option<Following>,
}

/// A stream that is followed.
struct Following {
    session: StreamSession,
    topic: String,
    consumer: String,
    /// The numbers of the records that are not acknowledged, in their order.
    unacknowledged: VecDeque<u64>,
    /// This is the offset of the last record that came.
    last: i64,
}

impl StreamTail {
    /// Makes one that asks this `host:port`; nothing is connected yet.
    pub fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            following: None,
        }
    }

    /// Returns the end of the stream of a topic, which has one record at least.
    pub fn ask(&mut self, topic: &str, within: Duration) -> Result<KnownEnd, String> {
        let until = Instant::now() + within;
        // One over which anything failed is not kept.
        let mut following = match self.following.take() {
            Some(following) if following.topic == topic => following,
            Some(_) | None => Following::start(&self.address, topic, until)?,
        };
        let end = following.ask(until)?;
        self.following = Some(following);
        Ok(end)
    }
}

impl Following {
    fn start(address: &str, topic: &str, until: Instant) -> Result<Self, String> {
        let mut following = Self {
            session: StreamSession::open(address, until)?,
            topic: topic.to_owned(),
            consumer: String::new(),
            unacknowledged: VecDeque::new(),
            last: 0,
        };
        following.consume(Argument::Text("last"), until)?;
        Ok(following)
    }

    /// Reads on from here, where there is a record.
    fn consume(&mut self, from: Argument<'_>, until: Instant) -> Result<(), String> {
        self.consumer = self
            .session
            .consume(&self.topic, from, ON_THEIR_WAY, until)?;
        let first = self.session.next_delivered(until)?;
        self.unacknowledged = VecDeque::from([first.tag]);
        self.last = self.last.max(wire::offset(&first)?);
        Ok(())
    }

    fn take_what_came(&mut self) -> Result<(), String> {
        for delivered in self.session.delivered_meanwhile() {
            self.unacknowledged.push_back(delivered.tag);
            self.last = self.last.max(wire::offset(&delivered)?);
        }
        Ok(())
    }

    fn ask(&mut self, until: Instant) -> Result<KnownEnd, String> {
        loop {
            self.take_what_came()?;
            if self.unacknowledged.is_empty() {
                // Nothing came for a long time, so the last ones are sent again.
                let consumer = std::mem::take(&mut self.consumer);
                self.session.end_consumer(&consumer, until)?;
                let from = self.last.saturating_sub(KEPT as i64).max(0);
                self.consume(Argument::Integer(from), until)?;
            }
            self.acknowledge()?;
            let asked = |out: &mut Vec<u8>| request::set_prefetch(out, ON_THEIR_WAY);
            self.session.ask(&asked, Reply::PrefetchSet, until)?;
            let at_monotonic_ns = monotonic_ns();
            self.take_what_came()?;
            // As many as may be on their way: there may be more.
            if self.unacknowledged.len() < usize::from(ON_THEIR_WAY) {
                return Ok(KnownEnd {
                    offset: self.last + 1,
                    at_monotonic_ns,
                });
            }
        }
    }

    /// Acknowledges one record at least, and all but those that are kept.
    fn acknowledge(&mut self) -> Result<(), String> {
        let done = self.unacknowledged.len().saturating_sub(KEPT).max(1);
        let Some(tag) = self.unacknowledged.drain(..done).next_back() else {
            return Ok(());
        };
        self.session.say(&|out| request::acknowledge(out, tag))
    }
}
