//! A sender of an order service: one connection at a time, made anew after any error. It has a thread of its own.
//!
//! An event that waits for a connection is sent over the next one, until its time is up. One that was sent and of which
//! nothing was heard when the connection ended is not sent again: it may be there, and whoever waits is told so.

use super::acknowledged::Acknowledged;
use super::line::{Line, Speaker};
use crate::amqp::{Heard, Returned, request};
use crate::broker::{Awaits, EventSender, Outgoing, Undelivered};
use crate::config::RabbitMqTarget;
use crate::persistence::Persistence;
use crate::pump::backoff::Backoff;
use crate::trace::NO_OFFSET;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

/// Connecting before the first event is waited for no longer than this.
const WARM_UP_WITHIN: Duration = Duration::from_secs(1);
/// The flush at the end takes no longer than this; by then every request has had its report.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);
/// So many bytes may wait for a connection.
const UNSENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// So many bytes are handed to the connection at once.
const BATCH_BYTES: usize = 256 * 1024;
/// So often those are told whose time is up.
const LOOK_AROUND: Duration = Duration::from_millis(20);

/// An event that was not sent yet.
struct Unsent<A> {
    /// These are its frames.
    bytes: Vec<u8>,
    id: u64,
    until: Option<Instant>,
    awaits: A,
}

/// An event that was sent, and of which the broker has not told yet.
struct Unconfirmed<A> {
    id: u64,
    until: Option<Instant>,
    sent: Instant,
    /// This says why it came back, if it did.
    returned: Option<String>,
    /// It is none once whoever waited was told.
    awaits: Option<A>,
}

struct Queue<A> {
    events: VecDeque<Unsent<A>>,
    bytes: usize,
    next_id: u64,
    /// This says why there is no connection.
    trouble: String,
}

/// A broker that has said nothing for so long since something was sent is not there any more.
const SILENCE: Duration = Duration::from_secs(1);

/// What the sender and its thread share.
struct Desk<A> {
    queue: Mutex<Queue<A>>,
    news: Notify,
    is_closing: AtomicBool,
    /// So many events were taken of which nobody was told yet.
    untold: AtomicU64,
    settled: Notify,
    has_connected: watch::Sender<bool>,
}

impl<A: Awaits> Desk<A> {
    fn queue(&self) -> MutexGuard<'_, Queue<A>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    fn tell(&self, awaits: A, fate: Result<u64, Undelivered>) {
        awaits.told(fate);
        if self.untold.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.settled.notify_waiters();
        }
    }

    /// Tells those whose time is up before their event was sent.
    fn expire(&self) {
        let now = Instant::now();
        loop {
            let (event, trouble) = {
                let mut queue = self.queue();
                // All have the same time, so the first one's is up first.
                let is_over = |event: &Unsent<A>| event.until.is_some_and(|until| until <= now);
                if !queue.events.front().is_some_and(is_over) {
                    return;
                }
                let Some(event) = queue.events.pop_front() else {
                    return;
                };
                queue.bytes -= event.bytes.len();
                (event, queue.trouble.clone())
            };
            let reason = format!("its time was up before it could be sent: {trouble}");
            self.tell(
                event.awaits,
                Err(undelivered(reason, Persistence::NotPersisted)),
            );
        }
    }

    /// Does the work, and tells meanwhile those whose time is up.
    async fn while_expiring<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = sleep(LOOK_AROUND) => self.expire(),
            }
        }
    }

    /// Makes one connection after the other, until the sender is gone.
    async fn serve(&self, target: &RabbitMqTarget) {
        let mut backoff = Backoff::default();
        while !self.is_closing() {
            let opened = Line::open(target, "outbox-harness order-service");
            let reason = match self.while_expiring(opened).await {
                Ok(line) => {
                    self.has_connected.send_replace(true);
                    let mut speaker = ServiceSpeaker::new(self, target.confirms);
                    let reason = line.hold(&mut speaker, &self.news).await;
                    if speaker.has_heard {
                        backoff.reset();
                    }
                    speaker.give_up(&reason);
                    reason
                }
                Err(reason) => reason,
            };
            tracing::warn!(reason, "no connection to RabbitMQ");
            self.queue().trouble = reason;
            self.while_expiring(sleep(backoff.next())).await;
        }
    }
}

fn undelivered(reason: String, persistence: Persistence) -> Undelivered {
    Undelivered {
        reason,
        persistence,
    }
}

/// The connection's side of what the service sends.
struct ServiceSpeaker<'d, A: Awaits> {
    desk: &'d Desk<A>,
    has_confirms: bool,
    acknowledged: Acknowledged,
    /// These were sent, or are about to be, in the order of their numbers; those told of in front are gone.
    sent: VecDeque<Unconfirmed<A>>,
    /// So many were sent, gone ones included.
    sent_count: u64,
    heard_at: Instant,
    has_heard: bool,
    /// This says why the broker takes nothing for now.
    blocked: Option<String>,
    looks_at: Instant,
}

