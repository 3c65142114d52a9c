//! RabbitMQ under a relay: everything over one channel, confirmed by the broker, mandatory where that is asked for.
//!
//! What keeps the order of a key when deliveries fail:
//!
//! - One channel's messages are routed in the order in which they were sent, and its bytes go over one connection: what
//!   the broker got of a connection is always a prefix of what was sent over it. After a cut, late bytes can only
//!   extend that prefix.
//! - A connection of which anything failed (a message came back, or was refused, or the connection ended) is given up
//!   with all that is in flight, and the next one starts again at the first event that is not durable. What the old one
//!   had brought beyond that becomes a duplicate: each event that reaches a queue, from either connection, finds all
//!   earlier ones of its key there.
//! - The broker tells of a message that it returns before it confirms it. So what was confirmed before the first return
//!   is delivered, and nothing that was confirmed after it is counted: no confirmation need be matched with a return.
//! - A server that has just started refuses what is routed to a queue that is not back yet, and takes what comes a
//!   moment later: an overtaking. So the first event of a connection goes alone, and the others when it is confirmed.
//! - What cannot be promised: a queue that refuses one event later on, and takes the next (it was full for a moment, say),
//!   has them in another order than they were sent. Queues without a limit, as here, do not.
//!
//! Without confirms an event counts as durable as soon as its bytes are handed to the operating system. That is the
//! point of leaving them out: whatever happens to the broker then is lost.

use super::acknowledged::Acknowledged;
use super::line::{Line, Speaker};
use crate::amqp::{Heard, request};
use crate::broker::in_flight::InFlight;
use crate::broker::patience::Patience;
use crate::broker::reports::Reports;
use crate::config::RabbitMqTarget;
use crate::publisher::{Delivery, Offer, PublishError, Publisher};
use crate::signal::monotonic_ns;
use crate::source::Event;
use crate::trace::NO_OFFSET;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// So many events are in flight at most.
const IN_FLIGHT_MAX: u64 = 4_096;
/// So many bytes of them, unless it is a single event.
const IN_FLIGHT_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Reports that are worth a look before all are there: they make room for as many events.
const WORTH_A_LOOK: u64 = IN_FLIGHT_MAX / 8;
/// The broker confirms at the latest when it has got so many bytes more.
const CONFIRMED_BYTES: u32 = 256 * 1024;
/// The end of an abandoned connection's task is waited for no longer than this.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(5);

/// Events that the connection has not begun to send.
#[derive(Debug, Default)]
struct Unspoken {
    bytes: Vec<u8>,
    events: u64,
}

/// What a connection's task and the pump share.
#[derive(Debug)]
struct LineState {
    unspoken: Mutex<Unspoken>,
    /// There is something to send.
    news: Notify,
    durable: AtomicU64,
    reports: Reports,
    is_over: AtomicBool,
    /// This says why it is over.
    failure: Mutex<Option<String>>,
    trouble: Mutex<Option<String>>,
    /// This says why the broker takes nothing for now.
    blocked: Mutex<Option<String>>,
    /// Where each report goes as well, if a trace wants it: never more than are in flight.
    traced: Option<mpsc::Sender<Delivery>>,
}

