//! A message of a stream, as those look at it who know no broker.

use crate::broker::OnTopic;
use async_nats::HeaderMap;
use async_nats::jetstream::Message;
use referee::envelope::Wire;

/// A message, and where it is.
pub(super) struct NatsRecord<'m> {
    topic: &'m str,
    /// It is what follows the topic in the subject.
    key: &'m [u8],
    payload: &'m [u8],
    headers: Option<&'m HeaderMap>,
    offset: i64,
    appended_ms: i64,
}

impl<'m> NatsRecord<'m> {
    /// Takes a message of this topic with its sequence, and when the server took it.
    pub fn new(topic: &'m str, message: &'m Message, sequence: u64, appended_ms: i64) -> Self {
        let subject = message.subject.as_bytes();
        let below = subject.strip_prefix(topic.as_bytes());
        let key = below.and_then(|below| below.strip_prefix(b"."));
        Self {
            topic,
            key: key.unwrap_or(subject),
            payload: &message.payload,
            headers: message.headers.as_ref(),
            offset: sequence.cast_signed() - 1,
            appended_ms,
        }
    }
}

impl Wire for NatsRecord<'_> {
    fn key(&self) -> Option<&[u8]> {
        Some(self.key)
    }

    fn value(&self) -> Option<&[u8]> {
        Some(self.payload)
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        let mut all = self.headers?.iter();
        let (_, values) = all.find(|(named, _)| AsRef::<str>::as_ref(*named) == name)?;
        values.last().map(|value| value.as_str().as_bytes())
    }
}

impl OnTopic for NatsRecord<'_> {
    fn topic(&self) -> &str {
        self.topic
    }

    fn partition(&self) -> i32 {
        0
    }

    fn offset(&self) -> i64 {
        self.offset
    }

    fn appended_ms(&self) -> Option<i64> {
        Some(self.appended_ms)
    }

    /// By name: the client does not keep the order of different ones.
    fn headers(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        let mut all: Vec<(&str, &str)> = Vec::new();
        for (name, values) in self.headers.into_iter().flat_map(HeaderMap::iter) {
            all.extend(values.iter().map(|value| (name.as_ref(), value.as_str())));
        }
        all.sort_by_key(|(name, _)| *name);
        for (name, value) in all {
            each(name.as_bytes(), value.as_bytes());
        }
    }
}
