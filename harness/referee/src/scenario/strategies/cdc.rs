//! `cdc`: an outbox that is read from the write-ahead log, by a relay of our own.

use super::{FAILOVER_SLOT, INSTANCES, SYNCHRONOUS_COMMIT, StrategyInfo};
use crate::scenario::{StrategyKind, cache};

pub(super) const INFO: StrategyInfo = StrategyInfo {
    name: "cdc",
    what: "an outbox row in the order's transaction; a relay reads it from the write-ahead log by logical replication, and deletes it; its commits wait for the disk only with synchronous_commit = \"on\"; of several `instances` one reads, and the others stand by",
    example: "kind = \"cdc\", instances = 2",
    keys: &[
        SYNCHRONOUS_COMMIT,
        INSTANCES,
        FAILOVER_SLOT,
        cache::MODE,
        cache::FILL,
        cache::HOLD,
    ],
    any_broker: true,
    any_database: true,
    read: |_, _| Some(StrategyKind::Cdc {}),
};
