//! A record of a Kafka consumer, as the referee looks at records.

use crate::envelope::Wire;
use rdkafka::Message;
use rdkafka::bindings;
use rdkafka::message::BorrowedMessage;
use std::ffi::CStr;
use std::ptr;

pub(super) struct OnTopic<'m>(pub &'m BorrowedMessage<'m>);

impl Wire for OnTopic<'_> {
    fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    /// Goes by bytes: rdkafka's own headers panic at a name that is not UTF-8, which any producer may send. A header
    /// without a value is an empty one.
    fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = ptr::null_mut();
        // SAFETY: the message lives as long as `self`, and its headers as long as it; librdkafka parses them at most
        // once, here, and changes them never.
        let parsed = unsafe { bindings::rd_kafka_message_headers(self.0.ptr(), &mut headers) };
        if parsed != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        let mut last = None;
        for index in 0.. {
            let (mut key, mut value, mut bytes) = (ptr::null(), ptr::null(), 0);
            // SAFETY: as above; beyond the last header it is an error, and nothing is written.
            let got = unsafe {
                bindings::rd_kafka_header_get_all(headers, index, &mut key, &mut value, &mut bytes)
            };
            if got != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                break;
            }
            // SAFETY: librdkafka ends each name with a NUL, and the value has so many bytes where it is not null.
            let is_it = unsafe { CStr::from_ptr(key) }.to_bytes() == name.as_bytes();
            if is_it {
                last = Some(match value.is_null() {
                    true => &[],
                    false => unsafe { std::slice::from_raw_parts(value.cast::<u8>(), bytes) },
                });
            }
        }
        last
    }
}
