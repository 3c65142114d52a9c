//! A broker, as those need it who make topics, close them and read them around every proxy. Which system it
//! is, only the folder knows that is named after it.

pub mod claim;
pub mod eventbridge;
pub mod kafka;
pub mod nats;
pub mod rabbitmq;
pub mod several;

use crate::identity::Identity;
use crate::scenario::BrokerChoice;
use futures::FutureExt;
use futures::future::BoxFuture;
use referee::envelope::Wire;
use relays::config::{BrokerKind, RabbitMqGroup};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// Offsets by partition.
pub type Offsets = BTreeMap<i32, i64>;

/// These are the ends of partitions, with the time at which they were so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEnds {
    /// By partition, this is one past the last record that the reader gets to see.
    pub offsets: Offsets,
    /// They were so at this reading of CLOCK_MONOTONIC, in nanoseconds.
    pub at_monotonic_ns: u64,
}

impl KnownEnds {
    /// One question was asked at the first time and answered at the second one: both ways count half.
    pub fn midway(offsets: Offsets, asked_ns: u64, told_ns: u64) -> Self {
        Self {
            offsets,
            at_monotonic_ns: asked_ns + told_ns.saturating_sub(asked_ns) / 2,
        }
    }
}

/// Returns the broker of this kind at `host:port`. Nothing is connected before something is asked of it.
pub fn at(kind: BrokerKind, address: &str) -> Arc<dyn Broker> {
    match kind {
        BrokerKind::Kafka => kafka::at(address),
        BrokerKind::RabbitMq => rabbitmq::at(address),
        BrokerKind::Nats => nats::at(address, nats::DUPLICATE_WINDOW_DEFAULT),
        BrokerKind::EventBridge => eventbridge::at(address),
    }
}

/// Returns the broker of a strategy at `host:port`, whose topics are as the strategy has them; on Kafka they have so many
/// replicas.
pub fn chosen(choice: &BrokerChoice, address: &str, topic_replicas: i32) -> Arc<dyn Broker> {
    match choice {
        BrokerChoice::Kafka(_) => kafka::replicated(address, topic_replicas),
        BrokerChoice::RabbitMq { queue, .. } => rabbitmq::with_queues(address, *queue),
        BrokerChoice::Nats(settings) => nats::at(address, settings.duplicate_window()),
        BrokerChoice::EventBridge(_) => eventbridge::at(address),
    }
}

/// A broker that is reached directly. Nothing is connected before something is asked of it.
pub trait Broker: Debug + Send + Sync {
    /// Returns what system it is and where, for messages: `Kafka at 127.0.0.1:9092`.
    fn place(&self) -> String;

    /// Names a topic; nothing is made yet.
    fn topic(&self, name: &str, partitions: i32) -> Box<dyn Topic>;

    /// Whether a topic that is closed has a sentinel behind everything else: what is read without it is not the whole.
    fn ends_with_sentinel(&self) -> bool;

    /// Returns the names of all topics there are, the broker's own included.
    fn topics(&self) -> BoxFuture<'_, Result<Vec<String>, String>>;

    /// Makes a reader to which nothing is assigned yet; it joins no group and leaves no trace.
    fn reader(&self, visible: Visible) -> Result<Box<dyn Reader>, String>;

    /// Makes what a group of consumers must find, before anything is published to its topic; a group that is nothing
    /// but offsets finds the topic.
    fn make_group<'a>(&'a self, _group: ConsumerGroup<'a>) -> BoxFuture<'a, Result<(), String>> {
        async { Ok(()) }.boxed()
    }

    /// Removes it; what is not there is no error.
    fn drop_group<'a>(&'a self, _group: ConsumerGroup<'a>) -> BoxFuture<'a, Result<(), String>> {
        async { Ok(()) }.boxed()
    }

    /// Returns how far a group of consumers has come. The group is not joined.
    fn progress<'a>(
        &'a self,
        group: ConsumerGroup<'a>,
    ) -> BoxFuture<'a, Result<GroupProgress, String>>;
}

/// A group of consumers of one topic.
#[derive(Debug, Clone)]
pub struct ConsumerGroup<'g> {
    /// This is the group's name.
    pub name: String,
    /// This is the name of its topic.
    pub topic: &'g str,
    /// The topic has so many partitions.
    pub partitions: i32,
    /// This is how it takes its events, where the broker is RabbitMQ.
    pub rabbitmq: RabbitMqGroup,
}

/// How far a group has come, in what its broker counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupProgress {
    /// The group has committed these offsets, of each partition of which it has.
    Committed(Offsets),
    /// What it has done is gone from its queues.
    Queued {
        /// So many records wait in them: those that a member holds and has not acknowledged are not among them.
        waiting: u64,
        /// So many members read them.
        members: u32,
    },
}

