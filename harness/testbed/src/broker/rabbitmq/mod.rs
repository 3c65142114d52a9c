//! RabbitMQ. What a topic is elsewhere is an exchange here, and beside it a stream that is bound to it with everything:
//! a queue that is a log, from which the referee reads by offset as often as it likes. It is partition 0, the only one.
//!
//! The first record of each stream is the harness's own, so that the end of a stream can always be asked for
//! ([`tail::StreamTail`]); it is never shown.

mod depth;
mod group;
mod reader;
mod session;
mod tail;
#[cfg(test)]
mod tests;
mod topic;
mod wire;
mod witness;

use super::{Broker, ConsumerGroup, GroupProgress, Reader, Topic, Visible};
use futures::FutureExt;
use futures::future::BoxFuture;
use group::GroupLayout;
use reader::RabbitMqReader;
use relays::config::{QueueKind, stream_of};
use std::sync::Arc;
use topic::RabbitMqTopic;

/// A record of the harness's own has its key in this header, since only the queue's name can be its routing key.
const OWN_KEY: &str = "outbox-harness-key";
/// This is the key of the first record of each stream.
const BIRTH_KEY: &str = "outbox-harness-birth";

/// Returns the RabbitMQ at this `host:port`.
pub fn at(address: &str) -> Arc<dyn Broker> {
    with_queues(address, QueueKind::default())
}

/// Does the same, of one in which the queues of publishers and groups are of this kind.
pub fn with_queues(address: &str, queues: QueueKind) -> Arc<dyn Broker> {
    Arc::new(RabbitMqBroker {
        address: address.to_owned(),
        queues,
    })
}

#[derive(Debug)]
struct RabbitMqBroker {
    address: String,
    /// The queues of publishers and groups are of this kind.
    queues: QueueKind,
}

impl Broker for RabbitMqBroker {
    fn place(&self) -> String {
        format!("RabbitMQ at {}", self.address)
    }

    fn topic(&self, name: &str, _partitions: i32) -> Box<dyn Topic> {
        Box::new(RabbitMqTopic::new(&self.address, name, self.queues))
    }

    /// It is appended to the stream, behind everything that was routed there.
    fn ends_with_sentinel(&self) -> bool {
        true
    }

    /// AMQP has no question for all exchanges: none is named, so events that went elsewhere are not looked for.
    fn topics(&self) -> BoxFuture<'_, Result<Vec<String>, String>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn reader(&self, _visible: Visible) -> Result<Box<dyn Reader>, String> {
        Ok(Box::new(RabbitMqReader::new(&self.address)))
    }

    fn make_group<'a>(&'a self, group: ConsumerGroup<'a>) -> BoxFuture<'a, Result<(), String>> {
        let layout = GroupLayout::of(&self.address, group);
        let queues = self.queues;
        layout
            .blocking("making", move |layout| layout.make(queues))
            .boxed()
    }

    fn drop_group<'a>(&'a self, group: ConsumerGroup<'a>) -> BoxFuture<'a, Result<(), String>> {
        let layout = GroupLayout::of(&self.address, group);
        layout
            .blocking("removing", |layout| layout.remove())
            .boxed()
    }

    fn progress<'a>(
        &'a self,
        group: ConsumerGroup<'a>,
    ) -> BoxFuture<'a, Result<GroupProgress, String>> {
        let layout = GroupLayout::of(&self.address, group);
        layout
            .blocking("asking how far has come", |layout| layout.progress())
            .boxed()
    }
}
