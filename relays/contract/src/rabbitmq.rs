//! What a process is told of RabbitMQ.

use serde::{Deserialize, Serialize};

/// As what kind of queue a strategy's events are kept for whoever consumes them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueKind {
    /// It is a classic queue: one node writes it to its disk.
    #[default]
    Classic,
    /// It is a quorum queue: a log that is replicated by Raft, here on one node.
    Quorum,
    /// It is a stream: a log that consumers read without taking anything away.
    Stream,
}

impl QueueKind {
    /// These are all of them.
    pub const ALL: [Self; 3] = [Self::Classic, Self::Quorum, Self::Stream];

    /// Returns its name, in files and as `x-queue-type`: `classic`, `quorum` or `stream`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
            Self::Stream => "stream",
        }
    }
}

/// This says how to reach RabbitMQ, which exchange belongs to this strategy, and how it publishes there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RabbitMqTarget {
    /// This is the `host:port` of the broker, or the proxy's where the link is proxied.
    pub address: String,
    /// The events go to the exchange of this name; the queue of the same name is bound to it.
    pub topic: String,
    /// Whether an event counts as delivered only when the broker has confirmed it; else as soon as it is sent.
    pub confirms: bool,
    /// Whether the broker returns an event that no queue gets; else it drops it, and confirms it all the same.
    pub mandatory: bool,
    /// The queue is of this kind.
    pub queue: QueueKind,
}

/// Returns the name of the stream that gets all events of a topic, for whoever reads them again and again.
pub fn stream_of(topic: &str) -> String {
    format!("{topic}.observer")
}
