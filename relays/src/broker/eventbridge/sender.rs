//! An order service's publishing: a call for each event, and one try. Whether there is another is the service's to say.

use super::client::{CallError, client};
use super::entry::{EntryFate, entry, fates};
use crate::broker::{Awaits, EventSender, Outgoing, Undelivered};
use crate::config::{EventBridgeTarget, LooksAt};
use crate::persistence::Persistence;
use crate::trace::NO_OFFSET;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// So many events are under way at most.
const UNDER_WAY_MAX: u32 = 1_024;
/// How long an event may take where nobody says.
const WITHIN_DEFAULT: Duration = Duration::from_secs(5);
/// Asking for the bus before the first event is waited for no longer than this.
const WARM_UP_WITHIN: Duration = Duration::from_secs(1);
/// The flush at the end takes no longer than this; by then every request has had its report.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// Sends to one topic.
pub(crate) struct EventBridgeSender {
    client: Client,
    topic: String,
    looks_at: LooksAt,
    /// The calls are made on it.
    runtime: Handle,
    /// Each event that is under way has a permit.
    under_way: Arc<Semaphore>,
}

impl EventBridgeSender {
    /// Makes a client for the topic. It takes a runtime.
    pub fn new(target: &EventBridgeTarget, publish_timeout_ms: Option<u64>) -> Self {
        let within = publish_timeout_ms.map_or(WITHIN_DEFAULT, Duration::from_millis);
        Self {
            client: client(&target.address, within),
            topic: target.topic.clone(),
            looks_at: target.looks_at,
            runtime: Handle::current(),
            under_way: Arc::new(Semaphore::new(UNDER_WAY_MAX as usize)),
        }
    }
}

impl<A: Awaits> EventSender<A> for EventBridgeSender {
    fn send(&self, event: Outgoing<'_>, awaits: A) -> Result<(), String> {
        let failed = |reason: &str| format!("publishing to bus {}: {reason}", self.topic);
        let permit = Arc::clone(&self.under_way).try_acquire_owned().map_err(|_| {
            failed("as many events are under way as there is room for, because they are answered more slowly than they come")
        })?;
        let named = event.headers.iter().find(|(name, _)| *name == "eventType");
        let event_type = named.map_or("", |(_, value)| *value);
        let made = entry(
            &self.topic,
            event_type,
            event.key,
            event.headers,
            event.value,
        );
        let (entry, _) = made.map_err(|reason| failed(&reason))?;
        let (client, looks_at) = (self.client.clone(), self.looks_at);
        self.runtime.spawn(async move {
            awaits.told(put_one(&client, entry, looks_at).await);
            drop(permit);
        });
        Ok(())
    }

    fn warm_up(&self) -> BoxFuture<'_, ()> {
        async {
            let asked = self.client.describe_event_bus().name(&self.topic).send();
            if !matches!(timeout(WARM_UP_WITHIN, asked).await, Ok(Ok(_))) {
                tracing::warn!(bus = self.topic, "EventBridge does not answer yet");
            }
        }
        .boxed()
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        async {
            let all = self.under_way.acquire_many(UNDER_WAY_MAX);
            if timeout(FLUSH_WITHIN, all).await.is_err() {
                tracing::warn!("events were under way at the end");
            }
        }
        .boxed()
    }
}

async fn put_one(
    client: &Client,
    entry: PutEventsRequestEntry,
    looks_at: LooksAt,
) -> Result<u64, Undelivered> {
    let undelivered = |reason, persistence| Undelivered {
        reason,
        persistence,
    };
    let answer = client.put_events().entries(entry).send().await;
    let answer = answer.map_err(|error| {
        let CallError {
            reason,
            persistence,
        } = error.into();
        undelivered(reason, persistence)
    })?;
    match fates(&answer, 1, looks_at).pop() {
        Some(EntryFate::Accepted) => Ok(NO_OFFSET),
        Some(EntryFate::Later(reason) | EntryFate::Refused(reason)) => {
            Err(undelivered(reason, Persistence::NotPersisted))
        }
        None => Err(undelivered(
            "the answer says nothing of it".to_owned(),
            Persistence::PossiblyPersisted,
        )),
    }
}
