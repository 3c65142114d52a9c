//! NATS JetStream, around all proxies: a topic is a stream, with one partition whose offsets are the stream's
//! sequences, less one.

mod client;
mod feed;
mod reader;
mod record;
mod topic;

use super::{Broker, ConsumerGroup, GroupProgress, Reader, Topic, Visible};
use futures::FutureExt;
use futures::future::BoxFuture;
use reader::NatsReader;
use std::sync::Arc;
use std::time::Duration;
use topic::NatsTopic;

/// Within so long a stream knows an event that says its id again, unless it is told otherwise: the server's own default.
pub const DUPLICATE_WINDOW_DEFAULT: Duration = Duration::from_secs(120);

/// Returns the NATS server at this `host:port`, whose topics know an event again for so long.
pub fn at(address: &str, duplicate_window: Duration) -> Arc<dyn Broker> {
    Arc::new(NatsBroker {
        address: address.to_owned(),
        duplicate_window,
    })
}

#[derive(Debug)]
struct NatsBroker {
    address: String,
    duplicate_window: Duration,
}

impl Broker for NatsBroker {
    fn place(&self) -> String {
        format!("NATS at {}", self.address)
    }

    /// A stream has no partitions, so there is one, however many are asked for.
    fn topic(&self, name: &str, _: i32) -> Box<dyn Topic> {
        Box::new(NatsTopic::new(&self.address, name, self.duplicate_window))
    }

    /// The sentinel is one that it refused.
    fn ends_with_sentinel(&self) -> bool {
        false
    }

    fn topics(&self) -> BoxFuture<'_, Result<Vec<String>, String>> {
        async {
            let context = client::connect(&self.address).await?;
            topic::all(&context).await
        }
        .boxed()
    }

    /// There are no transactions, so everybody sees everything.
    fn reader(&self, _: Visible) -> Result<Box<dyn Reader>, String> {
        Ok(Box::new(NatsReader::new(&self.address)?))
    }

    fn progress<'a>(
        &'a self,
        _: ConsumerGroup<'a>,
    ) -> BoxFuture<'a, Result<GroupProgress, String>> {
        let refused = "consumers of NATS are not followed yet: strategies with `consumers` take Kafka or RabbitMQ";
        async move { Err(refused.to_owned()) }.boxed()
    }
}
