//! What librdkafka knows of a message whose delivery failed.

use crate::persistence::Persistence;
use rdkafka::bindings::{rd_kafka_message_status, rd_kafka_msg_status_t};
use rdkafka::message::BorrowedMessage;

/// Returns the status of a message in a delivery report.
pub(crate) fn persistence_of(message: &BorrowedMessage<'_>) -> Persistence {
    // SAFETY: the message is alive as long as its borrow.
    match unsafe { rd_kafka_message_status(message.ptr()) } {
        rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED => Persistence::NotPersisted,
        rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED => {
            Persistence::PossiblyPersisted
        }
        rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_PERSISTED => Persistence::Persisted,
    }
}
