//! A channel to RabbitMQ, as a naive relay uses it: it publishes some messages, and waits for what the broker says of each.

use super::Entry;
use relays::amqp::request::{self, Publishing};
use relays::amqp::{AmqpError, Conversation, Heard, Opening, Reply};
use relays::config::{BrokerTarget, RabbitMqTarget, RelayConfig};
use std::collections::{BTreeSet, HashSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The broker is waited for at most this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Returns where RabbitMQ is; an Err says that the broker is another one.
pub fn target(config: &RelayConfig) -> Result<&RabbitMqTarget, String> {
    match &config.broker {
        BrokerTarget::RabbitMq(target) => Ok(target),
        BrokerTarget::Kafka(_) | BrokerTarget::Nats(_) | BrokerTarget::EventBridge(_) => {
            Err("this relay needs RabbitMQ".to_owned())
        }
    }
}

/// A connection with its channel, on which everything is confirmed.
pub struct Channel {
    stream: TcpStream,
    conversation: Conversation,
    /// So many messages were published.
    published: u64,
}

impl Channel {
    /// Connects.
    pub fn open(target: &RabbitMqTarget) -> Result<Self, String> {
        let failed = |e: std::io::Error| format!("connect to {}: {e}", target.address);
        let stream = TcpStream::connect(&target.address).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        let mut channel = Self {
            stream,
            conversation: Conversation::default(),
            published: 0,
        };
        let mut out = Vec::new();
        let mut opening = Opening::begin("outbox-harness zoo", &mut out);
        loop {
            channel.send(&out)?;
            out.clear();
            let heard = channel.hear()?;
            if opening.heard(heard, &mut out).map_err(|e| e.to_string())? {
                break;
            }
        }
        channel.ask(request::select_confirms, Reply::ConfirmsOn)?;
        Ok(channel)
    }

    /// Makes an exchange, to which no queue is bound.
    pub fn make_exchange(&mut self, name: &str) -> Result<(), String> {
        let made = |out: &mut Vec<u8>| request::declare_exchange(out, name);
        self.ask(made, Reply::ExchangeDeclared)
    }

    /// Publishes these, in order, and waits until the broker has confirmed each; returns which of them, by index, it sent
    /// back before. It sends back none that is not mandatory.
    pub fn publish<'e>(
        &mut self,
        exchange: &str,
        is_mandatory: bool,
        entries: impl IntoIterator<Item = &'e Entry>,
    ) -> Result<HashSet<usize>, String> {
        let (before, mut out) = (self.published, Vec::new());
        for entry in entries {
            let message = Publishing {
                exchange,
                key: &entry.key,
                is_mandatory,
                message_id: Some(self.published + 1),
                headers: &[("id", &entry.id), ("eventType", &entry.event_type)],
                body: entry.payload.as_bytes(),
            };
            request::publish(&mut out, &message).map_err(|e| e.to_string())?;
            self.published += 1;
        }
        self.send(&out)?;
        let mut waiting: BTreeSet<u64> = (before + 1..=self.published).collect();
        let mut returned = HashSet::new();
        while !waiting.is_empty() {
            match self.hear()? {
                Heard::Confirmed {
                    tag, is_ack: false, ..
                } => return Err(format!("the broker refused message {tag}")),
                Heard::Confirmed {
                    tag, is_multiple, ..
                } => waiting.retain(|one| *one != tag && !(is_multiple && *one < tag)),
                Heard::Returned(message) => {
                    let number: Option<u64> = message.message_id.and_then(|id| id.parse().ok());
                    let index = number.and_then(|number| number.checked_sub(before + 1));
                    returned.extend(index.and_then(|index| usize::try_from(index).ok()));
                }
                Heard::Blocked(_) | Heard::Unblocked => {}
                Heard::Reply(_) | Heard::Delivered(_) => {
                    return Err("the broker answered what nobody asked".to_owned());
                }
            }
        }
        Ok(returned)
    }

    fn ask(
        &mut self,
        question: impl FnOnce(&mut Vec<u8>) -> Result<(), AmqpError>,
        answer: Reply,
    ) -> Result<(), String> {
        let mut out = Vec::new();
        question(&mut out).map_err(|e| e.to_string())?;
        self.send(&out)?;
        match self.hear()? {
            Heard::Reply(reply) if reply == answer => Ok(()),
            other => Err(format!("{other:?} where {answer:?} was due")),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let sent = self.stream.write_all(bytes);
        sent.map_err(|e| format!("send to RabbitMQ: {e}"))
    }

    fn hear(&mut self) -> Result<Heard, String> {
        let mut piece = [0; 16 * 1024];
        loop {
            if let Some(heard) = self.conversation.hear().map_err(|e| e.to_string())? {
                return Ok(heard);
            }
            match self.stream.read(&mut piece) {
                Ok(0) => return Err("RabbitMQ ended the connection".to_owned()),
                Ok(bytes) => self.conversation.room().extend(&piece[..bytes]),
                Err(e) => return Err(format!("hear from RabbitMQ: {e}")),
            }
        }
    }
}
