//! A record of a stream, as those look at it who know no broker.

use super::OWN_KEY;
use crate::broker::{OnTopic, last_named};
use referee::envelope::Wire;
use relays::amqp::{Delivered, TableValue, walk};

/// The broker says in this header where a record is.
const OFFSET: &str = "x-stream-offset";

/// Returns the offset of what a stream delivered.
pub(super) fn offset(delivered: &Delivered) -> Result<i64, String> {
    let mut offset = None;
    walk(&delivered.headers, &mut |name, value| {
        if let (true, TableValue::Integer(number)) = (name == OFFSET.as_bytes(), value) {
            offset = Some(number);
        }
    })
    .map_err(|e| e.to_string())?;
    offset.ok_or_else(|| format!("a record of a stream came without {OFFSET}"))
}

pub(super) struct RabbitMqRecord<'d> {
    pub topic: &'d str,
    pub offset: i64,
    pub delivered: &'d Delivered,
}

impl RabbitMqRecord<'_> {
    /// Shows each header that the broker did not add. One that is no text is shown as an empty one, and what cannot be
    /// read is not there.
    fn walk<'s>(&'s self, mut each: impl FnMut(&'s [u8], &'s [u8])) {
        let _ = walk(&self.delivered.headers, &mut |name, value| match value {
            TableValue::Text(text) => each(name, text),
            TableValue::Integer(_) if name == OFFSET.as_bytes() => {}
            TableValue::Integer(_) | TableValue::Other => each(name, &[]),
        });
    }
}

impl Wire for RabbitMqRecord<'_> {
    fn key(&self) -> Option<&[u8]> {
        self.header(OWN_KEY).or(Some(&self.delivered.key))
    }

    fn value(&self) -> Option<&[u8]> {
        Some(&self.delivered.body)
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        last_named(name, |each| self.walk(each))
    }
}

impl OnTopic for RabbitMqRecord<'_> {
    fn topic(&self) -> &str {
        self.topic
    }

    fn partition(&self) -> i32 {
        0
    }

    fn offset(&self) -> i64 {
        self.offset
    }

    /// A stream knows when, and does not say so over AMQP 0-9-1.
    fn appended_ms(&self) -> Option<i64> {
        None
    }

    fn headers(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.walk(each);
    }
}
