//! Streams read by offset. A connection that is lost is made anew, and reading goes on where it was.

use super::session::StreamSession;
use super::tail::{KnownEnd, StreamTail};
use super::wire::{self, RabbitMqRecord};
use super::{BIRTH_KEY, OWN_KEY};
use crate::broker::{From, KnownEnds, Next, Offsets, OnTopic, Reader};
use referee::envelope::Wire;
use relays::amqp::request::{self, Argument};
use relays::amqp::{Delivered, Heard};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many records may be on their way; acknowledging half of them asks for as many more.
const PREFETCH: u16 = 2_000;
const ACKNOWLEDGE_EVERY: u16 = PREFETCH / 2;
/// Connecting, with all of its questions, takes no longer than this.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// A connection is tried again after this pause.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// A topic that is read, and the offset that is next.
struct Reading {
    topic: String,
    next: i64,
    /// This is the name of the consumer that reads it; it has none while there is no connection.
    consumer: Vec<u8>,
}

pub(super) struct RabbitMqReader {
    address: String,
    readings: Vec<Reading>,
    session: Option<StreamSession>,
    /// So many records came since the last one was acknowledged.
    unacknowledged: u16,
    /// Whether it was told already that nothing more is there.
    has_told_end: bool,
    /// Asks for ends, beside what is read.
    tail: Mutex<StreamTail>,
}

/// What came of looking at what was heard.
enum Looked {
    Shown,
    /// It is none that is shown: the harness's own, or one that was there before.
    Passed,
}

impl RabbitMqReader {
    pub fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            readings: Vec::new(),
            session: None,
            unacknowledged: 0,
            has_told_end: false,
            tail: Mutex::new(StreamTail::new(address)),
        }
    }

    /// Connects, and reads on with everything that is assigned.
    fn connect(&mut self) -> Result<(), String> {
        let until = Instant::now() + ASK_WITHIN;
        let mut session = StreamSession::open(&self.address, until)?;
        for reading in &mut self.readings {
            let from = Argument::Integer(reading.next);
            let consumer = session.consume(&reading.topic, from, PREFETCH, until)?;
            reading.consumer = consumer.into_bytes();
        }
        self.unacknowledged = 0;
        self.session = Some(session);
        Ok(())
    }

    /// Hears what there is within this time; `None` where it is nothing.
    fn hear(&mut self, wait: Duration) -> Result<Option<Heard>, String> {
        if self.session.is_none() {
            self.connect()?;
        }
        match &mut self.session {
            Some(session) => session.hear(wait),
            None => Ok(None),
        }
    }

    fn end(&self, topic: &str, within: Duration) -> Result<KnownEnd, String> {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.ask(topic, within)
    }

    fn look_at(
        &mut self,
        delivered: &Delivered,
        take: &mut dyn FnMut(&dyn OnTopic),
    ) -> Result<Looked, String> {
        self.unacknowledged += 1;
        if self.unacknowledged >= ACKNOWLEDGE_EVERY
            && let Some(session) = &mut self.session
        {
            let tag = delivered.tag;
            session.say(&|out| request::acknowledge(out, tag))?;
            self.unacknowledged = 0;
        }
        let offset = wire::offset(delivered)?;
        let mut readings = self.readings.iter_mut();
        let Some(reading) = readings.find(|reading| reading.consumer == delivered.consumer) else {
            return Ok(Looked::Passed);
        };
        if offset < reading.next {
            return Ok(Looked::Passed);
        }
        reading.next = offset + 1;
        let record = RabbitMqRecord {
            topic: &reading.topic,
            offset,
            delivered,
        };
        if record.header(OWN_KEY) == Some(BIRTH_KEY.as_bytes()) {
            return Ok(Looked::Passed);
        }
        take(&record);
        Ok(Looked::Shown)
    }

    fn try_next(
        &mut self,
        wait: Duration,
        take: &mut dyn FnMut(&dyn OnTopic),
    ) -> Result<Next, String> {
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.hear(left)? {
                Some(Heard::Delivered(delivered)) => match self.look_at(&delivered, take)? {
                    Looked::Shown => {
                        self.has_told_end = false;
                        return Ok(Next::Record);
                    }
                    Looked::Passed => {}
                },
                Some(
                    Heard::Reply(_)
                    | Heard::Confirmed { .. }
                    | Heard::Returned(_)
                    | Heard::Blocked(_)
                    | Heard::Unblocked,
                ) => {}
                // The only partition of what is read.
                None if !std::mem::replace(&mut self.has_told_end, true) => {
                    return Ok(Next::End(0));
                }
                None => return Ok(Next::Nothing),
            }
        }
    }
}

/// An error says that a topic has no such partition.
fn must_be_the_one(topic: &str, partition: i32) -> Result<(), String> {
    match partition {
        0 => Ok(()),
        other => Err(format!(
            "{topic} has one partition, 0, and none of number {other}"
        )),
    }
}

impl Reader for RabbitMqReader {
    fn assign(&mut self, from: &[From<'_>]) -> Result<(), String> {
        for place in from {
            must_be_the_one(place.topic, place.partition)?;
        }
        // With the connection goes what was on its way.
        self.session = None;
        self.has_told_end = false;
        self.readings = from
            .iter()
            .map(|place| Reading {
                topic: place.topic.to_owned(),
                next: place.offset,
                consumer: Vec::new(),
            })
            .collect();
        Ok(())
    }

    fn next(&mut self, wait: Duration, take: &mut dyn FnMut(&dyn OnTopic)) -> Next {
        if self.readings.is_empty() {
            std::thread::sleep(wait);
            return Next::Nothing;
        }
        match self.try_next(wait, take) {
            Ok(next) => next,
            // Brokers go down in these runs, and come back.
            Err(reason) => {
                self.session = None;
                std::thread::sleep(wait.min(TRY_AGAIN));
                Next::Trouble(reason)
            }
        }
    }

    fn positions(&self, each: &mut dyn FnMut(From<'_>)) -> Result<(), String> {
        for reading in &self.readings {
            each(From {
                topic: &reading.topic,
                partition: 0,
                offset: reading.next,
            });
        }
        Ok(())
    }

    fn ends(&self, topic: &str, partition: i32, within: Duration) -> Result<(i64, i64), String> {
        must_be_the_one(topic, partition)?;
        let until = Instant::now() + within;
        let first = StreamSession::open(&self.address, until)?.first(topic, until)?;
        let left = until.saturating_duration_since(Instant::now());
        Ok((first, self.end(topic, left)?.offset))
    }

    fn ends_of_all(&self, topic: &str, _: i32, within: Duration) -> Result<KnownEnds, String> {
        let end = self.end(topic, within)?;
        Ok(KnownEnds {
            offsets: Offsets::from([(0, end.offset)]),
            at_monotonic_ns: end.at_monotonic_ns,
        })
    }

    fn topics(&self, _within: Duration) -> Result<Vec<(String, Vec<i32>)>, String> {
        Ok(Vec::new())
    }
}
