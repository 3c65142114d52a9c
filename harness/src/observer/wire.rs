//! A record of a Kafka consumer, as the referee looks at records.

use crate::envelope::Wire;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers};

pub(super) struct OnTopic<'m>(pub &'m BorrowedMessage<'m>);

impl Wire for OnTopic<'_> {
    fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        let headers = self.0.headers()?;
        let of_name = headers.iter().filter(|header| header.key == name);
        of_name.last()?.value
    }
}
