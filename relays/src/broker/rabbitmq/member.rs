//! A member of a group of consumers of RabbitMQ: it reads one queue of the group over a connection of its own, and
//! acknowledges by itself.
//!
//! What a partition is elsewhere is a connection here, and an offset is a delivery tag: the broker numbers what it gives
//! over a connection from 1. When a connection is gone, whatever was not acknowledged over it comes again, with the tags
//! of another one.
//!
//! AMQP answers an acknowledgement with nothing. Where it matters that the broker has it, something else is asked for
//! behind it, which is answered on the same channel; elsewhere that is done now and then, as the only way to notice a
//! link that swallows everything.

use super::held::HeldMessages;
use crate::amqp::{Heard, Reply, request};
use crate::amqp_session::AmqpSession;
use crate::broker::{GroupSession, TakesRecord};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Connecting, with each of its questions, takes no longer than this.
const OPEN_WITHIN: Duration = Duration::from_secs(5);
/// The answer behind an acknowledgement is waited for so long: less than whoever asks for it waits.
const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);
/// An acknowledgement that need not be answered is, when none was for so long.
const UNANSWERED: Duration = Duration::from_millis(500);
/// What is there already is here after this.
const AT_ONCE: Duration = Duration::from_millis(1);
/// The only consumer on its channel has this tag.
const CONSUMER: &str = "member";

pub(crate) struct RabbitMqMember {
    address: String,
    queue: String,
    prefetch: u16,
    /// Whether each acknowledgement is answered before anything else is done.
    is_answered: bool,
    state: Mutex<MemberState>,
}

#[derive(Default)]
struct MemberState {
    open: Option<OpenQueue>,
    /// The number of the last connection, which stands for a partition.
    connection: i32,
    /// Nothing more is asked for.
    has_stopped: bool,
}

/// A connection over which the queue is read.
struct OpenQueue {
    session: AmqpSession,
    held: HeldMessages,
    answered: Instant,
}

impl OpenQueue {
    fn take(&mut self, heard: Heard) {
        match heard {
            Heard::Delivered(delivered) => self.held.add(delivered.tag, delivered.body),
            // Nothing is published here, and all that is asked for was answered.
            Heard::Reply(_)
            | Heard::Confirmed { .. }
            | Heard::Returned(_)
            | Heard::Blocked(_)
            | Heard::Unblocked => {}
        }
    }

    /// Waits so long for a first message, and takes what is there behind it, until so many are to be read.
    fn fetch(&mut self, wait: Duration, most: usize) -> Result<(), String> {
        let mut wait = if self.held.unread() == 0 {
            wait
        } else {
            AT_ONCE
        };
        while self.held.unread() < most {
            let Some(heard) = self.session.hear(wait)? else {
                break;
            };
            self.take(heard);
            wait = AT_ONCE;
        }
        Ok(())
    }

    /// Acknowledges a message and all before it.
    fn acknowledge(&mut self, tag: u64) -> Result<(), String> {
        self.session.say(&|out| request::acknowledge(out, tag))
    }

    /// Waits until the broker has heard everything.
    fn is_heard(&mut self, prefetch: u16) -> Result<(), String> {
        let asked = |out: &mut Vec<u8>| request::set_prefetch(out, prefetch);
        self.session
            .ask(&asked, Reply::PrefetchSet, Instant::now() + ANSWER_WITHIN)?;
        self.answered = Instant::now();
        Ok(())
    }
}

