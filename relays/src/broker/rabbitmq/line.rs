//! One connection to RabbitMQ with its channel: how it is made, and what goes over it until it ends.

use crate::amqp::{AmqpError, Conversation, Heard, Opening, Reply, request};
use crate::config::RabbitMqTarget;
use contract::rabbitmq::stream_of;
use std::future::pending;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

/// Connecting, with all that must be there before the first event, takes no longer than this.
const OPEN_WITHIN: Duration = Duration::from_secs(5);
/// So much is read at once.
const READ_BYTES: usize = 16 * 1024;
/// The strategy's queue gets everything.
const EVERYTHING: &str = "#";

/// A connection over which nothing was published yet.
pub(super) struct Line {
    stream: TcpStream,
    conversation: Conversation,
}

/// Whoever publishes over a line.
pub(super) trait Speaker {
    /// Appends what is to be sent next to these bytes, of which there are none; an Err ends it all.
    fn speaks(&mut self, into: &mut Vec<u8>) -> Result<(), String>;

    /// All of that is sent.
    fn is_sent(&mut self);

    /// Takes what the broker said; an Err ends it all.
    fn hears(&mut self, heard: Heard) -> Result<(), String>;

    /// When it wants to look around at the latest, whatever comes; `None`: there is no need.
    fn looks_at(&self) -> Option<Instant> {
        None
    }

    /// Looks around then; an Err ends it all.
    fn looks_around(&mut self) -> Result<(), String> {
        Ok(())
    }
}

impl Line {
    /// Connects as a client of this name; returns when the exchange is known to be there, the queue is bound to it,
    /// and everything will be confirmed, where that is asked for.
    pub async fn open(target: &RabbitMqTarget, name: &'static str) -> Result<Self, String> {
        let opened = timeout(OPEN_WITHIN, Self::try_open(target, name)).await;
        opened.unwrap_or_else(|_| {
            Err(format!(
                "{} did not answer within {OPEN_WITHIN:?}",
                target.address
            ))
        })
    }

    async fn try_open(target: &RabbitMqTarget, name: &'static str) -> Result<Self, String> {
        let stream = TcpStream::connect(&target.address).await;
        let stream = stream.map_err(|e| format!("connecting to {}: {e}", target.address))?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let mut line = Self {
            stream,
            conversation: Conversation::default(),
        };
        let mut out = Vec::new();
        let mut opening = Opening::begin(name, &mut out);
        loop {
            line.say(&mut out).await?;
            let heard = line.hear().await?;
            let is_open = opening.heard(heard, &mut out);
            if is_open.map_err(|e| e.to_string())? {
                break;
            }
        }
        let (topic, kind) = (&*target.topic, target.queue.name());
        // Asked first: a queue is not made for a topic that is closed.
        let asked = |out: &mut Vec<u8>| request::ask_for_exchange(out, topic);
        line.ask(asked, Reply::ExchangeDeclared).await?;
        let queue = |out: &mut Vec<u8>| request::declare_queue(out, topic, kind);
        line.ask(queue, Reply::QUEUE_DECLARED).await?;
        let bound = |out: &mut Vec<u8>| request::bind(out, topic, topic, EVERYTHING);
        line.ask(bound, Reply::QueueBound).await?;
        // A server that has just started confirms what a queue that is not back yet never gets, as soon as the others
        // have it (3.10.8). So all must be back before anything is published.
        let stream = stream_of(topic);
        let of_groups = target.groups.iter().map(String::as_str);
        for queue in [topic, &stream].into_iter().chain(of_groups) {
            let is_back = |out: &mut Vec<u8>| request::ask_for_queue(out, queue);
            line.ask(is_back, Reply::QUEUE_DECLARED).await?;
        }
        if target.confirms {
            line.ask(request::select_confirms, Reply::ConfirmsOn)
                .await?;
        }
        Ok(line)
    }

    /// Asks for something, and waits for the answer.
    async fn ask(
        &mut self,
        question: impl FnOnce(&mut Vec<u8>) -> Result<(), AmqpError>,
        answer: Reply,
    ) -> Result<(), String> {
        let mut out = Vec::new();
        question(&mut out).map_err(|e| e.to_string())?;
        self.say(&mut out).await?;
        loop {
            match self.hear().await? {
                Heard::Reply(reply) if reply.answers(answer) => return Ok(()),
                Heard::Reply(other) => return Err(AmqpError::Unexpected(other).to_string()),
                // Publishing will find out.
                Heard::Blocked(_) | Heard::Unblocked => {}
                Heard::Confirmed { .. } | Heard::Returned(_) | Heard::Delivered(_) => {
                    return Err("the broker told of messages before there were any".to_owned());
                }
            }
        }
    }

    async fn say(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let sent = self.stream.write_all(out).await;
        out.clear();
        sent.map_err(|e| lost(&e))
    }

    async fn hear(&mut self) -> Result<Heard, String> {
        loop {
            let next = self.conversation.hear();
            if let Some(heard) = next.map_err(|e| e.to_string())? {
                return Ok(heard);
            }
            let room = self.conversation.room();
            room.reserve(READ_BYTES);
            if self.stream.read_buf(room).await.map_err(|e| lost(&e))? == 0 {
                return Err(closed());
            }
        }
    }

    /// Sends what the speaker says and has it hear what the broker answers, until either ends it; returns why. The
    /// speaker is asked again when there is news.
    pub async fn hold(mut self, speaker: &mut impl Speaker, news: &Notify) -> String {
        match self.exchange(speaker, news).await {
            Ok(never) => match never {},
            Err(reason) => reason,
        }
    }

    async fn exchange(
        &mut self,
        speaker: &mut impl Speaker,
        news: &Notify,
    ) -> Result<std::convert::Infallible, String> {
        let (mut reading, mut writing) = self.stream.split();
        let (mut bytes, mut sent) = (Vec::new(), 0);
        // Something may have come with the last answer of the opening.
        while let Some(heard) = self.conversation.hear().map_err(|e| e.to_string())? {
            speaker.hears(heard)?;
        }
        loop {
            if sent == bytes.len() {
                if sent > 0 {
                    speaker.is_sent();
                    bytes.clear();
                    sent = 0;
                }
                speaker.speaks(&mut bytes)?;
            }
            let looks_at = speaker.looks_at();
            let room = self.conversation.room();
            room.reserve(READ_BYTES);
            // Both ways at once: a broker whose answers nobody takes would take no more either.
            tokio::select! {
                came = reading.read_buf(room) => {
                    if came.map_err(|e| lost(&e))? == 0 {
                        return Err(closed());
                    }
                    while let Some(heard) = self.conversation.hear().map_err(|e| e.to_string())? {
                        speaker.hears(heard)?;
                    }
                }
                went = writing.write(&bytes[sent..]), if sent < bytes.len() => {
                    sent += went.map_err(|e| lost(&e))?;
                }
                () = news.notified(), if sent == bytes.len() => {}
                () = at(looks_at) => speaker.looks_around()?,
            }
        }
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

fn lost(error: &std::io::Error) -> String {
    format!("the connection to the broker was lost: {error}")
}

fn closed() -> String {
    "the broker ended the connection without a word".to_owned()
}
