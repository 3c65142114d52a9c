//! The messages of one stream from a sequence on, by a consumer that the server forgets. When anything happens to it,
//! another one is made, from where the last one had come to.

use super::record::NatsRecord;
use crate::broker::{Next, OnTopic};
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{self, AckPolicy, DeliverPolicy, ReplayPolicy, pull};
use futures::StreamExt;
use relays::config::nats_stream;
use std::task::Poll;
use std::time::Duration;
use tokio::time::timeout;

/// So many messages, and bytes of them, are asked for at once.
const BATCH: usize = 1_024;
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// A request is answered with nothing after so long, and made again.
const EXPIRES: Duration = Duration::from_secs(30);
/// A server that says nothing for twice as long is taken for gone.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// A consumer that nobody asks is forgotten after so long.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Making a consumer takes no longer than this.
const OPEN_WITHIN: Duration = Duration::from_secs(2);

/// What is read of one topic.
pub(super) struct Feed {
    topic: String,
    /// The next message has this sequence, or a higher one.
    next_sequence: u64,
    messages: Option<pull::Stream>,
    /// Whether the end is to be told before anything else.
    at_end: bool,
}

impl Feed {
    /// Reads this topic from this offset on, which may be 0 or more.
    pub fn new(topic: &str, offset: i64) -> Self {
        Self {
            topic: topic.to_owned(),
            next_sequence: offset.max(0).unsigned_abs() + 1,
            messages: None,
            at_end: false,
        }
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The offset behind the last message that was read.
    pub fn offset(&self) -> i64 {
        self.next_sequence.cast_signed() - 1
    }

    /// Makes a consumer where there is none; an Err says why that failed.
    pub async fn open(&mut self, context: &Context) -> Result<(), String> {
        if self.messages.is_some() {
            return Ok(());
        }
        let opened = timeout(OPEN_WITHIN, self.consume(context)).await;
        let (messages, pending) =
            opened.unwrap_or_else(|_| Err(format!("no answer within {OPEN_WITHIN:?}")))?;
        self.messages = Some(messages);
        self.at_end = pending == 0;
        Ok(())
    }

    async fn consume(&self, context: &Context) -> Result<(pull::Stream, u64), String> {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: self.next_sequence,
            },
            ack_policy: AckPolicy::None,
            replay_policy: ReplayPolicy::Instant,
            inactive_threshold: FORGOTTEN_AFTER,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let stream = nats_stream(&self.topic);
        let made = context.create_consumer_on_stream(config, stream).await;
        let made: consumer::PullConsumer = made.map_err(|e| e.to_string())?;
        let pending = made.cached_info().num_pending;
        let messages = made
            .stream()
            .max_messages_per_batch(BATCH)
            .max_bytes_per_batch(BATCH_BYTES)
            .expires(EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await;
        Ok((messages.map_err(|e| e.to_string())?, pending))
    }

    /// Shows the next message, where one is there; tells the end, where it has come to it. It does not wait.
    pub fn poll(
        &mut self,
        context: &mut std::task::Context<'_>,
        take: &mut dyn FnMut(&dyn OnTopic),
    ) -> Poll<Next> {
        if std::mem::take(&mut self.at_end) {
            return Poll::Ready(Next::End(0));
        }
        let Some(messages) = &mut self.messages else {
            return Poll::Pending;
        };
        let message = match messages.poll_next_unpin(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(message))) => message,
            Poll::Ready(Some(Err(error))) => return self.trouble(error.to_string()),
            Poll::Ready(None) => return self.trouble("the consumer has ended".to_owned()),
        };
        let info = match message.info() {
            Ok(info) => info,
            Err(error) => return self.trouble(format!("a message without its place: {error}")),
        };
        let sequence = info.stream_sequence;
        if sequence < self.next_sequence {
            return self.trouble(format!("message {sequence} came again"));
        }
        // A stream of ours loses nothing: what is missing went into a connection that died, and was delivered for the
        // server.
        if sequence > self.next_sequence {
            let missing = self.next_sequence;
            return self.trouble(format!(
                "message {sequence} came, and {missing} had not come"
            ));
        }
        let appended_ms = info.published.unix_timestamp_nanos() / 1_000_000;
        let appended_ms = i64::try_from(appended_ms).unwrap_or(i64::MAX);
        self.at_end = info.pending == 0;
        self.next_sequence = sequence + 1;
        take(&NatsRecord::new(
            &self.topic,
            &message,
            sequence,
            appended_ms,
        ));
        Poll::Ready(Next::Record)
    }

    /// What happened passes with another consumer.
    fn trouble(&mut self, reason: String) -> Poll<Next> {
        self.messages = None;
        Poll::Ready(Next::Trouble(format!("reading {}: {reason}", self.topic)))
    }
}
