//! Several topics of a broker as one, whose partitions are numbered across them: who watches it, closes it and reads
//! it again does what it does with any other.

use super::{
    Broker, ConsumerGroup, From, GroupProgress, KnownEnds, Length, Next, NotMade, Offsets, OnTopic,
    Reader, Topic, Visible, claim,
};
use crate::identity::Identity;
use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
use referee::envelope::Wire;
use referee::topics::Topics;
use relays::signal::monotonic_ns;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Returns these topics of a broker, of the run whose own topic has the name `own`, as one topic.
pub fn topic(broker: &Arc<dyn Broker>, own: &str, topics: &Topics) -> Box<dyn Topic> {
    let of_name = |name: &String| claim::topic(broker, own, name, topics.of_each());
    let mut all: Vec<Box<dyn Topic>> = topics.names().iter().map(of_name).collect();
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            all.extend(last);
            Box::new(SeveralTopics(all))
        }
    }
}

/// Returns the broker with readers that know these topics as one, by [`Topics::name`].
pub fn joined(broker: &Arc<dyn Broker>, topics: &Topics) -> Arc<dyn Broker> {
    match topics.names().len() {
        0 | 1 => Arc::clone(broker),
        _ => Arc::new(Joined {
            broker: Arc::clone(broker),
            topics: Arc::new(topics.clone()),
        }),
    }
}

struct SeveralTopics(Vec<Box<dyn Topic>>);

impl Topic for SeveralTopics {
    /// One after the other: what a failure leaves is deleted with the rest.
    fn create(&self) -> BoxFuture<'_, Result<(), NotMade>> {
        async {
            for topic in &self.0 {
                topic.create().await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn delete(&self) -> BoxFuture<'_, Result<(), String>> {
        async {
            let mut deleted = Ok(());
            for topic in &self.0 {
                // One that cannot be deleted keeps none of the others.
                deleted = deleted.and(topic.delete().await);
            }
            deleted
        }
        .boxed()
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, String>> {
        async {
            let empty = try_join_all(self.0.iter().map(|topic| topic.is_empty())).await?;
            Ok(empty.into_iter().all(|is_empty| is_empty))
        }
        .boxed()
    }

    fn close<'a>(
        &'a self,
        identity: &'a Identity,
        within: Duration,
    ) -> BoxFuture<'a, Result<(), String>> {
        async move {
            let closed = self.0.iter().map(|topic| topic.close(identity, within));
            try_join_all(closed).await.map(drop)
        }
        .boxed()
    }

    fn held_up(&self) -> BoxFuture<'_, Option<String>> {
        async {
            for topic in &self.0 {
                if let Some(why) = topic.held_up().await {
                    return Some(why);
                }
            }
            None
        }
        .boxed()
    }

    fn length(&self) -> Result<Box<dyn Length>, String> {
        let lengths = self.0.iter().map(|topic| topic.length());
        Ok(Box::new(Lengths(lengths.collect::<Result<_, _>>()?)))
    }
}

struct Lengths(Vec<Box<dyn Length>>);

impl Length for Lengths {
    fn records(&self) -> BoxFuture<'_, Result<u64, String>> {
        async {
            let records = try_join_all(self.0.iter().map(|length| length.records())).await?;
            Ok(records.into_iter().sum())
        }
        .boxed()
    }
}

#[derive(Debug)]
struct Joined {
    broker: Arc<dyn Broker>,
    topics: Arc<Topics>,
}

impl Broker for Joined {
    fn place(&self) -> String {
        self.broker.place()
    }

    fn topic(&self, name: &str, partitions: i32) -> Box<dyn Topic> {
        self.broker.topic(name, partitions)
    }

    fn ends_with_sentinel(&self) -> bool {
        self.broker.ends_with_sentinel()
    }

    fn topics(&self) -> BoxFuture<'_, Result<Vec<String>, String>> {
        self.broker.topics()
    }

    fn reader(&self, visible: Visible) -> Result<Box<dyn Reader>, String> {
        Ok(Box::new(JoinedReader {
            reader: self.broker.reader(visible)?,
            topics: Arc::clone(&self.topics),
            name: self.topics.name(),
            ended: BTreeSet::new(),
        }))
    }

    fn make_group<'a>(&'a self, group: ConsumerGroup<'a>) -> BoxFuture<'a, Result<(), String>> {
        self.broker.make_group(group)
    }

    fn drop_group<'a>(&'a self, group: ConsumerGroup<'a>) -> BoxFuture<'a, Result<(), String>> {
        self.broker.drop_group(group)
    }

    fn progress<'a>(
        &'a self,
        group: ConsumerGroup<'a>,
    ) -> BoxFuture<'a, Result<GroupProgress, String>> {
        self.broker.progress(group)
    }
}

