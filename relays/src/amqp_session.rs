//! A connection to RabbitMQ that blocks its thread, each wait of it bounded.

use crate::amqp::{AmqpError, Conversation, Heard, Opening, Reply, request};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// So much is read at once.
const READ_BYTES: usize = 64 * 1024;
/// No wait is shorter than this, since none at all would be without a bound.
const LEAST: Duration = Duration::from_millis(1);

/// What is asked of the broker is appended by this.
pub type Question<'q> = &'q dyn Fn(&mut Vec<u8>) -> Result<(), AmqpError>;

/// An open connection with its channel.
pub struct AmqpSession {
    stream: TcpStream,
    conversation: Conversation,
    /// What was heard while something else was waited for.
    heard: VecDeque<Heard>,
    pieces: Box<[u8]>,
}

impl AmqpSession {
    /// Connects as a client of this name; an Err says why that was not possible by this time.
    pub fn open(address: &str, name: &'static str, until: Instant) -> Result<Self, String> {
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
        };
        let mut out = Vec::new();
        let mut opening = Opening::begin(name, &mut out);
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

    /// Asks for something, and waits for the answer, which it returns; what is heard meanwhile is kept for later.
    pub fn ask(
        &mut self,
        question: Question<'_>,
        answer: Reply,
        until: Instant,
    ) -> Result<Reply, String> {
        self.say(question)?;
        loop {
            match self.hear_new(until)?.ok_or_else(silent)? {
                Heard::Reply(reply) if reply.answers(answer) => return Ok(reply),
                Heard::Reply(other) => return Err(AmqpError::Unexpected(other).to_string()),
                other => self.heard.push_back(other),
            }
        }
    }

    /// Returns what was heard while an answer was waited for, the first of it; `None` where there is no more.
    pub fn take_heard(&mut self) -> Option<Heard> {
        self.heard.pop_front()
    }

    /// Returns what is heard next; `None` where it is nothing within this time.
    pub fn hear(&mut self, within: Duration) -> Result<Option<Heard>, String> {
        self.hear_by(Instant::now() + within)
    }

    /// Returns what is heard next; `None` where it is nothing by then.
    pub fn hear_by(&mut self, until: Instant) -> Result<Option<Heard>, String> {
        match self.take_heard() {
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

    /// Ends it in order, by this time. When the broker has answered, it has put back whatever was not acknowledged.
    pub fn close(mut self, until: Instant) -> Result<(), String> {
        self.ask(&request::close, Reply::ConnectionClosed, until)
            .map(|_| ())
    }
}

/// Says that an answer was not heard in time.
pub fn silent() -> String {
    "RabbitMQ did not answer in time".to_owned()
}

fn lost(error: &std::io::Error) -> String {
    format!("the connection to RabbitMQ was lost: {error}")
}