impl<'d, A: Awaits> ServiceSpeaker<'d, A> {
    fn new(desk: &'d Desk<A>, has_confirms: bool) -> Self {
        Self {
            desk,
            has_confirms,
            acknowledged: Acknowledged::default(),
            sent: VecDeque::new(),
            sent_count: 0,
            heard_at: Instant::now(),
            has_heard: false,
            blocked: None,
            looks_at: Instant::now(),
        }
    }

    /// Tells whoever waits for these what the broker, or the operating system, made of them.
    fn settle(&mut self, tag: u64, is_multiple: bool, is_ack: bool) -> Result<(), String> {
        let gone = self.sent_count - self.sent.len() as u64;
        let (sent, desk) = (&mut self.sent, self.desk);
        let taken = self
            .acknowledged
            .take(tag, is_multiple, self.sent_count, |number| {
                let index = usize::try_from(number - 1 - gone).unwrap_or(usize::MAX);
                let Some(event) = sent.get_mut(index) else {
                    return;
                };
                let Some(awaits) = event.awaits.take() else {
                    return;
                };
                let fate = match (event.returned.take(), is_ack) {
                    (Some(reason), _) => Err(undelivered(reason, Persistence::NotPersisted)),
                    (None, true) => Ok(NO_OFFSET),
                    // One of several queues may have it.
                    (None, false) => Err(undelivered(
                        "the broker refused it".to_owned(),
                        Persistence::PossiblyPersisted,
                    )),
                };
                desk.tell(awaits, fate);
            });
        let told = usize::try_from(self.acknowledged.prefix() - gone).unwrap_or(0);
        self.sent.drain(..told);
        taken
    }

    /// Notes which event it was that came back; the broker confirms it later all the same.
    fn returned(&mut self, returned: &Returned) {
        let id = returned
            .message_id
            .as_deref()
            .and_then(|id| id.parse().ok());
        let found = self.sent.iter_mut().find(|event| Some(event.id) == id);
        if let Some(event) = found {
            event.returned = Some(format!(
                "no queue got it, so it came back: {} ({})",
                returned.text, returned.code
            ));
        }
    }

    /// Tells all who still wait that the connection is gone.
    fn give_up(self, reason: &str) {
        for event in self.sent {
            if let Some(awaits) = event.awaits {
                let unknown = undelivered(reason.to_owned(), Persistence::PossiblyPersisted);
                self.desk.tell(awaits, Err(unknown));
            }
        }
    }
}

impl<A: Awaits> Speaker for ServiceSpeaker<'_, A> {
    fn speaks(&mut self, into: &mut Vec<u8>) -> Result<(), String> {
        if self.desk.is_closing() {
            return Err("the order service ends".to_owned());
        }
        let sent = Instant::now();
        let mut queue = self.desk.queue();
        while into.len() < BATCH_BYTES
            && let Some(event) = queue.events.pop_front()
        {
            queue.bytes -= event.bytes.len();
            into.extend(&event.bytes);
            self.sent.push_back(Unconfirmed {
                id: event.id,
                until: event.until,
                sent,
                returned: None,
                awaits: Some(event.awaits),
            });
            self.sent_count += 1;
        }
        Ok(())
    }

    fn is_sent(&mut self) {
        if !self.has_confirms {
            // Of what was sent nobody tells more than was sent.
            let _ = self.settle(0, true, true);
        }
    }

    fn hears(&mut self, heard: Heard) -> Result<(), String> {
        self.heard_at = Instant::now();
        self.has_heard = true;
        match heard {
            Heard::Confirmed {
                tag,
                is_multiple,
                is_ack,
            } => self.settle(tag, is_multiple, is_ack),
            Heard::Returned(returned) => {
                self.returned(&returned);
                Ok(())
            }
            Heard::Blocked(why) => {
                tracing::warn!(why, "RabbitMQ takes nothing");
                let reason = format!("the broker takes nothing: {why}");
                self.desk.queue().trouble = reason.clone();
                self.blocked = Some(reason);
                Ok(())
            }
            Heard::Unblocked => {
                tracing::warn!("RabbitMQ takes events again");
                self.blocked = None;
                Ok(())
            }
            Heard::Reply(_) | Heard::Delivered(_) => {
                Err("the broker answered what nobody asked".to_owned())
            }
        }
    }

    fn looks_at(&self) -> Option<Instant> {
        let has_anybody = self.desk.untold.load(Ordering::Acquire) > 0;
        (has_anybody || !self.sent.is_empty()).then_some(self.looks_at)
    }

    fn looks_around(&mut self) -> Result<(), String> {
        let now = Instant::now();
        self.looks_at = now + LOOK_AROUND;
        self.desk.expire();
        // An event may have waited for its connection until its time was nearly up: that says nothing of the connection.
        let is_silent = self.sent.front().is_some_and(|first| {
            self.heard_at <= first.sent && now.duration_since(first.sent) >= SILENCE
        });
        for event in &mut self.sent {
            if event.until.is_none_or(|until| until > now) {
                break;
            }
            if let Some(awaits) = event.awaits.take() {
                let reason = match &self.blocked {
                    Some(blocked) => format!("its time was up: {blocked}"),
                    None => "its time was up before the broker confirmed it".to_owned(),
                };
                let unknown = undelivered(reason, Persistence::PossiblyPersisted);
                self.desk.tell(awaits, Err(unknown));
            }
        }
        match is_silent {
            true => Err("nothing was heard of the broker since an event was sent".to_owned()),
            false => Ok(()),
        }
    }
}

