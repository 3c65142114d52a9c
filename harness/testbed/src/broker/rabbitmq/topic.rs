//! The exchange of a strategy with the referee's stream, as its administrator: made before the run, closed by the
//! fence, deleted after it.

use super::depth::QueueDepths;
use super::session::StreamSession;
use super::tail::StreamTail;
use super::witness::Witness;
use super::{BIRTH_KEY, OWN_KEY, stream_of};
use crate::broker::{Length, NotMade, Topic};
use crate::event::SENTINEL_KEY;
use crate::identity::Identity;
use futures::FutureExt;
use futures::future::BoxFuture;
use relays::amqp::request::{self, Publishing};
use relays::amqp::{Heard, Reply};
use relays::config::QueueKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const ADMIN_TIMEOUT: Duration = Duration::from_secs(15);
/// What failed while a server comes back is tried again after this pause.
const TRY_AGAIN: Duration = Duration::from_millis(100);
/// The stream gets everything.
pub(super) const EVERYTHING: &str = "#";

/// This is one topic.
#[derive(Clone)]
pub(super) struct RabbitMqTopic {
    address: String,
    name: String,
    /// The queue that its publishers make is of this kind.
    queue: QueueKind,
    witness: Arc<Witness>,
}

impl RabbitMqTopic {
    /// Names a topic, whose publishers make a queue of this kind; nothing is made yet.
    pub(super) fn new(address: &str, name: &str, queue: QueueKind) -> Self {
        Self {
            address: address.to_owned(),
            name: name.to_owned(),
            queue,
            witness: Arc::default(),
        }
    }

    fn make(&self) -> Result<(), String> {
        let (name, stream) = (&self.name, stream_of(&self.name));
        let until = Instant::now() + ADMIN_TIMEOUT;
        let mut session = self.session(until)?;
        let mut ask =
            |question: super::session::Question<'_>, answer| session.ask(question, answer, until);
        // A stream keeps everything for ever unless it is told otherwise.
        ask(
            &|out| request::declare_exchange(out, name),
            Reply::ExchangeDeclared,
        )?;
        ask(
            &|out| request::declare_queue(out, &stream, "stream"),
            Reply::QUEUE_DECLARED,
        )?;
        ask(
            &|out| request::bind(out, &stream, name, EVERYTHING),
            Reply::QueueBound,
        )?;
        self.append(&mut session, BIRTH_KEY, "", until)?;
        self.witness.listen(&self.address)
    }

    /// Appends a record of the harness's own to the stream, around the exchange, and waits until it is there.
    fn append(
        &self,
        session: &mut StreamSession,
        key: &str,
        value: &str,
        until: Instant,
    ) -> Result<(), String> {
        let stream = stream_of(&self.name);
        session.ask(&request::select_confirms, Reply::ConfirmsOn, until)?;
        session.say(&|out| {
            request::publish(
                out,
                &Publishing {
                    exchange: "",
                    key: &stream,
                    is_mandatory: true,
                    message_id: None,
                    headers: &[(OWN_KEY, key)],
                    body: value.as_bytes(),
                },
            )
        })?;
        let mut blocked = String::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match session.hear(left)? {
                Some(Heard::Confirmed { is_ack: true, .. }) => return Ok(()),
                Some(Heard::Confirmed { is_ack: false, .. }) => {
                    return Err(format!("stream {stream} refused a record"));
                }
                Some(Heard::Returned(returned)) => {
                    return Err(format!("stream {stream} is gone: {}", returned.text));
                }
                Some(Heard::Blocked(why)) => {
                    self.witness.heard(&why);
                    blocked = format!(": the broker takes nothing from whoever publishes ({why})");
                }
                Some(Heard::Unblocked) => blocked.clear(),
                Some(Heard::Reply(_) | Heard::Delivered(_)) => {}
                None => {
                    return Err(format!(
                        "stream {stream} did not confirm a record in time{blocked}"
                    ));
                }
            }
        }
    }

    /// Deletes the exchange, without which nothing is routed to the stream any more: whoever publishes to it has its
    /// channel closed. What was on its way before is in front of the sentinel.
    fn shut(&self, identity: &Identity, within: Duration) -> Result<(), String> {
        let until = Instant::now() + within;
        loop {
            match self.try_shut(identity, until) {
                // A server that has just started has its queues some moments later.
                Err(_) if Instant::now() + TRY_AGAIN < until => std::thread::sleep(TRY_AGAIN),
                done => return done,
            }
        }
    }

    fn try_shut(&self, identity: &Identity, until: Instant) -> Result<(), String> {
        let mut session = self.session(until)?;
        let gone = |out: &mut Vec<u8>| request::delete_exchange(out, &self.name);
        session.ask(&gone, Reply::ExchangeDeleted, until)?;
        self.append(&mut session, SENTINEL_KEY, &identity.sentinel_mark(), until)
    }

    fn remove(&self) -> Result<(), String> {
        let until = Instant::now() + ADMIN_TIMEOUT;
        let mut session = self.session(until)?;
        let exchange = |out: &mut Vec<u8>| request::delete_exchange(out, &self.name);
        session.ask(&exchange, Reply::ExchangeDeleted, until)?;
        // The queue of the name is the one that publishers make.
        for queue in [stream_of(&self.name), self.name.clone()] {
            let deleted = |out: &mut Vec<u8>| request::delete_queue(out, &queue);
            session.ask(&deleted, Reply::QueueDeleted, until)?;
        }
        Ok(())
    }

    fn session(&self, until: Instant) -> Result<StreamSession, String> {
        StreamSession::open(&self.address, until)
    }

    fn failed(&self, doing: &str, reason: &str) -> String {
        format!(
            "{doing} exchange {} at {}: {reason}",
            self.name, self.address
        )
    }

    /// Does this on a thread for blocking work.
    async fn blocking<T: Send + 'static>(
        &self,
        doing: &str,
        work: impl FnOnce(&Self) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let this = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&this)).await;
        done.unwrap_or_else(|panic| Err(panic.to_string()))
            .map_err(|reason| self.failed(doing, &reason))
    }
}

