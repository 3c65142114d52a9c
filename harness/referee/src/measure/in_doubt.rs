//! How long others were blocked by what nobody had ended yet, from the samples of the run.

use super::cost::peak_where;
use crate::history::History;
use crate::scenario::CostKind;
use reports::record::InDoubt;

/// This series has for how many milliseconds by then the oldest prepared transaction had been prepared: the orders
/// that it wrote were locked as long. It is 0 where none was.
pub const BLOCKED_ORDERS_MS: &str = "blocked_orders_ms";
/// This series has for how many milliseconds by then readers of committed records had stood still at an open
/// transaction, on the partition where it was longest. It is 0 where they could read on.
pub const BLOCKED_CONSUMERS_MS: &str = "blocked_consumers_ms";

/// Returns the longest times of the run; `None` where nothing was sampled.
pub fn in_doubt(history: &History) -> InDoubt {
    let longest_ms = |kind| peak_where(history, kind, |_| true);
    InDoubt {
        blocked_orders_ms: longest_ms(CostKind::BlockedOrders),
        blocked_consumers_ms: longest_ms(CostKind::BlockedConsumers),
    }
}