/// Sends to one exchange.
pub(crate) struct RabbitMqSender<A: Awaits> {
    target: RabbitMqTarget,
    within: Option<Duration>,
    desk: Arc<Desk<A>>,
}

impl<A: Awaits> RabbitMqSender<A> {
    /// Makes a sender for this exchange, which connects on its own in the background; an error says why there is none.
    pub fn new(target: &RabbitMqTarget, delivery_timeout_ms: Option<u64>) -> Result<Self, String> {
        let desk = Arc::new(Desk {
            queue: Mutex::new(Queue {
                events: VecDeque::new(),
                bytes: 0,
                next_id: 0,
                trouble: "it is not connected yet".to_owned(),
            }),
            news: Notify::new(),
            is_closing: AtomicBool::new(false),
            untold: AtomicU64::new(0),
            settled: Notify::new(),
            has_connected: watch::channel(false).0,
        });
        let sender = Self {
            target: target.clone(),
            within: delivery_timeout_ms.map(Duration::from_millis),
            desk: Arc::clone(&desk),
        };
        let target = target.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| format!("start the runtime of RabbitMQ's client: {e}"))?;
        std::thread::Builder::new()
            .name("rabbitmq-sender".into())
            .spawn(move || runtime.block_on(desk.serve(&target)))
            .map_err(|e| format!("start the thread of RabbitMQ's client: {e}"))?;
        Ok(sender)
    }
}

impl<A: Awaits> EventSender<A> for RabbitMqSender<A> {
    fn send(&self, event: Outgoing<'_>, awaits: A) -> Result<(), String> {
        let topic = &self.target.topic;
        let mut queue = self.desk.queue();
        let id = queue.next_id;
        let mut bytes = Vec::with_capacity(256 + event.value.len());
        let message = request::Publishing {
            exchange: topic,
            key: event.key,
            is_mandatory: self.target.mandatory,
            // A returned event is known by it.
            message_id: self.target.mandatory.then_some(id),
            headers: &event.headers,
            body: event.value.as_bytes(),
        };
        request::publish(&mut bytes, &message)
            .map_err(|e| format!("publishing to exchange {topic}: {e}"))?;
        if queue.bytes + bytes.len() > UNSENT_BYTES_MAX {
            return Err(format!(
                "publishing to exchange {topic}: too many events wait because the broker takes them more slowly \
                 than they come"
            ));
        }
        queue.next_id += 1;
        queue.bytes += bytes.len();
        self.desk.untold.fetch_add(1, Ordering::AcqRel);
        queue.events.push_back(Unsent {
            bytes,
            id,
            until: self.within.map(|within| Instant::now() + within),
            awaits,
        });
        drop(queue);
        self.desk.news.notify_one();
        Ok(())
    }

    fn warm_up(&self) -> BoxFuture<'_, ()> {
        async {
            let mut connected = self.desk.has_connected.subscribe();
            let connected = connected.wait_for(|has| *has);
            if timeout(WARM_UP_WITHIN, connected).await.is_err() {
                tracing::warn!(topic = self.target.topic, "RabbitMQ does not answer yet");
            }
        }
        .boxed()
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        async {
            let all = async {
                loop {
                    let settled = self.desk.settled.notified();
                    if self.desk.untold.load(Ordering::Acquire) == 0 {
                        return;
                    }
                    settled.await;
                }
            };
            if timeout(FLUSH_WITHIN, all).await.is_err() {
                tracing::warn!("events were left with RabbitMQ's client at the end");
            }
        }
        .boxed()
    }
}

impl<A: Awaits> Drop for RabbitMqSender<A> {
    fn drop(&mut self) {
        self.desk.is_closing.store(true, Ordering::Release);
        self.desk.news.notify_one();
    }
}
