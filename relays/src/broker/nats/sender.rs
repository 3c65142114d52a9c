//! An order service's publishing, by async-nats as an application has it: it connects by itself, again and again, and
//! sends what was handed to it while it was away. So an event of which nobody heard in time may still come.

use crate::broker::{Awaits, EventSender, Outgoing, Undelivered};
use crate::config::NatsTarget;
use crate::persistence::Persistence;
use async_nats::jetstream::context::{ContextBuilder, PublishAckFuture, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{Context, context};
use async_nats::{ConnectOptions, Event, HeaderMap};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

/// So many events are under way at most.
const UNDER_WAY_MAX: u32 = 8_192;
/// They have so many bytes at most, as Kafka's client has by itself here.
const UNDER_WAY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The client keeps so many events that were given up, until it can send them.
const GIVEN_UP_MAX: usize = 256;
/// How long an event may take where nobody says: what async-nats has by itself.
const WITHIN_DEFAULT: Duration = Duration::from_secs(5);
/// A server that is away is tried again after this pause.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Connecting before the first event is waited for no longer than this.
const WARM_UP_WITHIN: Duration = Duration::from_secs(1);
/// The flush at the end takes no longer than this: the events that requests wait for, and those that were given up.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// Sends to one topic.
pub(crate) struct NatsSender<A: Awaits> {
    topic: String,
    message_id: bool,
    within: Duration,
    queue: mpsc::UnboundedSender<Handed<A>>,
    /// Each event that is under way has a permit.
    under_way: Arc<Semaphore>,
    /// And as many of these as it has bytes.
    bytes_under_way: Arc<Semaphore>,
    flushes: mpsc::UnboundedSender<oneshot::Sender<()>>,
    is_connected: watch::Receiver<bool>,
}

/// An event on its way, and who waits for it.
struct Handed<A> {
    subject: String,
    message: PublishMessage,
    due: Instant,
    awaits: A,
    permit: [OwnedSemaphorePermit; 2],
}

impl<A: Awaits> NatsSender<A> {
    /// Makes a client for the topic, which connects on its own in the background. It takes a runtime.
    pub fn new(target: &NatsTarget, publish_timeout_ms: Option<u64>) -> Self {
        let within = publish_timeout_ms.map_or(WITHIN_DEFAULT, Duration::from_millis);
        // What is in it has a permit, so its length is bounded.
        let (queue, handed) = mpsc::unbounded_channel();
        let (tell, is_connected) = watch::channel(false);
        let (flushes, to_flush) = mpsc::unbounded_channel();
        tokio::spawn(drive(
            target.address.clone(),
            within,
            (handed, to_flush),
            tell,
        ));
        Self {
            topic: target.topic.clone(),
            message_id: target.message_id,
            within,
            queue,
            under_way: Arc::new(Semaphore::new(UNDER_WAY_MAX as usize)),
            bytes_under_way: Arc::new(Semaphore::new(UNDER_WAY_BYTES_MAX)),
            flushes,
            is_connected,
        }
    }

    fn message(&self, event: &Outgoing<'_>) -> PublishMessage {
        let mut headers = HeaderMap::new();
        for (name, value) in event.headers {
            if self.message_id && name == "id" {
                headers.insert(async_nats::header::NATS_MESSAGE_ID, value);
            }
            headers.insert(name, value);
        }
        let payload = Bytes::copy_from_slice(event.value.as_bytes());
        PublishMessage::build().payload(payload).headers(headers)
    }
}

impl<A: Awaits> EventSender<A> for NatsSender<A> {
    fn send(&self, event: Outgoing<'_>, awaits: A) -> Result<(), String> {
        let full = |_| {
            format!(
                "publishing to topic {}: as much is under way as there is room for, because the server takes events \
                 more slowly than they come",
                self.topic
            )
        };
        let bytes = u32::try_from(event.value.len()).unwrap_or(u32::MAX);
        let permit = [
            Arc::clone(&self.under_way)
                .try_acquire_owned()
                .map_err(full)?,
            Arc::clone(&self.bytes_under_way)
                .try_acquire_many_owned(bytes)
                .map_err(full)?,
        ];
        let handed = Handed {
            subject: format!("{}.{}", self.topic, event.key),
            message: self.message(&event),
            due: Instant::now() + self.within,
            awaits,
            permit,
        };
        let queued = self.queue.send(handed);
        queued.map_err(|_| format!("publishing to topic {}: the client has ended", self.topic))
    }

    fn warm_up(&self) -> BoxFuture<'_, ()> {
        async {
            let mut is_connected = self.is_connected.clone();
            let connected = is_connected.wait_for(|connected| *connected);
            if timeout(WARM_UP_WITHIN, connected).await.is_err() {
                tracing::warn!(topic = self.topic, "NATS does not answer yet");
            }
        }
        .boxed()
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        async {
            let until = Instant::now() + FLUSH_WITHIN;
            let all = self.under_way.acquire_many(UNDER_WAY_MAX);
            if timeout_at(until, all).await.is_err() {
                tracing::warn!("events were under way at the end");
            }
            // What was given up lies in the client still, which sends it when it can.
            let (tell, flushed) = oneshot::channel();
            let asked = self.flushes.send(tell).is_ok();
            if asked && !matches!(timeout_at(until, flushed).await, Ok(Ok(()))) {
                tracing::warn!("what had been given up was not all sent at the end");
            }
        }
        .boxed()
    }
}

