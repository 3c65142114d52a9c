//! An observer that did not look saw nothing wrong.

use super::generator::p99_ms;
use super::{Doubt, Grounds, observed_live, visible};
use crate::checkers::join::Class;
use crate::history::{History, Life};
use crate::measure::MAX_LAG_MS;
use crate::scenario::{Target, Victim};

/// Around a fault of the broker itself, the time from append to sight is the broker's.
const BEFORE_NS: i64 = 1_000_000_000;
const AFTER_NS: i64 = 5_000_000_000;

/// Sight came long after the record could be seen. Append times are the wall clock's, milliseconds.
pub fn lag(grounds: &Grounds<'_, '_>) -> Vec<Doubt> {
    let join = &grounds.context.join;
    let broker = broker_faults(join.history);
    let ordinary = |row: usize| {
        broker.is_empty() || {
            let at = join.appended_ns(row);
            !broker
                .iter()
                .any(|(from, until)| (*from..=*until).contains(&at))
        }
    };
    // The first sight of a version belongs to its first record where the observer saw that one.
    let lags = visible::rows(join)
        .filter(|(row, _)| join.class(*row) == Class::First && join.sighted(*row))
        .filter_map(|(row, visible_ns)| {
            let seen_ns = join.seen(join.slot_of_row(row)?)?;
            let said_when = join.log.at(row).append_ms >= 0;
            (said_when && ordinary(row)).then(|| seen_ns.saturating_sub(visible_ns))
        });
    let left_out = if broker.is_empty() {
        ""
    } else {
        ", records appended around the faults of kafka-server left out"
    };
    match p99_ms(lags) {
        Some(ms) if ms > MAX_LAG_MS => vec![Doubt::new(
            format!(
                "the observer saw records {ms:.0} ms after their append at p99 (more than \
                 {MAX_LAG_MS} ms{left_out}): what was measured is the observer"
            ),
            observed_live,
        )],
        _ => Vec::new(),
    }
}

fn broker_faults(history: &History) -> Vec<(i64, i64)> {
    history
        .faults
        .iter()
        .filter(|record| {
            history
                .meta
                .scenario
                .faults
                .get(record.fault as usize)
                .is_some_and(|f| f.target == Target::Process(Victim::KafkaServer))
        })
        .filter_map(|record| {
            let from = record.injected_ns?.saturating_sub(BEFORE_NS);
            let healed = record.healed_ns.unwrap_or(i64::MAX);
            Some((from, healed.saturating_add(AFTER_NS)))
        })
        .collect()
}

/// Events are on the topic that the observer should have seen and did not. It watches until the
/// drain is over (step 5 of the fence); what is appended within a second of that may escape it.
pub fn blind(grounds: &Grounds<'_, '_>) -> Vec<Doubt> {
    let join = &grounds.context.join;
    let history = join.history;
    let watched_until_ns = history
        .fences
        .iter()
        .find(|step| step.number == 5)
        .map_or(history.meta.load_until_ns, |step| step.ended_ns)
        .saturating_sub(1_000_000_000);
    let unseen = join
        .rows_of(Class::First)
        .filter(|row| !join.sighted(*row) && join.appended_ns(*row) < watched_until_ns)
        .count();
    if unseen == 0 {
        return Vec::new();
    }
    let reason = format!(
        "{unseen} events are on the topic that the observer never saw while it should have been \
         watching"
    );
    vec![Doubt::new(reason, observed_live)]
}

/// Records were seen live and are gone from the topic: the broker lost what it had shown.
pub fn vanished(grounds: &Grounds<'_, '_>) -> Vec<Doubt> {
    let join = &grounds.context.join;
    let Some((partition, offset)) = join.vanished.first() else {
        return Vec::new();
    };
    let crashed = join
        .history
        .processes
        .iter()
        .any(|p| p.process == "kafka-server" && p.life == Life::Exited && p.exit == 9);
    let crash = if crashed {
        "; kafka-server was killed in this run"
    } else {
        ""
    };
    let reason = format!(
        "{} records were seen live and are gone from the final read (first: partition \
         {partition} offset {offset}): the broker's loss, not the strategy's{crash}",
        join.vanished_count
    );
    vec![Doubt::new(reason, super::nothing)]
}