impl RabbitMqMember {
    /// Will read this queue, with so many messages given to it at most that it has not acknowledged. `is_answered`: an
    /// acknowledgement counts only when the broker has it. Nothing is connected yet.
    pub fn new(address: &str, queue: String, prefetch: u16, is_answered: bool) -> Self {
        Self {
            address: address.to_owned(),
            queue,
            prefetch,
            is_answered,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, MemberState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Result<OpenQueue, String> {
        let until = Instant::now() + OPEN_WITHIN;
        let mut session = AmqpSession::open(&self.address, "outbox-consumer", until)?;
        // The queue is not made here: it would get nothing but what is published from then on.
        let there = |out: &mut Vec<u8>| request::ask_for_queue(out, &self.queue);
        session.ask(&there, Reply::QUEUE_DECLARED, until)?;
        let limited = |out: &mut Vec<u8>| request::set_prefetch(out, self.prefetch);
        session.ask(&limited, Reply::PrefetchSet, until)?;
        let consumed = |out: &mut Vec<u8>| request::consume_queue(out, &self.queue, CONSUMER);
        session.ask(&consumed, Reply::Consuming, until)?;
        Ok(OpenQueue {
            session,
            held: HeldMessages::default(),
            answered: Instant::now(),
        })
    }

    /// Does this over the connection, and gives it up where that fails.
    fn over<T>(
        &self,
        state: &mut MemberState,
        work: impl FnOnce(&mut OpenQueue) -> Result<T, String>,
    ) -> Result<T, String> {
        let Some(open) = &mut state.open else {
            return Err(format!("queue {}: there is no connection", self.queue));
        };
        let done = work(open);
        if done.is_err() {
            state.open = None;
        }
        done.map_err(|reason| format!("queue {}: {reason}", self.queue))
    }
}

/// The tag that is meant of this connection, where one is.
fn tag_of(offsets: &BTreeMap<i32, i64>, state: &MemberState) -> Option<u64> {
    let offset = offsets.get(&state.connection)?;
    u64::try_from(*offset).ok()
}

impl GroupSession for RabbitMqMember {
    fn is_assigned(&self) -> Result<bool, String> {
        Ok(self.state().open.is_some())
    }

    fn read(&self, wait: Duration, most: usize, each: &mut TakesRecord<'_>) -> Result<(), String> {
        let mut state = self.state();
        if state.open.is_none() {
            // What it had is somebody else's now.
            if state.has_stopped {
                return Ok(());
            }
            let opened = self.open();
            let opened = opened.map_err(|reason| format!("read queue {}: {reason}", self.queue));
            state.open = Some(opened?);
            state.connection += 1;
        }
        let (connection, is_open_ended) = (state.connection, !state.has_stopped);
        self.over(&mut state, |open| {
            if is_open_ended {
                open.fetch(wait, most)?;
            }
            open.held.read(most, &mut |tag, body| {
                each(
                    connection,
                    i64::try_from(tag).unwrap_or(i64::MAX),
                    Some(body),
                );
            });
            Ok(())
        })
    }

    fn commit(&self, offsets: &BTreeMap<i32, i64>) -> Result<(), String> {
        let mut state = self.state();
        // What was read over another connection comes again, or was acknowledged; that it was lost has been told.
        let Some(tag) = tag_of(offsets, &state) else {
            return Ok(());
        };
        self.over(&mut state, |open| {
            let Some(last) = open.held.acknowledge_before(tag) else {
                return Ok(());
            };
            open.acknowledge(last)?;
            match self.is_answered || open.answered.elapsed() >= UNANSWERED {
                true => open.is_heard(self.prefetch),
                false => Ok(()),
            }
        })
    }

    fn seek(&self, offsets: &BTreeMap<i32, i64>, _within: Duration) -> Result<(), String> {
        let mut state = self.state();
        if let (Some(tag), Some(open)) = (tag_of(offsets, &state), &mut state.open) {
            open.held.go_back_to(tag);
        }
        Ok(())
    }

    fn give_back(&self, offsets: &BTreeMap<i32, i64>) -> Result<(), String> {
        let mut state = self.state();
        let Some(tag) = tag_of(offsets, &state).filter(|_| state.open.is_some()) else {
            return Ok(());
        };
        self.over(&mut state, |open| {
            for tag in open.held.give_back_from(tag) {
                open.session.say(&|out| request::give_back(out, tag))?;
            }
            Ok(())
        })
    }

    fn stop(&self) -> Result<bool, String> {
        let mut state = self.state();
        state.has_stopped = true;
        if state.open.is_none() {
            return Ok(false);
        }
        self.over(&mut state, |open| {
            let ended = |out: &mut Vec<u8>| request::end_consumer(out, CONSUMER);
            open.session
                .ask(&ended, Reply::ConsumerEnded, Instant::now() + ANSWER_WITHIN)?;
            while let Some(heard) = open.session.take_heard() {
                open.take(heard);
            }
            Ok(open.held.unread() > 0)
        })
    }

    fn leave(&self) -> Result<(), String> {
        match self.state().open.take() {
            Some(open) => open.session.close(Instant::now() + ANSWER_WITHIN),
            None => Ok(()),
        }
    }
}
