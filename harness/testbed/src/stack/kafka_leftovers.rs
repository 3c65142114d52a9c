//! What dead harnesses left on a stack's Kafka: its topics, by name.

use super::StackInfo;
use super::description::Description;
use super::kafka_client::{self, Topics};
use crate::broker::{Length, kafka};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode;
use std::collections::BTreeSet;
use std::time::Duration;

/// One deletion may take at most this time.
const DELETE_WITHIN: Duration = Duration::from_secs(15);

/// The topics of a cluster, as whoever cleans up has them.
pub(super) struct LeftTopics {
    bootstrap: String,
}

impl LeftTopics {
    /// Those on this stack.
    pub(super) fn of(info: &StackInfo) -> Self {
        let kafka = info.kafka();
        Self {
            bootstrap: kafka.map_or_else(String::new, |kafka| kafka.address.clone()),
        }
    }

    /// Those on the stack that is described so.
    pub(super) fn described(description: &Description) -> Self {
        Self {
            bootstrap: description.broker.bootstrap.clone(),
        }
    }

    /// Returns the names of all of them.
    pub(super) async fn names(&self) -> Result<Vec<String>, String> {
        let cluster = kafka_client::describe(&self.bootstrap, Topics::All).await?;
        Ok(cluster.topics)
    }

    /// Will ask how long one of them is.
    pub(super) fn length(&self, name: &str) -> Result<Box<dyn Length>, String> {
        kafka::at(&self.bootstrap).topic(name, 1).length()
    }

    /// Deletes these, as far as they are there.
    pub(super) async fn delete(&self, topics: &BTreeSet<String>) -> Result<(), String> {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .create()
            .map_err(|e| e.to_string())?;
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let options = AdminOptions::new()
            .operation_timeout(Some(DELETE_WITHIN))
            .request_timeout(Some(DELETE_WITHIN));
        let results = admin.delete_topics(&names, &options).await;
        for result in results.map_err(|e| format!("delete topics: {e}"))? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
                Err((topic, code)) => return Err(format!("delete topic {topic}: {code}")),
            }
        }
        Ok(())
    }
}
