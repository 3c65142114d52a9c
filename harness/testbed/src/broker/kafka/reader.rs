//! A consumer whose partitions are assigned by number: no group, nothing committed.

use super::client::{consumer, ends_reading};
use super::wire::KafkaRecord;
use crate::broker::{From, KnownEnds, Next, Offsets, OnTopic, Reader, Visible};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use relays::signal::monotonic_ns;
use std::time::Duration;

pub(super) struct KafkaReader(BaseConsumer);

impl KafkaReader {
    pub fn new(bootstrap: &str, visible: Visible) -> Result<Self, String> {
        consumer(bootstrap, visible).map(Self)
    }
}

impl Reader for KafkaReader {
    fn assign(&mut self, from: &[From<'_>]) -> Result<(), String> {
        if from.is_empty() {
            let ended = self.0.unassign();
            return ended.map_err(|e| format!("ending the reading: {e}"));
        }
        let mut assignment = TopicPartitionList::with_capacity(from.len());
        for place in from {
            assignment
                .add_partition_offset(place.topic, place.partition, Offset::Offset(place.offset))
                .map_err(|e| {
                    format!(
                        "assigning partition {} of {}: {e}",
                        place.partition, place.topic
                    )
                })?;
        }
        self.0
            .assign(&assignment)
            .map_err(|e| format!("assigning partitions to read: {e}"))
    }

    fn next(&mut self, wait: Duration, take: &mut dyn FnMut(&dyn OnTopic)) -> Next {
        match self.0.poll(wait) {
            None => Next::Nothing,
            Some(Ok(message)) => {
                take(&KafkaRecord(&message));
                Next::Record
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => Next::End(partition),
            Some(Err(error)) if ends_reading(&error) => Next::Over(error.to_string()),
            // Brokers go down in these runs; librdkafka connects again by itself.
            Some(Err(error)) => Next::Trouble(error.to_string()),
        }
    }

    fn positions(&self, each: &mut dyn FnMut(From<'_>)) -> Result<(), String> {
        let known = self
            .0
            .position()
            .map_err(|e| format!("asking the consumer for its position: {e}"))?;
        for element in known.elements() {
            // Without a record so far there is none.
            if let Offset::Offset(offset) = element.offset() {
                each(From {
                    topic: element.topic(),
                    partition: element.partition(),
                    offset,
                });
            }
        }
        Ok(())
    }

    /// The end is the last stable offset for a consumer that reads committed records, the high watermark for one that
    /// reads all: librdkafka asks with the consumer's isolation level.
    fn ends(&self, topic: &str, partition: i32, within: Duration) -> Result<(i64, i64), String> {
        self.0
            .fetch_watermarks(topic, partition, within)
            .map_err(|e| e.to_string())
    }

    fn ends_of_all(
        &self,
        topic: &str,
        partitions: i32,
        within: Duration,
    ) -> Result<KnownEnds, String> {
        let mut asked = TopicPartitionList::with_capacity(usize::try_from(partitions).unwrap_or(0));
        for partition in 0..partitions {
            asked
                .add_partition_offset(topic, partition, Offset::End)
                .map_err(|e| e.to_string())?;
        }
        let asked_ns = monotonic_ns();
        let told = self
            .0
            .offsets_for_times(asked, within)
            .map_err(|e| e.to_string())?;
        let told_ns = monotonic_ns();
        let mut ends = Offsets::new();
        for element in told.elements() {
            element.error().map_err(|e| e.to_string())?;
            let Offset::Offset(end) = element.offset() else {
                return Err(format!("an end that is no offset: {:?}", element.offset()));
            };
            ends.insert(element.partition(), end);
        }
        Ok(KnownEnds::midway(ends, asked_ns, told_ns))
    }

    fn topics(&self, within: Duration) -> Result<Vec<(String, Vec<i32>)>, String> {
        let cluster = self
            .0
            .fetch_metadata(None, within)
            .map_err(|e| e.to_string())?;
        let theirs = cluster
            .topics()
            .iter()
            .filter(|t| !t.name().starts_with("__"));
        let named = theirs.map(|topic| {
            let partitions = topic.partitions().iter().map(|p| p.id());
            (topic.name().to_owned(), partitions.collect())
        });
        Ok(named.collect())
    }
}
