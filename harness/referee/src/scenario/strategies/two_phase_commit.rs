//! `two-phase-commit`: no outbox, but a transaction around both writes.

use super::{StrategyInfo, Surroundings};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::section::Section;
use crate::scenario::{StrategyKind, limits};
use std::time::Duration;

/// A step of the broker takes at most this long, unless the file says otherwise.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(1);
/// The broker takes no shorter one (librdkafka).
const LEAST_TRANSACTION: Duration = Duration::from_secs(1);
/// As Kafka's own Java client has it.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);
/// Fewer would make orders wait for each other, more would be more threads than anybody needs.
const PRODUCERS: u32 = 8;

pub(super) const INFO: StrategyInfo = StrategyInfo {
    name: "two-phase-commit",
    what: "no outbox: the order service prepares a transaction of PostgreSQL and one of Kafka, commits its decision in a table, then both; a recoverer, in the place of the relay, finishes what it left in doubt",
    example: "kind = \"two-phase-commit\", publish_timeout = \"1s\"",
    keys: &[
        KeyInfo::usually(
            "publish_timeout",
            Shape::Duration {
                least: Duration::from_millis(1),
                most: limits::REQUEST,
            },
            "\"1s\"",
            "so long the broker may take for each step",
        ),
        KeyInfo::usually(
            "transaction_timeout",
            Shape::Duration {
                least: LEAST_TRANSACTION,
                most: limits::TRANSACTION,
            },
            "\"60s\"",
            "after so long the broker aborts an open transaction by itself, whatever was decided",
        ),
        KeyInfo::optional(
            "in_doubt_after",
            Shape::Duration {
                least: Duration::from_millis(1),
                most: limits::REQUEST,
            },
            "a second longer than `request_timeout`",
            "what an order service that lives has prepared or decided, and not finished for so long, the recoverer finishes",
        ),
        KeyInfo::usually(
            "producers",
            Shape::Integer {
                least: 1,
                most: limits::TRANSACTIONAL_PRODUCERS as i64,
            },
            "8",
            "so many transactional producers has the order service, each for one order at a time",
        ),
    ],
    any_broker: false,
    any_database: false,
    read,
};

fn read(s: &mut Section<'_>, _: &Surroundings<'_>) -> Option<StrategyKind> {
    let publish = s.get("publish_timeout");
    let publish_timeout = publish
        .and_then(|e| s.duration(e, Duration::from_millis(1)..=limits::REQUEST))
        .unwrap_or(PUBLISH_TIMEOUT);
    let transaction = s.get("transaction_timeout");
    let transaction_timeout = transaction
        .and_then(|e| s.duration(e, LEAST_TRANSACTION..=limits::TRANSACTION))
        .unwrap_or(TRANSACTION_TIMEOUT);
    if let Some(entry) = publish.or(transaction)
        && publish_timeout > transaction_timeout
    {
        // librdkafka refuses such a configuration, and it could publish nothing.
        s.problem(
            entry.span(),
            "`publish_timeout` is longer than `transaction_timeout`: the broker would abort what is still being published",
            "make `publish_timeout` shorter or `transaction_timeout` longer",
        );
    }
    let in_doubt_after = s
        .get("in_doubt_after")
        .and_then(|e| s.duration(e, Duration::from_millis(1)..=limits::REQUEST));
    let producers = s
        .get("producers")
        .and_then(|e| s.integer(e, 1..=limits::TRANSACTIONAL_PRODUCERS))
        .unwrap_or(PRODUCERS);
    Some(StrategyKind::TwoPhaseCommit {
        publish_timeout,
        transaction_timeout,
        in_doubt_after,
        producers,
    })
}
