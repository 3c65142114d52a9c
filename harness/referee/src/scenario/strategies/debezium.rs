//! `debezium`: an outbox that Debezium reads from the write-ahead log.

use super::{FAILOVER_SLOT, StrategyInfo};
use crate::scenario::StrategyKind;

pub(super) const INFO: StrategyInfo = StrategyInfo {
    name: "debezium",
    what: "an outbox row in the order's transaction; the relay is Debezium's PostgreSQL connector with its outbox event router, in a Kafka Connect worker",
    example: "kind = \"debezium\"",
    keys: &[FAILOVER_SLOT],
    any_broker: false,
    any_database: false,
    read: |_, _| Some(StrategyKind::Debezium {}),
};
