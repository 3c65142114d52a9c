//! Keys that no strategy of a file follows, since its broker has no such thing: a line without effect is a mistake.

use super::source::Problems;
use super::{Strategy, stack};
use contract::broker::BrokerKind;
use std::ops::Range;

/// Whether a topic of this broker has one partition, however many are asked for.
pub(super) fn has_one_partition(broker: BrokerKind) -> bool {
    broker.partitions(i32::MAX) == 1
}

/// The keys of a file that only some brokers follow, where they are said, and whether all strategies of the file could
/// be read.
pub(super) struct Said {
    /// This is the place of `partitions`.
    pub partitions: Option<Range<usize>>,
    /// This is the place of `nats_sync_interval`.
    pub nats_sync: Option<Range<usize>>,
    /// This is the place of `eventbridge_throttle`.
    pub eventbridge_throttle: Option<Range<usize>>,
    /// Of a strategy that could not be read nobody knows the broker.
    pub are_all_read: bool,
}

/// Notes each of them that none of these strategies follows.
pub(super) fn check(said: Said, partitions: i32, strategies: &[Strategy], problems: &Problems) {
    if strategies.is_empty() || !said.are_all_read {
        return;
    }
    let brokers = || strategies.iter().map(|strategy| strategy.broker.kind());
    if let Some(span) = said.partitions
        && partitions > 1
        && brokers().all(has_one_partition)
    {
        problems.add(
            span,
            format!(
                "no strategy of this file has {partitions} partitions: {}",
                one_partition(brokers())
            ),
            "remove the line, or let a strategy publish to Kafka",
        );
    }
    for (key, span, broker) in [
        (stack::NATS_SYNC, said.nats_sync, BrokerKind::Nats),
        (
            stack::EVENTBRIDGE_THROTTLE,
            said.eventbridge_throttle,
            BrokerKind::EventBridge,
        ),
    ] {
        let Some(span) = span.filter(|_| brokers().all(|other| other != broker)) else {
            continue;
        };
        problems.add(
            span,
            format!(
                "`{key}` is a setting of {}, and no strategy of this file publishes there",
                broker.title()
            ),
            format!(
                "add `broker = \"{}\"` to a strategy, or remove the line",
                broker.name()
            ),
        );
    }
}

/// Says that of those that are there.
fn one_partition(brokers: impl Iterator<Item = BrokerKind>) -> String {
    let mut titles: Vec<&str> = brokers.map(BrokerKind::title).collect();
    titles.sort_unstable();
    titles.dedup();
    match &titles[..] {
        [one] => format!("a topic of {one} has one"),
        several => format!("topics of {} have one", several.join(" and ")),
    }
}