/// Other topics than these it reads as they are.
struct JoinedReader {
    reader: Box<dyn Reader>,
    topics: Arc<Topics>,
    name: String,
    /// These partitions, by their numbers, have been told to be at their end since they were assigned.
    ended: BTreeSet<i32>,
}

impl JoinedReader {
    /// Returns the topic and the number there of a partition that is named as whoever reads names it.
    fn real<'a>(&'a self, topic: &'a str, partition: i32) -> Result<(&'a str, i32), String> {
        if topic != self.name {
            return Ok((topic, partition));
        }
        let found = self.topics.find(partition);
        found.ok_or_else(|| format!("none of {topic} has a partition {partition}"))
    }

    /// A broker's client says which partition of a topic ended, and not of which topic. Each says so, so the second
    /// that does is another one's; and whether one is counted that had ended before is no matter: who asks waits for all.
    fn ended(&mut self, own: i32) -> i32 {
        let of_topics = self.topics.names().iter();
        let mut numbers = of_topics.filter_map(|topic| self.topics.number(topic, own));
        let first = numbers.clone().next().unwrap_or(own);
        let number = numbers.find(|number| !self.ended.contains(number));
        let number = number.unwrap_or(first);
        self.ended.insert(number);
        number
    }
}

impl Reader for JoinedReader {
    fn assign(&mut self, from: &[From<'_>]) -> Result<(), String> {
        self.ended.clear();
        let mut real = Vec::with_capacity(from.len());
        for place in from {
            let (topic, partition) = self.real(place.topic, place.partition)?;
            real.push((topic.to_owned(), partition, place.offset));
        }
        let real = real.iter().map(|(topic, partition, offset)| From {
            topic,
            partition: *partition,
            offset: *offset,
        });
        let real: Vec<From<'_>> = real.collect();
        self.reader.assign(&real)
    }

    fn next(&mut self, wait: Duration, take: &mut dyn FnMut(&dyn OnTopic)) -> Next {
        let (topics, name) = (&self.topics, &self.name);
        let next = self.reader.next(wait, &mut |record| {
            let number = topics.number(record.topic(), record.partition());
            match number {
                Some(partition) => take(&JoinedRecord {
                    record,
                    topic: name,
                    partition,
                }),
                None => take(record),
            }
        });
        match next {
            Next::End(own) => Next::End(self.ended(own)),
            other => other,
        }
    }

    fn positions(&self, each: &mut dyn FnMut(From<'_>)) -> Result<(), String> {
        self.reader.positions(&mut |place| {
            let number = self.topics.number(place.topic, place.partition);
            each(match number {
                Some(partition) => From {
                    topic: &self.name,
                    partition,
                    ..place
                },
                None => place,
            });
        })
    }

    fn ends(&self, topic: &str, partition: i32, within: Duration) -> Result<(i64, i64), String> {
        let (topic, partition) = self.real(topic, partition)?;
        self.reader.ends(topic, partition, within)
    }

    /// One question a topic; what all of them answer was so between the first question and the last answer.
    fn ends_of_all(
        &self,
        topic: &str,
        partitions: i32,
        within: Duration,
    ) -> Result<KnownEnds, String> {
        if topic != self.name {
            return self.reader.ends_of_all(topic, partitions, within);
        }
        let (asked_ns, mut ends) = (monotonic_ns(), Offsets::new());
        for name in self.topics.names() {
            let told = self
                .reader
                .ends_of_all(name, self.topics.of_each(), within)?;
            let told = told.offsets.into_iter();
            ends.extend(told.filter_map(|(own, end)| Some((self.topics.number(name, own)?, end))));
        }
        ends.retain(|number, _| *number < partitions);
        Ok(KnownEnds::midway(ends, asked_ns, monotonic_ns()))
    }

    /// Those that are one are told of as one.
    fn topics(&self, within: Duration) -> Result<Vec<(String, Vec<i32>)>, String> {
        let mut told = self.reader.topics(within)?;
        let before = told.len();
        told.retain(|(name, _)| !self.topics.names().contains(name));
        if told.len() < before {
            told.push((self.name.clone(), (0..self.topics.partitions()).collect()));
        }
        Ok(told)
    }
}

/// A record of one of the topics, where it is on all of them.
struct JoinedRecord<'r> {
    record: &'r dyn OnTopic,
    topic: &'r str,
    partition: i32,
}

impl Wire for JoinedRecord<'_> {
    fn key(&self) -> Option<&[u8]> {
        self.record.key()
    }

    fn value(&self) -> Option<&[u8]> {
        self.record.value()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.record.header(name)
    }
}

impl OnTopic for JoinedRecord<'_> {
    fn topic(&self) -> &str {
        self.topic
    }

    fn partition(&self) -> i32 {
        self.partition
    }

    fn offset(&self) -> i64 {
        self.record.offset()
    }

    fn appended_ms(&self) -> Option<i64> {
        self.record.appended_ms()
    }

    fn headers(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.record.headers(each);
    }
}
