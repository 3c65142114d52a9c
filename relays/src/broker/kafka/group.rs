//! A member of a consumer group, which commits its offsets by itself.

use crate::broker::{GroupSession, TakesRecord};
use crate::config::KafkaTarget;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub(crate) struct KafkaMember {
    consumer: BaseConsumer,
    topic: String,
}

impl KafkaMember {
    /// Joins the group, which takes its time; see [`GroupSession::is_assigned`].
    pub fn join(kafka: &KafkaTarget, group: &str) -> Result<Self, String> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &kafka.bootstrap)
            .set("client.id", group)
            .set("group.id", group)
            // A successor of the same name takes over at once, without waiting for a dead member's session.
            .set("group.instance.id", group)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "10")
            .set("fetch.queue.backoff.ms", "2")
            .set("fetch.error.backoff.ms", "50")
            .set("queued.max.messages.kbytes", "16384")
            // A broker that comes back is found at once, not after a back-off of up to 10 s.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "250")
            .set("topic.metadata.refresh.fast.interval.ms", "100")
            .set("socket.nagle.disable", "true")
            .create()
            .map_err(|e| format!("make a Kafka consumer for {}: {e}", kafka.bootstrap))?;
        consumer
            .subscribe(&[&kafka.topic])
            .map_err(|e| format!("subscribe to {}: {e}", kafka.topic))?;
        Ok(Self {
            consumer,
            topic: kafka.topic.clone(),
        })
    }
}

impl GroupSession for KafkaMember {
    fn is_assigned(&self) -> Result<bool, String> {
        let assigned = self.consumer.assignment();
        let assigned = assigned.map_err(|e| format!("ask for the assignment: {e}"))?;
        Ok(assigned.count() > 0)
    }

    fn read(&self, wait: Duration, most: usize, each: &mut TakesRecord<'_>) -> Result<(), String> {
        let mut wait = wait;
        for come in 0..most {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(record)) => each(record.partition(), record.offset(), record.payload()),
                // What was read is applied; the error is met again.
                Some(Err(_)) if come > 0 => break,
                Some(Err(error)) => return Err(format!("read {}: {error}", self.topic)),
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    fn commit(&self, offsets: &BTreeMap<i32, i64>) -> Result<(), String> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))
                .map_err(|e| format!("name offset {offset}: {e}"))?;
        }
        self.consumer
            .commit(&list, CommitMode::Sync)
            .map_err(|e| format!("commit the offsets: {e}"))
    }

    fn seek(&self, offsets: &BTreeMap<i32, i64>, within: Duration) -> Result<(), String> {
        let until = Instant::now() + within;
        let assigned = self.consumer.assignment();
        let assigned = assigned.map_err(|e| format!("ask for the assignment: {e}"))?;
        for (partition, offset) in offsets {
            // Whose partition it is now begins at what is committed, which is no later.
            if assigned.find_partition(&self.topic, *partition).is_none() {
                continue;
            }
            let left = until.saturating_duration_since(Instant::now());
            let offset = Offset::Offset(*offset);
            let sought = self.consumer.seek(&self.topic, *partition, offset, left);
            match sought {
                // The same of one that it is about to begin with.
                Err(e) if e.rdkafka_error_code() == Some(RDKafkaErrorCode::State) => {}
                sought => sought.map_err(|e| format!("go back in {}: {e}", self.topic))?,
            }
        }
        Ok(())
    }

    fn give_back(&self, _offsets: &BTreeMap<i32, i64>) -> Result<(), String> {
        Err(format!(
            "nothing is given back to {}: a group of Kafka has an offset, and no single records",
            self.topic
        ))
    }

    /// What was fetched and not read is the next member's.
    fn stop(&self) -> Result<bool, String> {
        Ok(false)
    }

    /// It has a name by which its successor takes over at once, so it says nothing.
    fn leave(&self) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn given_a_partition_that_is_not_its_own_when_it_is_to_go_back_there_then_it_need_not() {
        // Given a member that has no partitions, as there is no broker
        let nowhere = KafkaTarget {
            bootstrap: "127.0.0.1:1".to_owned(),
            topic: "orders".to_owned(),
            linger_ms: 0.0,
            acks: Default::default(),
        };
        let member = KafkaMember::join(&nowhere, "payments").unwrap();
        // When, then
        let offsets = BTreeMap::from([(0, 3)]);
        assert_eq!(member.seek(&offsets, Duration::from_secs(1)), Ok(()));
    }
}
