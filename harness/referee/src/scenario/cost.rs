//! What a strategy may cost, as something that can be expected of.

use super::StrategyKind;
use super::metric::Unit;
use serde::{Deserialize, Serialize};

/// A cost is one of these figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostKind {
    /// The largest size of the outbox, with indexes and TOAST, in bytes.
    OutboxPeak,
    /// The most dead tuples in the outbox at a time.
    DeadTuplesPeak,
    /// The most WAL, in bytes, that the slot's consumer had not confirmed.
    SlotWalPeak,
    /// The most memory, in bytes, that one of its relays had.
    RelayMemoryPeak,
    /// The longest time, in milliseconds, in which orders stayed locked by a transaction that was prepared.
    BlockedOrders,
    /// The longest time, in milliseconds, in which a reader of committed records stood still at an open transaction.
    BlockedConsumers,
    /// CPU time of order service and relays, in microseconds for each committed change.
    CpuPerEvent,
    /// WAL of the whole server, in bytes for each committed change.
    WalPerEvent,
    /// Seconds from the last heal until the outbox is what it was before the first fault.
    TimeToNormal,
}

/// A cost has this row in the registry.
#[derive(Debug)]
pub struct CostInfo {
    /// The row is about this cost.
    pub kind: CostKind,
    /// Files and records give it this name.
    pub name: &'static str,
    /// This is its line of explanation, for `outbox-harness list`.
    pub what: &'static str,
    /// It is measured in this.
    pub unit: Unit,
    /// Whether it is the largest of many samples. The others are figures of the whole run, of which no part can be
    /// told to be a fault's effect.
    pub is_peak: bool,
    /// Whether a sample says for how long something has lasted by then.
    pub is_age: bool,
    /// Strategies of these kinds have it.
    has: fn(&StrategyKind) -> bool,
    /// This is what the others have none of.
    lacking: &'static str,
}

impl CostInfo {
    /// Returns what a strategy of this kind lacks to have this cost at all, such as `slot`; `None` if it has it.
    pub fn lacks(&self, kind: &StrategyKind) -> Option<&'static str> {
        (!(self.has)(kind)).then_some(self.lacking)
    }
}

/// Everything that a strategy may cost, and that can be expected of.
pub const COSTS: [CostInfo; 9] = [
    CostInfo {
        kind: CostKind::OutboxPeak,
        name: "outbox_peak",
        what: "largest size of the outbox, with indexes and TOAST",
        unit: Unit::Bytes,
        is_peak: true,
        is_age: false,
        has: has_table,
        lacking: "outbox table of its own",
    },
    CostInfo {
        kind: CostKind::DeadTuplesPeak,
        name: "dead_tuples_peak",
        what: "most dead tuples in the outbox at a time, by the server's statistics, which are late",
        unit: Unit::Count,
        is_peak: true,
        is_age: false,
        has: has_table,
        lacking: "outbox table of its own",
    },
    CostInfo {
        kind: CostKind::SlotWalPeak,
        name: "slot_wal_peak",
        what: "most write-ahead log that the reader of the strategy's slot had not confirmed (the server keeps more)",
        unit: Unit::Bytes,
        is_peak: true,
        is_age: false,
        has: |kind| kind.topology().reads_log,
        lacking: "replication slot",
    },
    CostInfo {
        kind: CostKind::RelayMemoryPeak,
        name: "relay_memory_peak",
        what: "most memory that one of its relays had at a time",
        unit: Unit::Bytes,
        is_peak: true,
        is_age: false,
        has: |kind| kind.topology().relays > 0,
        lacking: "relay",
    },
    CostInfo {
        kind: CostKind::BlockedOrders,
        name: "blocked_orders",
        what: "of a two-phase commit: longest time in which orders stayed locked by a transaction that was prepared and had not ended",
        unit: Unit::Milliseconds,
        is_peak: true,
        is_age: true,
        has: |kind| kind.topology().recovers(),
        lacking: "transactions in doubt",
    },
    CostInfo {
        kind: CostKind::BlockedConsumers,
        name: "blocked_consumers",
        what: "of a two-phase commit: longest time in which a reader of committed records could not read on, since a transaction was open in Kafka",
        unit: Unit::Milliseconds,
        is_peak: true,
        is_age: true,
        has: |kind| kind.topology().recovers(),
        lacking: "transactions in doubt",
    },
    CostInfo {
        kind: CostKind::CpuPerEvent,
        name: "cpu_per_event",
        what: "CPU time of order service and relays, for each committed change",
        unit: Unit::Microseconds,
        is_peak: false,
        is_age: false,
        has: |_| true,
        lacking: "process",
    },
    CostInfo {
        kind: CostKind::WalPerEvent,
        name: "wal_per_event",
        what: "write-ahead log of the whole server, for each committed change",
        unit: Unit::Bytes,
        is_peak: false,
        is_age: false,
        has: |_| true,
        lacking: "database",
    },
    CostInfo {
        kind: CostKind::TimeToNormal,
        name: "time_to_normal",
        what: "from the last heal until the outbox is no larger than it was before the first fault, and no more committed changes wait for their event than at any time before it, while the load goes on",
        unit: Unit::Seconds,
        is_peak: false,
        is_age: false,
        has: has_table,
        lacking: "outbox table of its own",
    },
];

/// Whether the harness knows which table is its outbox: not where there is none, nor in a service of others.
fn has_table(kind: &StrategyKind) -> bool {
    match kind {
        StrategyKind::DualWrite { .. }
        | StrategyKind::TwoPhaseCommit { .. }
        | StrategyKind::EventSourcing { .. }
        | StrategyKind::LogicalMessage {} => false,
        StrategyKind::Polling { .. } | StrategyKind::Cdc {} | StrategyKind::Debezium {} => true,
        StrategyKind::External { relay } => relay.process.is_some(),
    }
}

impl CostKind {
    /// Returns its row in the registry.
    pub fn info(self) -> &'static CostInfo {
        &COSTS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_cost_when_its_row_is_asked_for_then_it_is_its_own() {
        for row in &COSTS {
            assert_eq!(row.kind.info().name, row.name);
        }
    }
}