impl Topic for RabbitMqTopic {
    fn create(&self) -> BoxFuture<'_, Result<(), NotMade>> {
        async { Ok(self.blocking("creating", Self::make).await?) }.boxed()
    }

    fn delete(&self) -> BoxFuture<'_, Result<(), String>> {
        self.blocking("deleting", Self::remove).boxed()
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, String>> {
        self.blocking("asking for the length of", |this| {
            let end = StreamTail::new(&this.address).ask(&this.name, ADMIN_TIMEOUT)?;
            // The one that each has from its beginning is the harness's own.
            Ok(end.offset <= 1)
        })
        .boxed()
    }

    fn close<'a>(
        &'a self,
        identity: &'a Identity,
        within: Duration,
    ) -> BoxFuture<'a, Result<(), String>> {
        let identity = identity.clone();
        self.blocking("closing", move |this| this.shut(&identity, within))
            .boxed()
    }

    fn held_up(&self) -> BoxFuture<'_, Option<String>> {
        async { self.witness.told() }.boxed()
    }

    fn length(&self) -> Result<Box<dyn Length>, String> {
        Ok(match self.queue {
            // A stream says of none how many there are.
            QueueKind::Stream => Box::new(StreamLength {
                tail: Arc::new(Mutex::new(StreamTail::new(&self.address))),
                topic: self.clone(),
            }),
            QueueKind::Classic | QueueKind::Quorum => Box::new(QueueLength {
                depths: Arc::default(),
                topic: self.clone(),
            }),
        })
    }
}

/// The length by the queue that the topic's publishers make, which gets what the stream gets, and which nobody reads.
/// Nothing is sent to whoever asks, unlike by [`StreamLength`].
struct QueueLength {
    topic: RabbitMqTopic,
    depths: Arc<Mutex<QueueDepths>>,
}

impl Length for QueueLength {
    fn records(&self) -> BoxFuture<'_, Result<u64, String>> {
        let depths = Arc::clone(&self.depths);
        self.topic
            .blocking("asking for the length of", move |topic| {
                let mut depths = depths.lock().unwrap_or_else(PoisonError::into_inner);
                let until = Instant::now() + ADMIN_TIMEOUT;
                let depth = depths.ask(&topic.address, (&topic.name, topic.queue), until)?;
                // The stream has a record of the harness's own as well.
                Ok(1 + depth)
            })
            .boxed()
    }
}

/// The length of a stream by its end, the harness's own records included. It reads along.
struct StreamLength {
    topic: RabbitMqTopic,
    tail: Arc<Mutex<StreamTail>>,
}

impl Length for StreamLength {
    fn records(&self) -> BoxFuture<'_, Result<u64, String>> {
        let tail = Arc::clone(&self.tail);
        self.topic
            .blocking("asking for the length of", move |topic| {
                let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
                let end = tail.ask(&topic.name, ADMIN_TIMEOUT)?;
                Ok(end.offset.unsigned_abs())
            })
            .boxed()
    }
}
