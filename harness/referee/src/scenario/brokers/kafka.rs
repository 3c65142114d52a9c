//! `broker = "kafka"`: a topic with partitions, in which the events of one order keep their order.

use super::{BrokerChoice, BrokerInfo};
use contract::broker::BrokerKind;

pub(super) const INFO: BrokerInfo = BrokerInfo {
    kind: BrokerKind::Kafka,
    what: "a topic with `partitions`, by the order's id; an idempotent producer with acks=all; read with read_committed",
    example: "kind = \"polling\", broker = \"kafka\"",
    keys: &[],
    table: None,
    read: |_| Some(BrokerChoice::Kafka),
};
