//! What a failover takes: a standby, once.

use super::FaultKind;
use super::faults::PlacedFault;
use super::source::Problems;
use super::strategies::PlacedStrategy;

const ADD: &str = "write `[stack]` and below it `hot_standby = true`";

/// Notes failovers, and slots that are there for one, that nothing can take over.
pub(super) fn check(
    faults: &[PlacedFault],
    strategies: &[PlacedStrategy],
    hot_standby: bool,
    problems: &Problems,
) {
    let failovers = faults
        .iter()
        .filter(|placed| placed.fault.kind == FaultKind::Failover);
    for (number, placed) in failovers.enumerate() {
        if !hot_standby {
            let what = "there is no standby that could take the place of postgres-server";
            problems.add(placed.kind_span.clone(), what, ADD);
        } else if number > 0 {
            problems.add(
                placed.kind_span.clone(),
                "the standby has taken the place of postgres-server before, and there is no other one",
                "leave one failover in the file: each strategy begins with both servers again",
            );
        }
    }
    for placed in strategies {
        let Some(span) = &placed.failover_slot_span else {
            continue;
        };
        let name = &placed.strategy.name;
        if !placed.strategy.database.has_slots() {
            let title = placed.strategy.database.title();
            problems.add(
                span.clone(),
                format!("the log of {title}, where `{name}` has its orders, has no slots"),
                "remove the line: its relay keeps its position by itself",
            );
        } else if !placed.strategy.topology().reads_log {
            let what = format!("`{name}` reads no log, so it has no replication slot");
            let help = "remove the line, or have its relay read the log (publish = \"cdc\")";
            problems.add(span.clone(), what, help);
        } else if !hot_standby {
            let what = format!("there is no standby that could have the slot of `{name}` as well");
            problems.add(span.clone(), what, ADD);
        }
    }
}
