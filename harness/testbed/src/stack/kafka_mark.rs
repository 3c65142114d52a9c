//! The mark of a harness on a Kafka cluster: a topic that grows by a record a second.

use super::tenancy::{BEAT, LOST_AFTER};
use crate::broker::{Topic, kafka};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::time::Instant;
use tokio::sync::watch;

/// Has a topic grow.
pub(super) struct GrowingTopic {
    producer: FutureProducer,
    name: String,
}

impl GrowingTopic {
    /// Makes the topic, which does not grow yet.
    pub(super) async fn make(
        bootstrap: &str,
        name: String,
    ) -> Result<(Box<dyn Topic>, Self), String> {
        let topic = kafka::at(bootstrap).topic(&name, 1);
        topic.create().await?;
        let producer = producer(bootstrap)?;
        Ok((topic, Self { producer, name }))
    }

    /// Has it grow, until it cannot any more; says why.
    pub(super) async fn keep(self, tell: watch::Sender<Option<String>>) {
        let mut last = Instant::now();
        loop {
            let record = FutureRecord::<str, str>::to(&self.name).payload("alive");
            match self.producer.send(record, BEAT).await {
                Ok(_) => last = Instant::now(),
                Err((e, _)) if is_gone(&e) || last.elapsed() > LOST_AFTER => {
                    tell.send_replace(Some(format!(
                        "its topic {} takes no sign of life any more ({e}): another harness may \
                         have taken this one for dead, and dropped what it had made",
                        self.name
                    )));
                    return;
                }
                Err(_) => {}
            }
            tokio::time::sleep(BEAT).await;
        }
    }
}

fn is_gone(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)
    )
}

fn producer(bootstrap: &str) -> Result<FutureProducer, String> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("acks", "all")
        .set("message.timeout.ms", "3000")
        .set("topic.metadata.propagation.max.ms", "1000")
        .set("topic.metadata.refresh.interval.ms", "2000")
        .set("log_level", "3")
        .create()
        .map_err(|e: KafkaError| e.to_string())
}
