//! A broker that has just started runs interpreted code: whatever strategy came first would pay for
//! it in its latencies. So a new broker is made to do a little of the real work before anything is
//! measured.

use super::Stack;
use crate::broker::kafka;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::time::{Duration, Instant};

/// A warm-up this long is for a first impression: the JVM's compiler is at work for some ten seconds of full load.
pub const BRIEF: Duration = Duration::from_millis(1_000);
/// One delivery may take at most this time, and so may the wait for a place in the producer's queue.
const DELIVERY_WITHIN: Duration = Duration::from_secs(10);
const IN_FLIGHT: usize = 32;
const VALUE: [u8; 512] = [b'x'; 512];

impl Stack {
    /// Gives its broker so much ordinary work, by a topic of this name, that its speed is its own. Of the brokers, Kafka
    /// alone runs code that is compiled as it runs.
    pub async fn warm_up(&self, topic: &str, lasts: Duration) -> Result<(), String> {
        let info = self.info();
        match info.kafka() {
            Some(kafka) => warm_up((&kafka.address, info.topic_replicas), topic, lasts).await,
            None => Ok(()),
        }
    }
}

/// Publishes to and reads from a topic of its own for so long, as strategies and observer will, and
/// deletes it.
async fn warm_up(
    (bootstrap, replicas): (&str, i32),
    topic: &str,
    lasts: Duration,
) -> Result<(), String> {
    let scratch = kafka::replicated(bootstrap, replicas).topic(topic, 3);
    scratch.create().await?;
    let stop = Instant::now() + lasts;
    let reader = {
        let (bootstrap, topic) = (bootstrap.to_owned(), topic.to_owned());
        tokio::task::spawn_blocking(move || read_until(&bootstrap, &topic, stop))
    };
    let published = publish_until(bootstrap, topic, stop).await;
    let read = reader
        .await
        .map_err(|e| format!("warming up the broker: {e}"))?;
    scratch.delete().await?;
    published.and(read)
}

async fn publish_until(bootstrap: &str, topic: &str, stop: Instant) -> Result<(), String> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .set(
            "message.timeout.ms",
            DELIVERY_WITHIN.as_millis().to_string(),
        )
        .create()
        .map_err(|e| format!("warming up the broker: {e}"))?;
    let send = |n: usize| {
        let key = n.to_string();
        let producer = &producer;
        async move {
            let record = FutureRecord::to(topic).key(&key).payload(&VALUE);
            producer
                .send(record, DELIVERY_WITHIN)
                .await
                .map_err(|(e, _)| format!("warming up the broker: {e}"))
        }
    };
    let mut number = IN_FLIGHT;
    let mut waiting: FuturesUnordered<_> = (0..IN_FLIGHT).map(send).collect();
    while let Some(sent) = waiting.next().await {
        sent?;
        if Instant::now() < stop {
            waiting.push(send(number));
            number += 1;
        }
    }
    Ok(())
}

fn read_until(bootstrap: &str, topic: &str, stop: Instant) -> Result<(), String> {
    let failed = |e: rdkafka::error::KafkaError| format!("warming up the broker: {e}");
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", topic)
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .create()
        .map_err(failed)?;
    let mut all = rdkafka::TopicPartitionList::new();
    for partition in 0..3 {
        all.add_partition_offset(topic, partition, rdkafka::Offset::Beginning)
            .map_err(failed)?;
    }
    consumer.assign(&all).map_err(failed)?;
    while Instant::now() < stop {
        // What comes does not matter, and the broker's errors show where it is published.
        let _ = consumer.poll(Duration::from_millis(20));
    }
    Ok(())
}
