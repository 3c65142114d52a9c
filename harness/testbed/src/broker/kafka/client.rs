//! The referee's Kafka consumers: partitions assigned by number, no group, nothing committed.

use crate::broker::Visible;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Makes a consumer without an assignment; an Err says why it could not be made. What it sees of transactions is always
/// said, since librdkafka's default and the Java client's differ.
pub(super) fn consumer(bootstrap: &str, visible: Visible) -> Result<BaseConsumer, String> {
    let isolation = match visible {
        Visible::Committed => "read_committed",
        Visible::All => "read_uncommitted",
    };
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "outbox-harness-referee")
        // librdkafka wants a name before it takes an assignment; no group is ever joined.
        .set("group.id", "outbox-harness-referee")
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // A position that does not exist means that records vanished: say so, never skip.
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("fetch.min.bytes", "1")
        .set("fetch.wait.max.ms", "10")
        // The default pauses a partition for a second when the queue is full.
        .set("fetch.queue.backoff.ms", "2")
        .set("fetch.error.backoff.ms", "50")
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.max.bytes", "8388608")
        .set("fetch.message.max.bytes", "1048576")
        // A broker that comes back is found at once, not after a back-off of up to 10 s.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "250")
        .set("topic.metadata.refresh.fast.interval.ms", "100")
        .set("socket.nagle.disable", "true")
        .create()
        .map_err(|e| format!("creating a Kafka consumer for {bootstrap}: {e}"))
}

/// Whether reading can not go on after this error. Everything about connections and leaders can:
/// librdkafka connects again by itself.
pub(super) fn ends_reading(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::Fatal
                    | RDKafkaErrorCode::AutoOffsetReset
                    | RDKafkaErrorCode::LogTruncation
                    | RDKafkaErrorCode::OffsetOutOfRange
            )
        )
}
