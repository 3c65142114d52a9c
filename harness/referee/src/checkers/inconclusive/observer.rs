//! An observer that did not look saw nothing wrong.

use super::generator::p99_ms;
use super::{Grounds, Inconclusive, observed_live, visible};
use crate::history::{FenceStep, History, Life};
use crate::measure::MAX_LAG_MS;
use crate::scenario::{Server, Victim};
use crate::view::AppendBounds;
use crate::view::{Class, Join};
use contract::broker::BrokerKind;

/// Around a fault of the broker itself, the time from append to sight is the broker's.
const BEFORE_NS: i64 = 1_000_000_000;
const AFTER_NS: i64 = 5_000_000_000;

/// The ends of the topic are asked for ten times a second, or less often in a very long run.
const ASKED_RARELY_NS: i64 = 1_000_000_000;

/// Sight came long after the record could be seen: after it was known to be there, on the run's own
/// clock. Histories of before do not say when that was known: of them, the broker's append times have
/// to do, the wall clock's, milliseconds.
pub fn lag(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let join = &grounds.context.view.join;
    if join.ends().is_empty() {
        return judge(
            join,
            visible::rows(join).filter(|(row, _)| join.log.at(*row).append_ms >= 0),
        );
    }
    let known = || {
        let mut walk = join.ends().walk();
        join.log.numbered().filter_map(move |(row, record)| {
            let known = walk.known(record.partition, record.offset);
            Some((row, known?))
        })
    };
    let mut inconclusive = judge(join, known().map(|(row, known)| (row, known.by_ns)));
    inconclusive.extend(unasked(join, known().map(|(_, known)| known)));
    inconclusive
}

/// How long after the time at which a record could be seen it was, of first records of their versions.
fn judge(join: &Join<'_>, visible: impl Iterator<Item = (usize, i64)>) -> Vec<Inconclusive> {
    let ordinary = ordinary(join);
    // The first sight of a version belongs to its first record where the observer saw that one.
    let lags = visible
        .filter(|(row, _)| join.class(*row) == Class::First && join.sighted(*row))
        .filter(|(_, visible_ns)| ordinary(*visible_ns))
        .filter_map(|(row, visible_ns)| {
            let seen_ns = join.seen(join.slot_of_row(row)?)?;
            Some(seen_ns.saturating_sub(visible_ns))
        });
    let left_out = left_out(join);
    match p99_ms(lags) {
        Some(ms) if ms > MAX_LAG_MS => vec![Inconclusive::new(
            format!(
                "the observer saw records {ms:.0} ms after they were there at p99 (more than \
                 {MAX_LAG_MS} ms{left_out}): what was measured is the observer"
            ),
            observed_live,
        )],
        _ => Vec::new(),
    }
}

/// Records came to be there while nobody asked: how late their sight was is not known.
fn unasked(join: &Join<'_>, known: impl Iterator<Item = AppendBounds>) -> Option<Inconclusive> {
    let ordinary = ordinary(join);
    let gap_ns = |known: AppendBounds| known.by_ns.saturating_sub(known.after_ns);
    let (mut all, mut within, mut longest_ns) = (0u64, 0u64, 0);
    for known in known.filter(|known| ordinary(known.by_ns)) {
        all += 1;
        if gap_ns(known) > ASKED_RARELY_NS && known.after_ns != i64::MIN {
            within += 1;
            longest_ns = longest_ns.max(gap_ns(known));
        }
    }
    (within * 100 > all).then(|| {
        let reason = format!(
            "{within} of {all} records came while the ends of the topic were not known for up to \
             {:.1} s{}: whether the observer was late, nobody knows",
            longest_ns as f64 / 1e9,
            left_out(join)
        );
        Inconclusive::new(reason, observed_live)
    })
}

/// Whether a time is far enough from all faults of the broker itself.
fn ordinary(join: &Join<'_>) -> impl Fn(i64) -> bool + use<> {
    let broker = broker_faults(join.history);
    move |at_ns| {
        !broker
            .iter()
            .any(|(from, until)| (*from..=*until).contains(&at_ns))
    }
}

fn left_out(join: &Join<'_>) -> String {
    if broker_faults(join.history).is_empty() {
        return String::new();
    }
    let server = broker_of(join.history).process();
    format!(", records of the time around the faults of {server} left out")
}

/// The broker of the strategy that ran.
fn broker_of(history: &History) -> Server {
    let topology = history.meta.topology();
    let broker = topology.map_or(BrokerKind::USUAL, |topology| topology.broker);
    Server::Broker(broker)
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
                .is_some_and(|f| {
                    let hit = f.target.processes();
                    hit.iter().any(|victim| match victim {
                        Victim::Server(server) => server.is_broker(),
                        Victim::OrderService | Victim::Relay(_) | Victim::Consumer(_) => false,
                    })
                })
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
pub fn blind(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let join = &grounds.context.view.join;
    let history = join.history;
    let watched_until_ns = history
        .fences
        .iter()
        .find(|step| step.is(FenceStep::Wait))
        .map_or(history.meta.load_until_ns, |step| step.ended_ns)
        .saturating_sub(1_000_000_000);
    let unseen = join
        .rows_of(Class::First)
        .filter(|row| !join.sighted(*row) && join.on_topic_ns(*row) < watched_until_ns)
        .count();
    if unseen == 0 {
        return Vec::new();
    }
    let reason = format!(
        "{unseen} events are on the topic that the observer never saw while it should have been \
         watching"
    );
    vec![Inconclusive::new(reason, observed_live)]
}

/// Records were seen live and are gone from the topic: the broker lost what it had shown.
pub fn vanished(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let join = &grounds.context.view.join;
    let Some((partition, offset)) = join.vanished.first() else {
        return Vec::new();
    };
    let server = broker_of(join.history).process();
    let crashed = join
        .history
        .processes
        .iter()
        .any(|p| p.process == server && p.life == Life::Exited && p.exit == 9);
    let crash = match crashed {
        true => format!("; {server} was killed in this run"),
        false => String::new(),
    };
    let reason = format!(
        "{} records were seen live and are gone from the final read (first: {} offset {offset}): \
         the broker's loss, not the strategy's{crash}",
        join.vanished_count,
        grounds.context.partition(*partition)
    );
    vec![Inconclusive::new(reason, super::nothing)]
}
