//! `kafka` of `[stack]`: of how many brokers Kafka is, and how its topics are replicated.

use crate::scenario::BrokerNode;
use crate::scenario::keys::{KeyInfo, Shape, names};
use crate::scenario::section::{Entry, Section};
use crate::scenario::source::Problems;
use serde::{Deserialize, Serialize};

/// As many replicas as there can be brokers.
const MOST: u8 = BrokerNode::MOST as u8;

/// These are the keys of `kafka`.
pub(in crate::scenario) const KEYS: [KeyInfo; 3] = [
    KeyInfo::usually(
        "brokers",
        Shape::Integer {
            least: 1,
            most: MOST as i64,
        },
        "1",
        "so many brokers it is: 1 or 3",
    ),
    KeyInfo::optional(
        "replication",
        Shape::Integer {
            least: 1,
            most: MOST as i64,
        },
        "as many as there are brokers",
        "so many of them have a replica of each partition",
    ),
    KeyInfo::optional(
        "min_insync_replicas",
        Shape::Integer {
            least: 1,
            most: MOST as i64,
        },
        "2 where there are two replicas or more, else 1",
        "fewer replicas in sync than this take nothing from a producer with acks=all (`min.insync.replicas`)",
    ),
];

/// Of how many brokers Kafka is, and how its topics are replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaCluster {
    /// So many brokers it is: 1 or 3.
    pub brokers: u8,
    /// So many of them have a replica of each partition.
    pub replication: u8,
    /// With fewer replicas in sync, nothing is taken from a producer with acks=all.
    pub min_insync_replicas: u8,
}

impl Default for KafkaCluster {
    fn default() -> Self {
        Self {
            brokers: 1,
            replication: 1,
            min_insync_replicas: 1,
        }
    }
}

/// Reads it; what is wrong is noted, and `None` means that nothing came of it.
pub(super) fn read(entry: Entry<'_>, problems: &Problems) -> Option<KafkaCluster> {
    let mut s = Section::of(entry, "`kafka`", names(&KEYS), problems)?;
    let number = |s: &mut Section<'_>, key| {
        let entry = s.get(key)?;
        Some((s.integer(entry, 1..=MOST)?, entry.span()))
    };
    let brokers = number(&mut s, "brokers");
    let replication = number(&mut s, "replication");
    let in_sync = number(&mut s, "min_insync_replicas");
    let count = brokers.as_ref().map_or(1, |(count, _)| *count);
    if let Some((2, span)) = &brokers {
        s.problem(
            span.clone(),
            "two brokers are no majority of two when one of them is gone",
            "write `brokers = 3`, of which two go on without the third, or leave it out for one",
        );
    }
    if let Some((replicas, span)) = &replication
        && *replicas > count
    {
        s.problem(
            span.clone(),
            format!("{replicas} replicas need as many brokers, and there is {count}"),
            "write `brokers = 3`, or lower `replication`",
        );
    }
    let replicas = replication.map_or(count, |(replicas, _)| replicas);
    if let Some((least, span)) = &in_sync
        && *least > replicas
    {
        s.problem(
            span.clone(),
            format!("{least} replicas in sync are more than there are ({replicas})"),
            "lower `min_insync_replicas`, or raise `replication`",
        );
    }
    s.finish();
    Some(KafkaCluster {
        brokers: count,
        replication: replicas,
        min_insync_replicas: in_sync.map_or(replicas.min(2), |(least, _)| least),
    })
}
