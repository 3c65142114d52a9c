//! Kafka, over its direct listener.

mod client;
mod group;
mod reader;
mod topic;
mod wire;

use super::{Broker, ConsumerGroup, GroupProgress, Reader, Topic, Visible};
use futures::FutureExt;
use futures::future::BoxFuture;
use reader::KafkaReader;
use std::sync::Arc;
use topic::{KafkaTopic, blocking};

/// Returns the Kafka whose direct listener is at this `host:port`; of a topic that is made there is one replica.
pub fn at(bootstrap: &str) -> Arc<dyn Broker> {
    replicated(bootstrap, 1)
}

/// Returns the same with so many replicas of each topic that is made there. Of several brokers each has its `host:port`, with
/// commas between them.
pub fn replicated(bootstrap: &str, replicas: i32) -> Arc<dyn Broker> {
    Arc::new(KafkaBroker {
        bootstrap: bootstrap.to_owned(),
        replicas,
    })
}

#[derive(Debug)]
struct KafkaBroker {
    bootstrap: String,
    replicas: i32,
}

impl Broker for KafkaBroker {
    fn place(&self) -> String {
        format!("Kafka at {}", self.bootstrap)
    }

    fn topic(&self, name: &str, partitions: i32) -> Box<dyn Topic> {
        let shape = (partitions, self.replicas);
        Box::new(KafkaTopic::new(&self.bootstrap, name, shape))
    }

    /// The sentinel is one that it refused.
    fn ends_with_sentinel(&self) -> bool {
        false
    }

    fn topics(&self) -> BoxFuture<'_, Result<Vec<String>, String>> {
        topic::all(&self.bootstrap).boxed()
    }

    fn reader(&self, visible: Visible) -> Result<Box<dyn Reader>, String> {
        Ok(Box::new(KafkaReader::new(&self.bootstrap, visible)?))
    }

    fn progress<'a>(
        &'a self,
        group: ConsumerGroup<'a>,
    ) -> BoxFuture<'a, Result<GroupProgress, String>> {
        let (bootstrap, name) = (self.bootstrap.clone(), group.name);
        let (topic, partitions) = (group.topic.to_owned(), group.partitions);
        let asked = blocking(move || group::ask(&bootstrap, &name, &topic, partitions));
        async move { asked.await.map(GroupProgress::Committed) }.boxed()
    }
}