/// Hands what comes to the client, in its order, until nobody can send any more.
async fn drive<A: Awaits>(
    address: String,
    within: Duration,
    (mut handed, mut to_flush): (
        mpsc::UnboundedReceiver<Handed<A>>,
        mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    ),
    is_connected: watch::Sender<bool>,
) {
    let client = ConnectOptions::new()
        .name("outbox-harness order-service")
        .retry_on_initial_connect()
        .client_capacity(GIVEN_UP_MAX)
        // The default grows to 4 s, in which a server that is back is not tried.
        .reconnect_delay_callback(|attempts| match attempts {
            0 | 1 => Duration::ZERO,
            _ => AGAIN_AFTER,
        })
        .event_callback(move |event| {
            match event {
                Event::Connected => drop(is_connected.send(true)),
                other => tracing::warn!("async-nats: {other}"),
            }
            std::future::ready(())
        })
        .connect(&address)
        .await;
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "making a NATS client for {address}");
            return;
        }
    };
    let context = ContextBuilder::new()
        .timeout(within)
        .max_ack_inflight(UNDER_WAY_MAX as usize)
        .build(client.clone());
    loop {
        tokio::select! {
            came = handed.recv() => match came {
                Some(handed) => publish(&context, handed).await,
                None => return,
            },
            Some(tell) = to_flush.recv() => {
                let client = client.clone();
                tokio::spawn(async move {
                    if client.flush().await.is_ok() {
                        let _ = tell.send(());
                    }
                });
            }
        }
    }
}

/// Hands an event to the client, and leaves its answer to a task.
async fn publish<A: Awaits>(context: &Context, handed: Handed<A>) {
    let Handed {
        subject,
        message,
        due,
        awaits,
        permit,
    } = handed;
    if due <= Instant::now() {
        awaits.told(Err(Undelivered {
            reason: "the client had no room for it in time".to_owned(),
            persistence: Persistence::NotPersisted,
        }));
        return;
    }
    match timeout_at(due, context.send_publish(subject, message)).await {
        Ok(Ok(answer)) => drop(tokio::spawn(async move {
            awaits.told(settled(timeout_at(due, await_answer(answer)).await));
            drop(permit);
        })),
        // Given up on the way into the client: only it knows whether it has it.
        Err(_) => awaits.told(Err(late())),
        Ok(Err(error)) => awaits.told(Err(undelivered(&error))),
    }
}

async fn await_answer(answer: PublishAckFuture) -> Result<u64, context::PublishError> {
    let ack = answer.await?;
    Ok(ack.sequence)
}

fn settled<E>(answered: Result<Result<u64, context::PublishError>, E>) -> Result<u64, Undelivered> {
    match answered {
        // Streams count from 1, offsets from 0.
        Ok(Ok(sequence)) => Ok(sequence.saturating_sub(1)),
        Ok(Err(error)) => Err(undelivered(&error)),
        Err(_) => Err(late()),
    }
}

fn late() -> Undelivered {
    Undelivered {
        reason: "no answer in time".to_owned(),
        persistence: Persistence::PossiblyPersisted,
    }
}

fn undelivered(error: &context::PublishError) -> Undelivered {
    Undelivered {
        reason: error.to_string(),
        persistence: persistence(error),
    }
}

/// What an error of the client means for the event. The client goes on sending what it has when nobody waits any more.
fn persistence(error: &context::PublishError) -> Persistence {
    match error.kind() {
        PublishErrorKind::StreamNotFound
        | PublishErrorKind::WrongLastMessageId
        | PublishErrorKind::WrongLastSequence
        | PublishErrorKind::MaxAckPending
        | PublishErrorKind::MaxPayloadExceeded => Persistence::NotPersisted,
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => Persistence::PossiblyPersisted,
        // A stream's own word, or something that nobody could read.
        PublishErrorKind::Other => match error.source() {
            Some(source) if source.is::<async_nats::jetstream::Error>() => {
                Persistence::NotPersisted
            }
            Some(_) | None => Persistence::PossiblyPersisted,
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(20);

    struct ToTest(tokio::sync::oneshot::Sender<Result<u64, Undelivered>>);

    impl Awaits for ToTest {
        fn told(self, fate: Result<u64, Undelivered>) {
            let _ = self.0.send(fate);
        }
    }

    #[tokio::test]
    async fn given_nobody_at_the_address_when_an_event_is_sent_then_it_is_given_up_at_its_timeout_as_possibly_there()
     {
        let target = NatsTarget {
            address: "127.0.0.1:1".to_owned(),
            topic: "t".to_owned(),
            message_id: true,
        };
        let sender = NatsSender::new(&target, Some(100));
        let event = Outgoing {
            key: "k",
            value: "v",
            headers: [("id", "1"), ("eventType", "OrderPlaced"), ("version", "1")],
        };
        let (tell, told) = tokio::sync::oneshot::channel();
        sender.send(event, ToTest(tell)).unwrap();
        let fate = timeout(BOUND, told).await.unwrap().unwrap();
        assert_eq!(
            fate.unwrap_err().persistence,
            Persistence::PossiblyPersisted
        );
        sender.flush().await;
        assert_eq!(sender.under_way.available_permits(), UNDER_WAY_MAX as usize);
    }

    #[test]
    fn given_a_word_of_the_stream_when_it_is_an_error_then_the_event_is_not_there_and_otherwise_it_may_be()
     {
        let refusal = serde_json::from_str::<async_nats::jetstream::Error>(
            "{\"code\":429,\"err_code\":10167,\"description\":\"too many requests\"}",
        );
        let of_stream =
            context::PublishError::with_source(PublishErrorKind::Other, refusal.unwrap());
        assert_eq!(persistence(&of_stream), Persistence::NotPersisted);
        for (kind, expected) in [
            (PublishErrorKind::StreamNotFound, Persistence::NotPersisted),
            (PublishErrorKind::TimedOut, Persistence::PossiblyPersisted),
            (PublishErrorKind::Other, Persistence::PossiblyPersisted),
        ] {
            assert_eq!(persistence(&context::PublishError::new(kind)), expected);
        }
    }
}
