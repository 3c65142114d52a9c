//! Reads given offsets of given partitions, all of them: complete means that the consumer's own
//! position has reached the end, never that it reported an end of file.

use super::client::ends_reading;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long one question to the broker may take.
const ASK: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// These are offsets of a partition: `from` up to and without `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub topic: Arc<str>,
    pub partition: i32,
    pub from: i64,
    pub to: i64,
}

/// Turns true when nobody waits for the result any more.
pub(super) type GivenUp = Arc<AtomicBool>;

/// These bounds say when to stop trying.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    /// Trying ends after so long without progress.
    pub no_progress: Duration,
    /// Trying ends when this turns true.
    pub given_up: GivenUp,
}

impl Bounds {
    fn given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }
}

/// Returns the lowest offset of a partition and its end: the last stable offset for a consumer that reads committed
/// records, the high watermark for one that reads all (librdkafka asks with the consumer's isolation level). The
/// broker is asked again until it answers.
pub(super) fn ends(
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    bounds: &Bounds,
) -> Result<(i64, i64), String> {
    let deadline = Instant::now() + bounds.no_progress;
    loop {
        match consumer.fetch_watermarks(topic, partition, ASK.min(bounds.no_progress)) {
            Ok(ends) => return Ok(ends),
            Err(error) if Instant::now() > deadline || bounds.given_up() => {
                return Err(format!(
                    "asking for the ends of partition {partition} of topic {topic}: {error} \
                     (for {:?}): is the broker reachable on its direct listener?",
                    bounds.no_progress
                ));
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// Reads `ranges` to their ends, each record once; returns the position reached in each.
pub(super) fn read(
    consumer: &BaseConsumer,
    ranges: &[Range],
    bounds: &Bounds,
    mut take: impl FnMut(&BorrowedMessage<'_>),
) -> Result<Vec<i64>, String> {
    let mut position: Vec<i64> = ranges.iter().map(|r| r.from).collect();
    let index = Index::new(ranges);
    assign(consumer, ranges)?;
    let mut last_error = String::from("no error was reported");
    let mut open = ranges.iter().filter(|r| r.from < r.to).count();
    let mut progress = Instant::now();
    while open > 0 {
        if bounds.given_up() {
            return Err("the reading was given up".into());
        }
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                let Some(at) = index.find(message.topic(), message.partition()) else {
                    continue;
                };
                let offset = message.offset();
                // Behind the end (the topic still grows), or seen already.
                if offset >= ranges[at].to || offset < position[at] {
                    continue;
                }
                take(&message);
                position[at] = offset + 1;
                open -= usize::from(position[at] >= ranges[at].to);
                progress = Instant::now();
                continue;
            }
            Some(Err(KafkaError::PartitionEOF(_))) | None => {}
            Some(Err(error)) if ends_reading(&error) => {
                return Err(format!("{}: {error}", unread(ranges, &position)));
            }
            Some(Err(error)) => last_error = error.to_string(),
        }
        // Transaction markers have offsets and are never handed out: only the position tells.
        let finished = advance(consumer, ranges, &index, &mut position)?;
        if finished > 0 {
            open -= finished;
            progress = Instant::now();
        }
        if progress.elapsed() > bounds.no_progress {
            return Err(format!(
                "{}, no progress for {:?} ({last_error})",
                unread(ranges, &position),
                bounds.no_progress
            ));
        }
    }
    consumer
        .unassign()
        .map_err(|e| format!("ending the reading: {e}"))?;
    Ok(position)
}

fn assign(consumer: &BaseConsumer, ranges: &[Range]) -> Result<(), String> {
    let mut assignment = TopicPartitionList::with_capacity(ranges.len());
    for range in ranges.iter().filter(|r| r.from < r.to) {
        assignment
            .add_partition_offset(&range.topic, range.partition, Offset::Offset(range.from))
            .map_err(|e| {
                format!(
                    "assigning partition {} of {}: {e}",
                    range.partition, range.topic
                )
            })?;
    }
    consumer
        .assign(&assignment)
        .map_err(|e| format!("assigning partitions to read: {e}"))
}

/// Takes over the consumer's positions; returns how many ranges are finished by that.
fn advance(
    consumer: &BaseConsumer,
    ranges: &[Range],
    index: &Index,
    position: &mut [i64],
) -> Result<usize, String> {
    let known = consumer
        .position()
        .map_err(|e| format!("asking the consumer for its position: {e}"))?;
    let mut finished = 0;
    for element in known.elements() {
        // Without a record so far there is none.
        let Offset::Offset(offset) = element.offset() else {
            continue;
        };
        let Some(at) = index.find(element.topic(), element.partition()) else {
            continue;
        };
        let reached = offset.min(ranges[at].to);
        if reached > position[at] {
            position[at] = reached;
            finished += usize::from(reached >= ranges[at].to);
        }
    }
    Ok(finished)
}

fn unread(ranges: &[Range], position: &[i64]) -> String {
    let open = ranges.iter().zip(position).find(|(r, p)| **p < r.to);
    match open {
        Some((range, position)) => format!(
            "reading topic {}: partition {} stands at offset {position} of {}",
            range.topic, range.partition, range.to
        ),
        None => "reading".into(),
    }
}

/// Finds the range of a partition.
struct Index(HashMap<Arc<str>, HashMap<i32, usize>>);

impl Index {
    fn new(ranges: &[Range]) -> Self {
        let mut topics: HashMap<Arc<str>, HashMap<i32, usize>> = HashMap::new();
        for (at, range) in ranges.iter().enumerate() {
            topics
                .entry(Arc::clone(&range.topic))
                .or_default()
                .insert(range.partition, at);
        }
        Self(topics)
    }

    fn find(&self, topic: &str, partition: i32) -> Option<usize> {
        self.0.get(topic)?.get(&partition).copied()
    }
}
