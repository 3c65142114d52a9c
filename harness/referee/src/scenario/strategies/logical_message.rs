//! `logical-message`: an outbox without a table, whose events are in the write-ahead log alone.

use super::{FAILOVER_SLOT, INSTANCES, StrategyInfo};
use crate::scenario::{StrategyKind, cache};

pub(super) const INFO: StrategyInfo = StrategyInfo {
    name: "logical-message",
    what: "no outbox table: the order's transaction emits the event as a logical decoding message (pg_logical_emit_message), which a relay reads from the write-ahead log; nothing is inserted, deleted or vacuumed, and the log is the only place where an event waits; of several `instances` one reads, and the others stand by",
    example: "kind = \"logical-message\"",
    keys: &[
        INSTANCES,
        FAILOVER_SLOT,
        cache::MODE,
        cache::FILL,
        cache::HOLD,
    ],
    any_broker: true,
    any_database: false,
    read: |_, _| Some(StrategyKind::LogicalMessage {}),
};
