//! The topic of a strategy, as its administrator: a stream, made before the run, sealed by the fence, deleted after it.

use super::client::{ANSWER_WITHIN, connect};
use crate::broker::{Length, NotMade, Topic};
use crate::event::SENTINEL_KEY;
use crate::identity::Identity;
use async_nats::jetstream::context::DeleteStreamErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, State, StorageType};
use async_nats::jetstream::{Context, ErrorCode};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use relays::config::{nats_stream, nats_subjects};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

const POLL: Duration = Duration::from_millis(20);
/// What an end of a stream's subjects looks like.
const BELOW: &str = ".>";

/// This is one topic, around all proxies.
#[derive(Clone)]
pub(super) struct NatsTopic {
    address: String,
    name: String,
    duplicate_window: Duration,
}

impl NatsTopic {
    /// Names a topic; nothing is made yet.
    pub fn new(address: &str, name: &str, duplicate_window: Duration) -> Self {
        Self {
            address: address.to_owned(),
            name: name.to_owned(),
            duplicate_window,
        }
    }

    /// In a file, kept for ever, whole.
    fn config(&self) -> Config {
        Config {
            name: nats_stream(&self.name),
            subjects: vec![nats_subjects(&self.name)],
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            max_messages: -1,
            max_messages_per_subject: -1,
            max_bytes: -1,
            num_replicas: 1,
            duplicate_window: self.duplicate_window,
            ..Config::default()
        }
    }

    async fn make(&self) -> Result<(), String> {
        let context = self.connect("creating").await?;
        let made = context.create_stream(self.config()).await;
        made.map_err(|e| self.failed("creating", &e))?;
        Ok(())
    }

    async fn remove(&self) -> Result<(), String> {
        let context = self.connect("deleting").await?;
        match context.delete_stream(nats_stream(&self.name)).await {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                DeleteStreamErrorKind::JetStream(said)
                    if said.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    Ok(())
                }
                _ => Err(self.failed("deleting", &error)),
            },
        }
    }

    /// A stream that is sealed takes nothing any more, for good; what came before the answer is on it.
    async fn shut(&self, identity: &Identity, within: Duration) -> Result<(), String> {
        let deadline = Instant::now() + within;
        let context = self.connect("closing").await?;
        let sealed = Config {
            sealed: true,
            ..self.config()
        };
        let closed = context.update_stream(sealed).await;
        closed.map_err(|e| self.failed("closing", &e))?;
        while let Some(open) = self.still_takes(&context, identity).await {
            if Instant::now() > deadline {
                return Err(format!("topic {} could not be closed: {open}", self.name));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Sends a sentinel; nothing where the stream refuses it.
    async fn still_takes(&self, context: &Context, identity: &Identity) -> Option<String> {
        let subject = format!("{}.{SENTINEL_KEY}", self.name);
        let value = Bytes::from(identity.sentinel_mark());
        let answer = match context.publish(subject, value).await {
            Ok(answer) => answer.await,
            Err(error) => return Some(error.to_string()),
        };
        match answer {
            Ok(_) => Some("it still takes events".to_owned()),
            Err(error) if refuses(&error) => None,
            Err(error) => Some(error.to_string()),
        }
    }

    async fn connect(&self, doing: &str) -> Result<Context, String> {
        let connected = connect(&self.address).await;
        connected.map_err(|e| format!("{doing} topic {}: {e}", self.name))
    }

    fn failed(&self, doing: &str, error: &dyn std::fmt::Display) -> String {
        format!("{doing} topic {} at {}: {error}", self.name, self.address)
    }
}

/// Whether it was the stream that said no.
fn refuses(error: &(dyn std::error::Error + 'static)) -> bool {
    error
        .source()
        .is_some_and(|source| source.is::<async_nats::jetstream::Error>())
}

impl Topic for NatsTopic {
    fn create(&self) -> BoxFuture<'_, Result<(), NotMade>> {
        async { Ok(self.make().await?) }.boxed()
    }

    fn delete(&self) -> BoxFuture<'_, Result<(), String>> {
        self.remove().boxed()
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, String>> {
        async {
            let context = self.connect("asking for the length of").await?;
            let state = state(&context, &self.name).await;
            let state = state.map_err(|e| self.failed("asking for the length of", &e))?;
            Ok(state.last_sequence == 0)
        }
        .boxed()
    }

    fn close<'a>(
        &'a self,
        identity: &'a Identity,
        within: Duration,
    ) -> BoxFuture<'a, Result<(), String>> {
        self.shut(identity, within).boxed()
    }

    /// NATS refuses what it cannot take, event by event.
    fn held_up(&self) -> BoxFuture<'_, Option<String>> {
        async { None }.boxed()
    }

    fn length(&self) -> Result<Box<dyn Length>, String> {
        Ok(Box::new(Sequences {
            context: OnceCell::new(),
            topic: self.clone(),
        }))
    }
}

/// The length of a topic by its stream's sequences, over one connection.
struct Sequences {
    context: OnceCell<Context>,
    topic: NatsTopic,
}

impl Length for Sequences {
    fn records(&self) -> BoxFuture<'_, Result<u64, String>> {
        async {
            let connect = || self.topic.connect("asking for the length of");
            let context = self.context.get_or_try_init(connect).await?;
            let state = state(context, &self.topic.name).await;
            let state = state.map_err(|e| self.topic.failed("asking for the length of", &e))?;
            Ok(state.last_sequence)
        }
        .boxed()
    }
}

/// How far the stream of this topic has come.
pub(super) async fn state(context: &Context, topic: &str) -> Result<State, String> {
    let stream = context.get_stream(nats_stream(topic)).await;
    let stream = stream.map_err(|e| e.to_string())?;
    Ok(stream.cached_info().state.clone())
}

/// The names of all topics: of each stream the subject that all of its own are below, or else its name.
pub(super) async fn all(context: &Context) -> Result<Vec<String>, String> {
    let named = context.streams().map_ok(|info| {
        let mut subjects = info.config.subjects.iter();
        let topic = subjects.find_map(|subject| subject.strip_suffix(BELOW));
        match topic {
            Some(topic) if nats_stream(topic) == info.config.name => topic.to_owned(),
            Some(_) | None => info.config.name,
        }
    });
    let listed = tokio::time::timeout(ANSWER_WITHIN, named.try_collect()).await;
    let listed = listed.map_err(|_| format!("no answer within {ANSWER_WITHIN:?}"))?;
    listed.map_err(|e| format!("listing the streams: {e}"))
}
