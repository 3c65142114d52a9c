//! A broker, as those need it who make topics, close them and read them around every proxy. Which system it
//! is, only the folder knows that is named after it.

pub mod kafka;
pub mod nats;
pub mod rabbitmq;

use crate::identity::Identity;
use crate::scenario::BrokerChoice;
use futures::future::BoxFuture;
use referee::envelope::Wire;
use relays::config::BrokerKind;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// Offsets by partition.
pub type Offsets = BTreeMap<i32, i64>;

/// Returns the broker of this kind at `host:port`. Nothing is connected before something is asked of it.
pub fn at(kind: BrokerKind, address: &str) -> Arc<dyn Broker> {
    match kind {
        BrokerKind::Kafka => kafka::at(address),
        BrokerKind::RabbitMq => rabbitmq::at(address),
        BrokerKind::Nats => nats::at(address, nats::DUPLICATE_WINDOW_DEFAULT),
    }
}

/// Returns the broker of a strategy at `host:port`, whose topics are as the strategy has them; on Kafka they have so many
/// replicas.
pub fn chosen(choice: &BrokerChoice, address: &str, kafka_replicas: i32) -> Arc<dyn Broker> {
    match choice {
        BrokerChoice::Kafka(_) => kafka::replicated(address, kafka_replicas),
        BrokerChoice::RabbitMq { .. } => rabbitmq::at(address),
        BrokerChoice::Nats(settings) => nats::at(address, settings.duplicate_window()),
    }
}

/// A broker that is reached directly. Nothing is connected before something is asked of it.
pub trait Broker: Debug + Send + Sync {
    /// Returns what system it is and where, for messages: `Kafka at 127.0.0.1:9092`.
    fn place(&self) -> String;

    /// Names a topic; nothing is made yet.
    fn topic(&self, name: &str, partitions: i32) -> Box<dyn Topic>;

    /// Returns the names of all topics there are, the broker's own included.
    fn topics(&self) -> BoxFuture<'_, Result<Vec<String>, String>>;

    /// Makes a reader to which nothing is assigned yet; it joins no group and leaves no trace.
    fn reader(&self, visible: Visible) -> Result<Box<dyn Reader>, String>;

    /// Returns the offsets that a group of consumers has committed, of each partition of which it has. The group is
    /// not joined.
    fn committed<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
        partitions: i32,
    ) -> BoxFuture<'a, Result<Offsets, String>>;
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
    fn create(&self) -> BoxFuture<'_, Result<(), String>>;

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

    /// Makes something that can be asked for its length again and again, over one connection.
    fn length(&self) -> Result<Box<dyn Length>, String>;
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

    /// Returns the ends of the first `partitions` partitions, all asked for with one question.
    fn ends_of_all(
        &self,
        topic: &str,
        partitions: i32,
        within: Duration,
    ) -> Result<Offsets, String>;

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