/// What a reader gets to see of transactions of the broker, where it has such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visible {
    /// It sees records of committed transactions and those of none; what is behind an open one it does not see yet.
    Committed,
    /// It sees every record.
    All,
}

/// One topic of a broker, as its administrator sees it.
pub trait Topic: Send + Sync {
    /// Makes it, kept for ever and never compacted, and waits until every partition can be written and read.
    fn create(&self) -> BoxFuture<'_, Result<(), NotMade>>;

    /// Deletes it; one that is not there is no error.
    fn delete(&self) -> BoxFuture<'_, Result<(), String>>;

    /// Whether it has no record, aborted ones included.
    fn is_empty(&self) -> BoxFuture<'_, Result<bool, String>>;

    /// Closes it to every producer. Returns when a sentinel was refused on every partition and every transaction has
    /// ended; an Err says what kept it open for longer than `within`.
    fn close<'a>(
        &'a self,
        identity: &'a Identity,
        within: Duration,
    ) -> BoxFuture<'a, Result<(), String>>;

    /// Returns why the broker took nothing from whoever publishes, at any time since the topic was made; `None` where it
    /// has not said that it did so.
    fn held_up(&self) -> BoxFuture<'_, Option<String>>;

    /// Makes something that can be asked for its length again and again, over one connection.
    fn length(&self) -> Result<Box<dyn Length>, String>;
}

/// Why a topic was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotMade {
    /// Somebody else made one of its name; that is theirs.
    #[error("{0}")]
    Taken(String),
    /// Of all else nobody knows whether it is there.
    #[error("{0}")]
    Failed(String),
}

impl std::convert::From<String> for NotMade {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

impl std::convert::From<NotMade> for String {
    fn from(not_made: NotMade) -> Self {
        not_made.to_string()
    }
}

/// How long a topic is. Asking costs the broker next to nothing, unlike reading.
pub trait Length: Send + Sync {
    /// Returns the count of records on all partitions, those included that only the broker sees.
    fn records(&self) -> BoxFuture<'_, Result<u64, String>>;
}

/// Reads partitions by number and offset; it blocks its thread.
pub trait Reader: Send {
    /// Reads these from now on, and nothing else; what was fetched of others before is dropped.
    fn assign(&mut self, from: &[From<'_>]) -> Result<(), String>;

    /// Waits for a record for at most `wait`, and shows it to `take`.
    fn next(&mut self, wait: Duration, take: &mut dyn FnMut(&dyn OnTopic)) -> Next;

    /// Tells where it stands: each partition of which anything was read, records that are never shown (a
    /// transaction's end) included.
    fn positions(&self, each: &mut dyn FnMut(From<'_>)) -> Result<(), String>;

    /// Returns the lowest offset of a partition and its end: one past the last that this reader gets to see.
    fn ends(&self, topic: &str, partition: i32, within: Duration) -> Result<(i64, i64), String>;

    /// Returns the ends of the first `partitions` partitions, all of the same time.
    fn ends_of_all(
        &self,
        topic: &str,
        partitions: i32,
        within: Duration,
    ) -> Result<KnownEnds, String>;

    /// Returns all topics but the broker's own, each with its partitions.
    fn topics(&self, within: Duration) -> Result<Vec<(String, Vec<i32>)>, String>;
}

/// A place on a topic: an offset of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct From<'t> {
    /// This is the topic's name.
    pub topic: &'t str,
    /// This is the partition's number, from 0.
    pub partition: i32,
    /// This is the offset.
    pub offset: i64,
}

/// What came of waiting for a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// A record came, and was shown.
    Record,
    /// Nothing came in time.
    Nothing,
    /// The reader has come to the end of this partition, as far as it knew at that moment.
    End(i32),
    /// Something went wrong that passes by itself, such as a lost connection; it says what.
    Trouble(String),
    /// Reading cannot go on; it says why.
    Over(String),
}

/// A record where it is on its topic.
pub trait OnTopic: Wire {
    /// Returns the topic's name.
    fn topic(&self) -> &str;
    /// Returns the partition's number, from 0.
    fn partition(&self) -> i32;
    /// Returns the record's offset.
    fn offset(&self) -> i64;
    /// Returns when the broker says that it took the record, in milliseconds since 1970 by the broker's clock; `None`
    /// where it does not say.
    fn appended_ms(&self) -> Option<i64>;
    /// Shows each header, by name, in the record's order.
    fn headers(&self, each: &mut dyn FnMut(&[u8], &[u8]));
}

/// Returns the value of the last header of this name that `walk` shows.
fn last_named<'h>(
    name: &str,
    walk: impl FnOnce(&mut dyn FnMut(&'h [u8], &'h [u8])),
) -> Option<&'h [u8]> {
    let mut last = None;
    walk(&mut |named, value| {
        if named == name.as_bytes() {
            last = Some(value);
        }
    });
    last
}