impl LineState {
    fn new(traced: Option<mpsc::Sender<Delivery>>) -> Self {
        Self {
            unspoken: Mutex::default(),
            news: Notify::new(),
            durable: AtomicU64::new(0),
            reports: Reports::default(),
            is_over: AtomicBool::new(false),
            failure: Mutex::new(None),
            trouble: Mutex::new(None),
            blocked: Mutex::new(None),
            traced,
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Says what nothing has failed by so far.
    fn tell(&self, trouble: String) {
        *lock(&self.trouble) = Some(trouble);
        self.reports.disturb();
    }

    fn end(&self, reason: String) {
        *lock(&self.failure) = Some(reason);
        self.is_over.store(true, Ordering::Release);
        self.reports.disturb();
    }
}

/// The connection's side of what the pump hands over.
struct RelaySpeaker {
    state: Arc<LineState>,
    has_confirms: bool,
    acknowledged: Acknowledged,
    /// So many events are sent, or about to be.
    spoken: u64,
}

impl RelaySpeaker {
    fn settle(&mut self, tag: u64, is_multiple: bool) -> Result<(), String> {
        let state = &self.state;
        let at_ns = state.traced.as_ref().map_or(0, |_| monotonic_ns());
        let taken = self
            .acknowledged
            .take(tag, is_multiple, self.spoken, |number| {
                // First: whoever sees the position as durable finds its report.
                if let Some(traced) = &state.traced {
                    let _ = traced.send(Delivery {
                        position: number - 1,
                        at_ns,
                        fate: Ok(NO_OFFSET),
                    });
                }
            });
        let before = state
            .durable
            .swap(self.acknowledged.prefix(), Ordering::AcqRel);
        for _ in before..self.acknowledged.prefix() {
            state.reports.add();
        }
        taken
    }
}

impl Speaker for RelaySpeaker {
    fn speaks(&mut self, into: &mut Vec<u8>) -> Result<(), String> {
        let mut unspoken = lock(&self.state.unspoken);
        std::mem::swap(&mut unspoken.bytes, into);
        self.spoken += std::mem::take(&mut unspoken.events);
        Ok(())
    }

    fn is_sent(&mut self) {
        if !self.has_confirms {
            // Of what was sent nobody tells more than was sent.
            let _ = self.settle(0, true);
        }
    }

    fn hears(&mut self, heard: Heard) -> Result<(), String> {
        match heard {
            Heard::Confirmed {
                tag,
                is_multiple,
                is_ack: true,
            } => self.settle(tag, is_multiple),
            Heard::Confirmed { tag, .. } => Err(format!("the broker refused message {tag}")),
            // Nobody waits for what becomes of an event.
            Heard::Returned(returned) if !self.has_confirms => {
                self.state
                    .tell(format!("a message came back: {}", returned.text));
                Ok(())
            }
            Heard::Returned(returned) => Err(format!(
                "a message came back, {} ({}): is a queue bound to the exchange?",
                returned.text, returned.code
            )),
            Heard::Blocked(why) => {
                let trouble = format!("the broker takes nothing: {why}");
                *lock(&self.state.blocked) = Some(why);
                self.state.tell(trouble);
                Ok(())
            }
            Heard::Unblocked => {
                *lock(&self.state.blocked) = None;
                tracing::info!("the broker takes events again");
                Ok(())
            }
            Heard::Reply(_) | Heard::Delivered(_) => {
                Err("the broker answered what nobody asked".to_owned())
            }
        }
    }
}

/// Publishes to one exchange.
pub struct RabbitMqPublisher {
    target: RabbitMqTarget,
    line: Option<JoinHandle<()>>,
    state: Arc<LineState>,
    /// This is the other end of the deliveries' reports, for a trace; `None` without one.
    kept: Option<mpsc::Receiver<Delivery>>,
    taken: u64,
    durable: u64,
    in_flight: InFlight,
    patience: Patience,
}

impl RabbitMqPublisher {
    /// Makes a publisher for this exchange, which connects later.
    pub fn new(target: RabbitMqTarget) -> Self {
        Self {
            target,
            line: None,
            state: Arc::new(LineState::new(None)),
            kept: None,
            taken: 0,
            durable: 0,
            in_flight: InFlight::new(IN_FLIGHT_MAX),
            patience: Patience::default(),
        }
    }

    /// Keeps each delivery for [`Publisher::deliveries`], which must then be called regularly.
    pub fn keeping_deliveries(mut self) -> Self {
        let (reports, kept) = mpsc::channel();
        self.state = Arc::new(LineState::new(Some(reports)));
        self.kept = Some(kept);
        self
    }

    /// Positions count from 0 again; what is reported of earlier ones goes nowhere.
    fn start_over(&mut self) {
        (self.taken, self.durable) = (0, 0);
        self.in_flight.clear();
        let (traced, kept) = self.kept.is_some().then(mpsc::channel).unzip();
        self.state = Arc::new(LineState::new(traced));
        self.kept = kept;
    }

    fn error(&self, reason: impl ToString) -> PublishError {
        PublishError {
            doing: format!(
                "publish to exchange {} at {}",
                self.target.topic, self.target.address
            ),
            reason: reason.to_string(),
            failed: self.taken - self.durable,
            is_of_cache: false,
        }
    }

    /// Whether an event of this size may be sent now: the first of a connection alone, until it is confirmed.
    fn has_room(&self, bytes: u64) -> bool {
        let in_flight = self.taken - self.durable;
        let is_known_to_take = self.durable > 0;
        in_flight == 0
            || (is_known_to_take
                && in_flight < IN_FLIGHT_MAX
                && self.in_flight.bytes() + bytes <= IN_FLIGHT_BYTES_MAX)
    }
}

impl Publisher for RabbitMqPublisher {
    async fn connect(&mut self) -> Result<(), PublishError> {
        if self.line.is_some() && !self.state.is_over() {
            return Ok(());
        }
        self.abandon().await;
        self.start_over();
        let opened = Line::open(&self.target, "outbox-relay").await;
        let line = opened.map_err(|reason| self.error(reason))?;
        let state = Arc::clone(&self.state);
        let mut speaker = RelaySpeaker {
            state: Arc::clone(&state),
            has_confirms: self.target.confirms,
            acknowledged: Acknowledged::default(),
            spoken: 0,
        };
        self.line = Some(tokio::spawn(async move {
            let reason = line.hold(&mut speaker, &state.news).await;
            state.end(reason);
        }));
        Ok(())
    }

    fn offer(&mut self, event: &Event<'_>) -> Result<Offer, PublishError> {
        if self.line.is_none() {
            return Err(self.error("not connected"));
        }
        let bytes = event.key.len() + event.payload.len();
        if !self.has_room(bytes as u64) {
            return Ok(Offer::Full);
        }
        let mut unspoken = lock(&self.state.unspoken);
        let published = request::publish(
            &mut unspoken.bytes,
            &request::Publishing {
                exchange: &self.target.topic,
                key: event.key,
                is_mandatory: self.target.mandatory,
                message_id: None,
                headers: &[
                    ("id", event.id),
                    ("eventType", event.event_type),
                    ("version", event.version),
                ],
                body: event.payload.as_bytes(),
            },
        );
        if published.is_ok() {
            unspoken.events += 1;
        }
        drop(unspoken);
        if let Err(error) = published {
            let reason = format!("event {} of {}: {error}", event.id, event.key);
            let mut refused = self.error(reason);
            refused.failed += 1;
            return Err(refused);
        }
        self.state.news.notify_one();
        self.in_flight.takes(self.taken, bytes);
        self.taken += 1;
        Ok(Offer::Taken)
    }

    fn taken(&self) -> u64 {
        self.taken
    }

    fn durable(&mut self) -> Result<u64, PublishError> {
        // Asked first: what was confirmed before the end counts.
        let is_over = self.state.is_over();
        let durable = self.durable_despite_failure();
        if !is_over {
            return Ok(durable);
        }
        let reason = lock(&self.state.failure).clone();
        Err(self.error(reason.unwrap_or_default()))
    }

    fn durable_despite_failure(&mut self) -> u64 {
        let durable = self.state.durable.load(Ordering::Acquire);
        self.in_flight.settles(self.durable..durable);
        self.durable = durable;
        durable
    }

    fn reported(&self) -> u64 {
        self.state.reports.count()
    }

    fn patience(&self) -> Duration {
        self.patience
            .with(self.in_flight.outstanding(CONFIRMED_BYTES))
    }

    fn deliveries(&mut self, each: impl FnMut(Delivery)) {
        if let Some(kept) = &self.kept {
            kept.try_iter().for_each(each);
        }
    }

    fn held_up(&self) -> Option<String> {
        lock(&self.state.blocked).clone()
    }

    async fn progress(&self) {
        let enough = self.reported() + WORTH_A_LOOK;
        self.state.reports.reach(enough.min(self.taken)).await;
    }

    fn trouble(&mut self) -> Option<String> {
        lock(&self.state.trouble).take()
    }

    async fn abandon(&mut self) {
        let Some(line) = self.line.take() else {
            return;
        };
        self.patience.gave_up(self.taken, self.reported());
        self.start_over();
        // With the task goes the connection.
        line.abort();
        if tokio::time::timeout(ABANDON_TIMEOUT, line).await.is_err() {
            tracing::warn!("the abandoned connection takes its time to end");
        }
    }
}

impl Drop for RabbitMqPublisher {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            line.abort();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
