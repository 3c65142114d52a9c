//! The consumer's side to Kafka: a member of a group, which reads in batches and commits by itself.

use super::batch::ConsumedBatch;
use contract::consumer::ConsumerConfig;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// A batch has at most so many records; what is kept of each is small.
const BATCH: usize = 500;
/// Going back in a partition takes this long at most.
const SEEK_WITHIN: Duration = Duration::from_secs(5);
/// A commit is waited for so long, of which the end of a process has room for several. Its client gives up much later
/// while there is no broker.
const COMMIT_WITHIN: Duration = Duration::from_secs(2);

pub(super) struct GroupReader {
    consumer: Arc<BaseConsumer>,
    topic: String,
    /// By partition, the offset behind what was passed, as far as it is not committed.
    uncommitted: BTreeMap<i32, i64>,
    /// A commit of which nothing was heard yet.
    under_way: Option<JoinHandle<KafkaResult<()>>>,
}

impl GroupReader {
    /// Joins the group, which takes its time; see [`GroupReader::is_assigned`].
    pub fn join(config: &ConsumerConfig) -> Result<Self, String> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &config.bootstrap)
            .set("client.id", &config.group)
            .set("group.id", &config.group)
            // A successor of the same name takes over at once, without waiting for a dead member's session.
            .set("group.instance.id", &config.group)
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
            .map_err(|e| format!("make a Kafka consumer for {}: {e}", config.bootstrap))?;
        consumer
            .subscribe(&[&config.topic])
            .map_err(|e| format!("subscribe to {}: {e}", config.topic))?;
        Ok(Self {
            consumer: Arc::new(consumer),
            topic: config.topic.clone(),
            uncommitted: BTreeMap::new(),
            under_way: None,
        })
    }

    /// Whether partitions are its own: from then on it reads.
    pub fn is_assigned(&self) -> Result<bool, String> {
        let assigned = self.consumer.assignment();
        let assigned = assigned.map_err(|e| format!("ask for the assignment: {e}"))?;
        Ok(assigned.count() > 0)
    }

    /// Waits so long for a first record, and takes what is there behind it. May be empty.
    pub fn next(&self, wait: Duration) -> Result<ConsumedBatch, String> {
        let mut batch = ConsumedBatch::default();
        let mut wait = wait;
        while batch.records < BATCH
            && let Some(polled) = self.consumer.poll(wait)
        {
            match polled {
                Ok(record) => batch.add(record.partition(), record.offset(), record.payload()),
                // What was read is applied; the error is met again.
                Err(_) if batch.records > 0 => break,
                Err(error) => return Err(format!("read {}: {error}", self.topic)),
            }
            wait = Duration::ZERO;
        }
        Ok(batch)
    }

    /// What is before these offsets is behind it: the next commit says so.
    pub fn passed(&mut self, next: &BTreeMap<i32, i64>) {
        self.uncommitted.extend(next);
    }

    /// Commits what was passed, and waits for the answer. After an Err it may be committed or not.
    pub async fn commit(&mut self) -> Result<(), String> {
        if self.uncommitted.is_empty() {
            return Ok(());
        }
        let late = |_| format!("commit the offsets: no answer within {COMMIT_WITHIN:?}");
        // Of two that are under way, the first could take back what the second says.
        self.answer().await.map_err(late)?;
        let offsets = self.offsets(&self.uncommitted)?;
        let consumer = Arc::clone(&self.consumer);
        let commit = move || consumer.commit(&offsets, CommitMode::Sync);
        self.under_way = Some(spawn_blocking(commit));
        match self.answer().await.map_err(late)? {
            Some(Ok(Err(error))) => return Err(format!("commit the offsets: {error}")),
            Some(Err(error)) => return Err(format!("commit the offsets: {error}")),
            Some(Ok(Ok(()))) | None => {}
        }
        self.uncommitted.clear();
        Ok(())
    }

    /// Waits for what is under way.
    async fn answer(&mut self) -> Result<Option<Result<KafkaResult<()>, JoinError>>, Elapsed> {
        let Some(under_way) = &mut self.under_way else {
            return Ok(None);
        };
        let answer = timeout(COMMIT_WITHIN, under_way).await?;
        self.under_way = None;
        Ok(Some(answer))
    }

    /// Reads again from these offsets on, which are then not passed.
    pub fn go_back(&mut self, first: &BTreeMap<i32, i64>) -> Result<(), String> {
        for (partition, offset) in &mut self.uncommitted {
            *offset = first.get(partition).copied().unwrap_or(*offset);
        }
        let until = Instant::now() + SEEK_WITHIN;
        for (partition, offset) in first {
            let left = until.saturating_duration_since(Instant::now());
            self.consumer
                .seek(&self.topic, *partition, Offset::Offset(*offset), left)
                .map_err(|e| format!("go back in {}: {e}", self.topic))?;
        }
        Ok(())
    }

    fn offsets(&self, of: &BTreeMap<i32, i64>) -> Result<TopicPartitionList, String> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in of {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))
                .map_err(|e| format!("name offset {offset}: {e}"))?;
        }
        Ok(list)
    }
}
