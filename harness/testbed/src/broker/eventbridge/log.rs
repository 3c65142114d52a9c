//! What was read of each topic, in the order in which it was read: a log in memory, for as many readers as there are.

use super::feed::QueueFeed;
use crate::broker::OnTopic;
use referee::envelope::Wire;
use relays::config::EventBridgeDetail;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The log of one topic has so many bytes at most; a broker of which this is the pace takes hours for as much.
const BYTES_MAX: usize = 256 * 1024 * 1024;
/// A record takes so many beside its own.
const BYTES_A_RECORD: usize = 512;

/// The logs of all topics that this process reads.
#[derive(Debug, Default)]
pub(super) struct Logs {
    by_topic: Mutex<BTreeMap<String, TopicLog>>,
    news: Condvar,
}

/// What was read of one topic.
#[derive(Debug, Default)]
pub(super) struct TopicLog {
    pub records: Vec<Arc<EventBridgeRecord>>,
    bytes: usize,
    /// What keeps it from being read on for now.
    pub trouble: Option<String>,
    /// Why it is not read any more.
    pub over: Option<String>,
    /// Reads it, until it is dropped.
    _feed: Option<QueueFeed>,
}

impl Logs {
    /// All logs, until they are let go of.
    pub fn all(&self) -> MutexGuard<'_, BTreeMap<String, TopicLog>> {
        self.by_topic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something that is told of what happens to any of them.
    pub fn news(&self) -> &Condvar {
        &self.news
    }

    /// Appends what these messages say to the log of a topic that is read; an Err says that it has no room for more.
    pub fn append(&self, topic: &str, bodies: impl Iterator<Item = String>) -> Result<(), String> {
        let mut all = self.all();
        let Some(log) = all.get_mut(topic) else {
            return Ok(());
        };
        let appended = log.append(topic, bodies);
        if let Err(reason) = &appended {
            log.over = Some(reason.clone());
        }
        drop(all);
        self.news.notify_all();
        appended
    }

    /// Notes that the topic cannot be read any more.
    pub fn is_over(&self, topic: &str, reason: String) {
        if let Some(log) = self.all().get_mut(topic) {
            log.over = Some(reason);
        }
        self.news.notify_all();
    }

    /// Notes that the topic cannot be read for now, or that it can again.
    pub fn troubled(&self, topic: &str, trouble: Option<String>) {
        if let Some(log) = self.all().get_mut(topic) {
            log.trouble = trouble;
        }
    }
}

impl TopicLog {
    /// An empty log that this one fills.
    pub fn of(feed: QueueFeed) -> Self {
        Self {
            _feed: Some(feed),
            ..Self::default()
        }
    }

    fn append(&mut self, topic: &str, bodies: impl Iterator<Item = String>) -> Result<(), String> {
        self.trouble = None;
        for body in bodies {
            let record = EventBridgeRecord::new(topic, self.records.len() as i64, body);
            self.bytes += BYTES_A_RECORD + record.bytes();
            if self.bytes > BYTES_MAX {
                return Err(format!(
                    "{topic} has more than {} MiB, and the referee keeps no more of a bus of EventBridge in memory: \
                     take a shorter load, or smaller events",
                    BYTES_MAX >> 20
                ));
            }
            self.records.push(Arc::new(record));
        }
        Ok(())
    }
}

/// An event of a bus, and where it is in the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EventBridgeRecord {
    topic: Arc<str>,
    offset: i64,
    key: Option<String>,
    value: String,
    headers: Vec<(String, String)>,
}

/// What a message has of an event.
#[derive(Deserialize)]
struct BusMessage<'m> {
    #[serde(borrow)]
    detail: EventBridgeDetail<'m>,
}

impl EventBridgeRecord {
    /// Takes what a message says. One that none of ours wrote has no key, and is its own value.
    fn new(topic: &str, offset: i64, body: String) -> Self {
        let topic = Arc::from(topic);
        let Ok(BusMessage { detail }) = serde_json::from_str(&body) else {
            return Self {
                topic,
                offset,
                key: None,
                value: body,
                headers: Vec::new(),
            };
        };
        let headers = detail.headers.into_iter();
        Self {
            topic,
            offset,
            key: Some(detail.key.into_owned()),
            value: detail.payload.into_owned(),
            headers: headers
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        }
    }

    fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(n, v)| n.len() + v.len()).sum();
        self.key.as_ref().map_or(0, String::len) + self.value.len() + headers
    }
}

impl Wire for EventBridgeRecord {
    fn key(&self) -> Option<&[u8]> {
        self.key.as_ref().map(String::as_bytes)
    }

    fn value(&self) -> Option<&[u8]> {
        Some(self.value.as_bytes())
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(named, _)| named == name);
        found.map(|(_, value)| value.as_bytes())
    }
}

impl OnTopic for EventBridgeRecord {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn partition(&self) -> i32 {
        0
    }

    fn offset(&self) -> i64 {
        self.offset
    }

    /// An event has the second in which it was put, which is too coarse to say anything.
    fn appended_ms(&self) -> Option<i64> {
        None
    }

    fn headers(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in &self.headers {
            each(name.as_bytes(), value.as_bytes());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const OURS: &str = r#"{"version":"0","detail-type":"OrderPlaced","detail":{"key":"k","headers":{"id":"1"},"payload":"{\"a\" : 1}"}}"#;

    #[test]
    fn given_an_event_of_ours_when_it_is_read_then_key_headers_and_payload_are_what_was_put() {
        let record = EventBridgeRecord::new("t", 3, OURS.to_owned());
        assert_eq!(record.key(), Some(&b"k"[..]));
        assert_eq!(record.value(), Some(&b"{\"a\" : 1}"[..]));
        assert_eq!(record.header("id"), Some(&b"1"[..]));
        assert_eq!((record.topic(), record.offset()), ("t", 3));
    }

    #[test]
    fn given_anything_else_when_it_is_read_then_it_has_no_key_and_is_its_own_value() {
        for body in ["", "{}", r#"{"detail":{"key":"k"}}"#, r#"{"detail":7}"#] {
            let record = EventBridgeRecord::new("t", 0, body.to_owned());
            assert_eq!(
                (record.key(), record.value()),
                (None, Some(body.as_bytes()))
            );
        }
    }

    #[test]
    fn given_a_log_that_is_full_when_more_comes_then_it_is_over_and_says_what_to_do() {
        let logs = Logs::default();
        logs.all().insert("t".to_owned(), TopicLog::default());
        let large = "x".repeat(BYTES_MAX / 2);
        assert_eq!(logs.append("t", [large.clone()].into_iter()), Ok(()));
        let reason = logs.append("t", [large].into_iter()).unwrap_err();
        assert!(reason.contains("256 MiB"), "{reason}");
        let all = logs.all();
        assert_eq!((all["t"].records.len(), &all["t"].over), (1, &Some(reason)));
    }
}
