//! A record of a Kafka consumer, as those look at it who know no broker.

use crate::broker::{OnTopic, last_named};
use rdkafka::bindings;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Timestamp};
use referee::envelope::Wire;
use std::ffi::CStr;
use std::ptr;

pub(super) struct KafkaRecord<'m>(pub &'m BorrowedMessage<'m>);

impl KafkaRecord<'_> {
    /// Shows each header in its order. It goes by bytes: rdkafka's own headers panic at a name that is not UTF-8, which
    /// any producer may send. A header without a value is an empty one.
    fn walk<'s>(&'s self, mut each: impl FnMut(&'s [u8], &'s [u8])) {
        let mut headers = ptr::null_mut();
        // SAFETY: the message lives as long as `self`, and its headers as long as it; librdkafka parses them at most
        // once, here, and changes them never.
        let parsed = unsafe { bindings::rd_kafka_message_headers(self.0.ptr(), &mut headers) };
        if parsed != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return;
        }
        for index in 0.. {
            let (mut name, mut value, mut bytes) = (ptr::null(), ptr::null(), 0);
            // SAFETY: as above; beyond the last header it is an error, and nothing is written.
            let got = unsafe {
                bindings::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut bytes)
            };
            if got != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return;
            }
            // SAFETY: librdkafka ends each name with a NUL, and the value has so many bytes where it is not null.
            let name = unsafe { CStr::from_ptr(name) }.to_bytes();
            let value: &[u8] = match value.is_null() {
                true => &[],
                false => unsafe { std::slice::from_raw_parts(value.cast::<u8>(), bytes) },
            };
            each(name, value);
        }
    }
}

impl Wire for KafkaRecord<'_> {
    fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        last_named(name, |each| self.walk(each))
    }
}

impl OnTopic for KafkaRecord<'_> {
    fn topic(&self) -> &str {
        self.0.topic()
    }

    fn partition(&self) -> i32 {
        self.0.partition()
    }

    fn offset(&self) -> i64 {
        self.0.offset()
    }

    fn appended_ms(&self) -> Option<i64> {
        match self.0.timestamp() {
            Timestamp::LogAppendTime(ms) | Timestamp::CreateTime(ms) => Some(ms),
            Timestamp::NotAvailable => None,
        }
    }

    fn headers(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        self.walk(each);
    }
}
