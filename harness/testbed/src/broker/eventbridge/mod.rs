//! EventBridge, around all proxies, by an emulator: a topic is a bus, and a queue (SQS) that gets everything on it. To read
//! a queue is to empty it, and it has no offsets. So a thread for each topic reads it into a log in memory, which all
//! readers of this broker read; there are the offsets.

mod calls;
mod feed;
mod log;
mod reader;
mod topic;

use super::{Broker, ConsumerGroup, GroupProgress, Reader, Topic, Visible};
use calls::Calls;
use futures::FutureExt;
use futures::future::BoxFuture;
use log::Logs;
use reader::EventBridgeReader;
use std::sync::Arc;
use topic::EventBridgeTopic;

/// Returns the emulator at this `host:port`. What is read by it is read by nobody else.
pub fn at(address: &str) -> Arc<dyn Broker> {
    Arc::new(EventBridgeBroker {
        address: address.to_owned(),
        logs: Arc::new(Logs::default()),
    })
}

#[derive(Debug)]
struct EventBridgeBroker {
    address: String,
    logs: Arc<Logs>,
}

impl Broker for EventBridgeBroker {
    fn place(&self) -> String {
        format!("EventBridge (emulator moto) at {}", self.address)
    }

    /// A bus has no partitions, so there is one, however many are asked for.
    fn topic(&self, name: &str, _: i32) -> Box<dyn Topic> {
        Box::new(EventBridgeTopic::new(
            &self.address,
            name,
            Arc::clone(&self.logs),
        ))
    }

    /// The sentinel is one that was refused.
    fn ends_with_sentinel(&self) -> bool {
        false
    }

    fn topics(&self) -> BoxFuture<'_, Result<Vec<String>, String>> {
        async { Calls::new(&self.address)?.buses().await }.boxed()
    }

    /// There are no transactions, so everybody sees everything.
    fn reader(&self, _: Visible) -> Result<Box<dyn Reader>, String> {
        Ok(Box::new(EventBridgeReader::new(
            &self.address,
            Arc::clone(&self.logs),
        )))
    }

    fn progress<'a>(
        &'a self,
        _: ConsumerGroup<'a>,
    ) -> BoxFuture<'a, Result<GroupProgress, String>> {
        let refused = "consumers of EventBridge are not followed yet: strategies with `consumers` take Kafka or RabbitMQ";
        async move { Err(refused.to_owned()) }.boxed()
    }
}
