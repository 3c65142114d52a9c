//! The exchange of a strategy with the referee's stream, as its administrator: made before the run, closed by the
//! fence, deleted after it.

use super::session::StreamSession;
use super::{BIRTH_KEY, OWN_KEY, stream_of};
use crate::broker::{Length, Topic};
use crate::event::SENTINEL_KEY;
use crate::identity::Identity;
use futures::FutureExt;
use futures::future::BoxFuture;
use relays::amqp::request::{self, Publishing};
use relays::amqp::{Heard, Reply};
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
}

impl RabbitMqTopic {
    /// Names a topic; nothing is made yet.
    pub(super) fn new(address: &str, name: &str) -> Self {
        Self {
            address: address.to_owned(),
            name: name.to_owned(),
        }
    }

    fn make(&self) -> Result<(), String> {
        let (name, stream) = (&self.name, stream_of(&self.name));
        let mut session = self.session(ADMIN_TIMEOUT)?;
        let mut ask = |question: super::session::Question<'_>, answer| {
            let answered = session.ask(question, answer, ADMIN_TIMEOUT);
            answered.map(|_| ())
        };
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
        self.append(&mut session, BIRTH_KEY, "", Instant::now() + ADMIN_TIMEOUT)
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
        session.ask(&request::select_confirms, Reply::ConfirmsOn, ADMIN_TIMEOUT)?;
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
                Some(
                    Heard::Reply(_) | Heard::Delivered(_) | Heard::Blocked(_) | Heard::Unblocked,
                ) => {}
                None => return Err(format!("stream {stream} did not confirm a record in time")),
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
        let within = until.saturating_duration_since(Instant::now());
        let mut session = self.session(within)?;
        let gone = |out: &mut Vec<u8>| request::delete_exchange(out, &self.name);
        session.ask(&gone, Reply::ExchangeDeleted, within)?;
        self.append(&mut session, SENTINEL_KEY, &identity.sentinel_mark(), until)
    }

    fn remove(&self) -> Result<(), String> {
        let mut session = self.session(ADMIN_TIMEOUT)?;
        let exchange = |out: &mut Vec<u8>| request::delete_exchange(out, &self.name);
        session.ask(&exchange, Reply::ExchangeDeleted, ADMIN_TIMEOUT)?;
        // The queue of the name is the one that publishers make.
        for queue in [stream_of(&self.name), self.name.clone()] {
            let deleted = |out: &mut Vec<u8>| request::delete_queue(out, &queue);
            session.ask(&deleted, Reply::QueueDeleted, ADMIN_TIMEOUT)?;
        }
        Ok(())
    }

    fn session(&self, within: Duration) -> Result<StreamSession, String> {
        StreamSession::open(&self.address, within)
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
    fn create(&self) -> BoxFuture<'_, Result<(), String>> {
        self.blocking("creating", Self::make).boxed()
    }

    fn delete(&self) -> BoxFuture<'_, Result<(), String>> {
        self.blocking("deleting", Self::remove).boxed()
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, String>> {
        self.blocking("asking for the length of", |this| {
            let mut session = this.session(ADMIN_TIMEOUT)?;
            // The one that each has from its beginning is the harness's own.
            Ok(session.end(&this.name, ADMIN_TIMEOUT)? <= 1)
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

    fn length(&self) -> Result<Box<dyn Length>, String> {
        Ok(Box::new(StreamLength {
            topic: self.clone(),
            session: Arc::default(),
        }))
    }
}

/// The length of a stream by its ends, the harness's own records included.
struct StreamLength {
    topic: RabbitMqTopic,
    session: Arc<Mutex<Option<StreamSession>>>,
}

impl Length for StreamLength {
    fn records(&self) -> BoxFuture<'_, Result<u64, String>> {
        let session = Arc::clone(&self.session);
        self.topic
            .blocking("asking for the length of", move |topic| {
                let mut kept = session.lock().unwrap_or_else(PoisonError::into_inner);
                let mut session = match kept.take() {
                    Some(session) => session,
                    None => topic.session(ADMIN_TIMEOUT)?,
                };
                let end = session.end(&topic.name, ADMIN_TIMEOUT)?;
                *kept = Some(session);
                Ok(end.unsigned_abs())
            })
            .boxed()
    }
}
