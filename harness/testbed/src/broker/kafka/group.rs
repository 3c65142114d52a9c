//! How far a consumer group has come, as the broker tells; the group is not joined.

use crate::broker::Offsets;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use std::time::Duration;

/// The broker's answer is waited for so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Asks the broker; it blocks its thread.
pub(super) fn ask(
    bootstrap: &str,
    group: &str,
    topic: &str,
    partitions: i32,
) -> Result<Offsets, String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "outbox-harness-referee")
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .create()
        .map_err(|e| format!("creating a Kafka consumer for {bootstrap}: {e}"))?;
    let mut wanted = TopicPartitionList::new();
    for partition in 0..partitions.max(1) {
        wanted.add_partition(topic, partition);
    }
    let told = consumer
        .committed_offsets(wanted, ANSWER_WITHIN)
        .map_err(|e| format!("asking what group {group} has committed: {e}"))?;
    let mut offsets = Offsets::new();
    for element in told.elements() {
        let partition = element.partition();
        element.error().map_err(|e| {
            format!("asking what group {group} has committed of partition {partition}: {e}")
        })?;
        match element.offset() {
            Offset::Offset(offset) => {
                offsets.insert(partition, offset);
            }
            // It has not committed any there.
            Offset::Beginning
            | Offset::End
            | Offset::Stored
            | Offset::Invalid
            | Offset::OffsetTail(_) => {}
        }
    }
    Ok(offsets)
}
