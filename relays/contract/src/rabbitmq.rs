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
    /// Nothing is published before these queues are there as well: those of the groups that consume the events.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// Which queues a group of consumers has, and so how its events are shared among its members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupQueues {
    /// It has one, and each event in it goes to whichever member is free.
    #[default]
    One,
    /// It has one for each member, into which events go by a hash of their keys: all of an order to the same one. Only one
    /// consumer of a queue is given anything, and its successor only when its connection is gone.
    Hashed,
}

impl GroupQueues {
    /// These are all of them.
    pub const ALL: [Self; 2] = [Self::One, Self::Hashed];

    /// Returns its name in files: `one` or `hashed`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Hashed => "hashed",
        }
    }
}

/// What a consumer does with an event whose effect it could not do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It keeps the event, and tries it again before any other.
    #[default]
    Again,
    /// It gives the event back to its queue (`basic.nack` with `requeue`), and goes on with the next one.
    Requeue,
}

impl OnFailure {
    /// These are all of them.
    pub const ALL: [Self; 2] = [Self::Again, Self::Requeue];

    /// Returns its name in files: `again` or `requeue`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Again => "again",
            Self::Requeue => "requeue",
        }
    }
}

/// This says how a group of consumers takes events from RabbitMQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RabbitMqGroup {
    /// So many members read at a time, each over a connection of its own.
    pub members: u16,
    /// These are its queues.
    pub queues: GroupQueues,
    /// This becomes of an event whose effect could not be done.
    pub on_failure: OnFailure,
    /// A member is given so many events at most that it has not acknowledged.
    pub prefetch: u16,
}

impl Default for RabbitMqGroup {
    fn default() -> Self {
        Self {
            members: 1,
            queues: GroupQueues::default(),
            on_failure: OnFailure::default(),
            prefetch: 100,
        }
    }
}

impl RabbitMqGroup {
    /// Returns the names of the queues of the group of this name.
    pub fn queues_of(self, group: &str) -> Vec<String> {
        match self.queues {
            GroupQueues::One => vec![group.to_owned()],
            GroupQueues::Hashed => (0..self.members.max(1))
                .map(|member| self.queue_of(group, member))
                .collect(),
        }
    }

    /// Returns the name of the queue from which this member reads, counted from 0.
    pub fn queue_of(self, group: &str, member: u16) -> String {
        match self.queues {
            GroupQueues::One => group.to_owned(),
            GroupQueues::Hashed => format!("{group}.{}", member + 1),
        }
    }

    /// Whether the events of one order are applied in the order in which they are in the queue, whatever fails. Of a plain
    /// queue they are not, even with one member: while the broker takes a lost connection of it for alive, that has some of
    /// them, and the next connection is given later ones.
    pub fn keeps_order(self) -> bool {
        match (self.queues, self.on_failure) {
            (GroupQueues::Hashed, OnFailure::Again) => true,
            (GroupQueues::One, _) | (GroupQueues::Hashed, OnFailure::Requeue) => false,
        }
    }
}

/// Returns the name of the stream that gets all events of a topic, for whoever reads them again and again.
pub fn stream_of(topic: &str) -> String {
    format!("{topic}.observer")
}
