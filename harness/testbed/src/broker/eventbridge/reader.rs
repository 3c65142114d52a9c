//! Reads logs for whoever blocks his thread for it.

use super::feed::QueueFeed;
use super::log::{Logs, TopicLog};
use crate::broker::{From, KnownEnds, Next, Offsets, OnTopic, Reader};
use relays::signal::monotonic_ns;
use std::collections::btree_map::Entry;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

pub(super) struct EventBridgeReader {
    address: String,
    logs: Arc<Logs>,
    places: Vec<LogPlace>,
}

/// How far one topic was read.
struct LogPlace {
    topic: String,
    offset: usize,
    /// The end was told when the log had this length.
    told_end: Option<usize>,
}

impl EventBridgeReader {
    /// Makes a reader to which nothing is assigned.
    pub fn new(address: &str, logs: Arc<Logs>) -> Self {
        Self {
            address: address.to_owned(),
            logs,
            places: Vec::new(),
        }
    }
}

/// Has a topic read into its log, if it is not yet.
pub(super) fn ensure_read(address: &str, logs: &Arc<Logs>, topic: &str) -> Result<(), String> {
    if let Entry::Vacant(vacant) = logs.all().entry(topic.to_owned()) {
        let feed = QueueFeed::start(address, topic, Arc::downgrade(logs))?;
        vacant.insert(TopicLog::of(feed));
    }
    Ok(())
}

impl LogPlace {
    /// What is there now; nothing where one has to wait.
    fn next(&mut self, log: &TopicLog) -> Option<Result<Arc<dyn OnTopic + Send + Sync>, Next>> {
        if let Some(record) = log.records.get(self.offset) {
            self.offset += 1;
            return Some(Ok(Arc::clone(record) as _));
        }
        if let Some(reason) = &log.over {
            return Some(Err(Next::Over(reason.clone())));
        }
        if self.told_end.replace(self.offset) != Some(self.offset) {
            return Some(Err(Next::End(0)));
        }
        None
    }
}

impl Reader for EventBridgeReader {
    fn assign(&mut self, from: &[From<'_>]) -> Result<(), String> {
        self.places.clear();
        for from in from {
            ensure_read(&self.address, &self.logs, from.topic)?;
            self.places.push(LogPlace {
                topic: from.topic.to_owned(),
                offset: usize::try_from(from.offset).unwrap_or(0),
                told_end: None,
            });
        }
        Ok(())
    }

    fn next(&mut self, wait: Duration, take: &mut dyn FnMut(&dyn OnTopic)) -> Next {
        let until = Instant::now() + wait;
        let mut all = self.logs.all();
        loop {
            let mut trouble = None;
            for place in &mut self.places {
                let Some(log) = all.get(&place.topic) else {
                    return Next::Over(format!("{} was deleted", place.topic));
                };
                match place.next(log) {
                    Some(Ok(record)) => {
                        drop(all);
                        take(&*record);
                        return Next::Record;
                    }
                    Some(Err(other)) => return other,
                    None => trouble = trouble.or_else(|| log.trouble.clone()),
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return trouble.map_or(Next::Nothing, Next::Trouble);
            }
            let waited = self.logs.news().wait_timeout(all, left);
            all = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn positions(&self, each: &mut dyn FnMut(From<'_>)) -> Result<(), String> {
        for place in &self.places {
            each(From {
                topic: &place.topic,
                partition: 0,
                offset: place.offset as i64,
            });
        }
        Ok(())
    }

    fn ends(&self, topic: &str, partition: i32, _: Duration) -> Result<(i64, i64), String> {
        if partition != 0 {
            return Err(format!("a bus has no partition {partition}"));
        }
        ensure_read(&self.address, &self.logs, topic)?;
        let all = self.logs.all();
        let log = all.get(topic);
        match log.and_then(|log| log.over.clone()) {
            Some(reason) => Err(reason),
            None => Ok((0, log.map_or(0, |log| log.records.len()) as i64)),
        }
    }

    fn ends_of_all(&self, topic: &str, _: i32, within: Duration) -> Result<KnownEnds, String> {
        let asked_ns = monotonic_ns();
        let (_, end) = self.ends(topic, 0, within)?;
        let ends = Offsets::from([(0, end)]);
        Ok(KnownEnds::midway(ends, asked_ns, monotonic_ns()))
    }

    /// Those that were made here: another bus has no queue, so of what is on it nothing can be read.
    fn topics(&self, _: Duration) -> Result<Vec<(String, Vec<i32>)>, String> {
        let all = self.logs.all();
        Ok(all.keys().map(|name| (name.clone(), vec![0])).collect())
    }
}
