//! Whether a message whose delivery failed is on its topic all the same, as far as librdkafka knows.

use rdkafka::bindings::{rd_kafka_message_status, rd_kafka_msg_status_t};
use rdkafka::message::BorrowedMessage;

/// This is a message's status in the log of its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// It was never sent, or refused.
    NotPersisted = 0,
    /// It was sent, and not answered.
    PossiblyPersisted = 1,
    /// It is there; the failure came after that.
    Persisted = 2,
}

impl Persistence {
    /// Returns the status of a message in a delivery report.
    pub fn of(message: &BorrowedMessage<'_>) -> Self {
        // SAFETY: the message is alive as long as its borrow.
        match unsafe { rd_kafka_message_status(message.ptr()) } {
            rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED => Self::NotPersisted,
            rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED => {
                Self::PossiblyPersisted
            }
            rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_PERSISTED => Self::Persisted,
        }
    }
}
