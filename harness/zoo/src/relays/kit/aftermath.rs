//! What became of it on the topic, for a relay that cannot know it otherwise: read from the topic
//! itself, by a consumer of its own, and admitted.

use crate::confession::Confession;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use relays::config::KafkaTarget;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// The whole read may take at most this time.
const WITHIN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);

/// This holds the events whose first record came after that of a later version of their order, and those
/// that came again.
#[derive(Debug, Default)]
pub struct Aftermath {
    /// The first records of these events, as `ORDER/VERSION`, came after one of a later version.
    pub overtaken: Vec<String>,
    /// These events, as `ORDER/VERSION`, came again; each is here once a repetition.
    pub again: Vec<String>,
}

impl Aftermath {
    /// Reads the topic from its beginning to its end.
    pub fn read(target: &KafkaTarget) -> Result<Self, String> {
        let failed = |reason: &dyn std::fmt::Display| format!("read {}: {reason}", target.topic);
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &target.bootstrap)
            .set("group.id", "zoo-aftermath")
            .set("enable.auto.commit", "false")
            .create()
            .map_err(|e| failed(&e))?;
        let metadata = consumer
            .fetch_metadata(Some(&target.topic), WITHIN)
            .map_err(|e| failed(&e))?;
        let mut assignment = TopicPartitionList::new();
        let mut left = 0;
        for partition in metadata
            .topics()
            .iter()
            .flat_map(|topic| topic.partitions())
        {
            let (low, high) = consumer
                .fetch_watermarks(&target.topic, partition.id(), WITHIN)
                .map_err(|e| failed(&e))?;
            left += high - low;
            assignment
                .add_partition_offset(&target.topic, partition.id(), Offset::Beginning)
                .map_err(|e| failed(&e))?;
        }
        consumer.assign(&assignment).map_err(|e| failed(&e))?;
        let deadline = Instant::now() + WITHIN;
        let mut aftermath = Self::default();
        // An order's events are on one partition, which comes in its order.
        let mut seen: HashMap<String, BTreeSet<u32>> = HashMap::new();
        while left > 0 {
            if Instant::now() > deadline {
                return Err(failed(&format!(
                    "{left} records were not read within {WITHIN:?}"
                )));
            }
            let Some(record) = consumer.poll(POLL) else {
                continue;
            };
            let record = record.map_err(|e| failed(&e))?;
            let (name, key, version) = event(record.payload()).map_err(|e| failed(&e))?;
            let versions = seen.entry(key).or_default();
            if versions.contains(&version) {
                aftermath.again.push(name);
            } else if versions.last().is_some_and(|newest| *newest > version) {
                aftermath.overtaken.push(name);
            }
            versions.insert(version);
            left -= 1;
        }
        Ok(aftermath)
    }

    /// Reads it, and admits what it finds as `overtaken` and `again`.
    pub fn admit(target: &KafkaTarget, confession: &Confession) -> Result<(), String> {
        let aftermath = Self::read(target)?;
        for name in &aftermath.overtaken {
            confession.admit("overtaken", name);
        }
        for name in &aftermath.again {
            confession.admit("again", name);
        }
        Ok(())
    }
}

/// Returns order and version in one word (`ORDER/VERSION`), the order, and the version.
fn event(payload: Option<&[u8]>) -> Result<(String, String, u32), String> {
    #[derive(serde::Deserialize)]
    struct Event {
        order_id: String,
        version: u32,
    }
    let event: Event =
        serde_json::from_slice(payload.unwrap_or_default()).map_err(|e| e.to_string())?;
    let name = format!("{}/{}", event.order_id, event.version);
    Ok((name, event.order_id, event.version))
}
