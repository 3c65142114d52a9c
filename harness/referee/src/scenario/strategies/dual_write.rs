//! `dual-write`: two writes and no outbox.

use super::{StrategyInfo, Surroundings};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::section::Section;
use crate::scenario::units::show_duration;
use crate::scenario::{StrategyKind, cache, limits};
use contract::config::WriteOrder;
use contract::publish::{LONGEST_PAUSE, PublishPolicy};
use std::time::Duration;

const ORDERS: [(&str, WriteOrder); 2] = [
    ("commit-then-publish", WriteOrder::CommitThenPublish),
    ("publish-then-commit", WriteOrder::PublishThenCommit),
];

fn order_words() -> Vec<&'static str> {
    ORDERS.map(|(word, _)| word).to_vec()
}

pub(super) const INFO: StrategyInfo = StrategyInfo {
    name: "dual-write",
    what: "no outbox: the order service writes to the database and to the broker, in one order or the other",
    example: "kind = \"dual-write\", order = \"commit-then-publish\", publish_timeout = \"1s\"",
    keys: &[
        KeyInfo::required("order", Shape::Word(order_words), "which write comes first"),
        KeyInfo::optional(
            "publish_timeout",
            Shape::Duration {
                least: Duration::from_millis(1),
                most: limits::REQUEST,
            },
            "as long as the request waits",
            "so long a request waits for the broker",
        ),
        KeyInfo::optional(
            "publish_retries",
            Shape::Integer {
                least: 0,
                most: limits::PUBLISH_RETRIES as i64,
            },
            "0",
            "so many times the service makes a publish again that failed, or of which it heard nothing",
        ),
        KeyInfo::optional(
            "publish_backoff",
            Shape::Duration {
                least: Duration::from_millis(1),
                most: LONGEST_PAUSE,
            },
            "100ms",
            "the pause before the first of them; each further one is twice as long, up to 10 s",
        ),
        KeyInfo::optional(
            "idempotent_producer",
            Shape::Flag,
            "true",
            "whether Kafka recognises what the client library repeats by itself; it never recognises a retry",
        ),
        cache::MODE,
        cache::FILL,
        cache::HOLD,
    ],
    any_broker: true,
    any_database: true,
    read,
};

fn read(s: &mut Section<'_>, _: &Surroundings<'_>) -> Option<StrategyKind> {
    let order = s
        .required("order", "order = \"commit-then-publish\"")
        .and_then(|e| s.word(e, &ORDERS));
    let publish_timeout = s
        .get("publish_timeout")
        .and_then(|e| s.duration(e, Duration::from_millis(1)..=limits::REQUEST));
    let policy = policy(s, publish_timeout);
    Some(StrategyKind::DualWrite {
        order: order?,
        publish_timeout,
        policy,
    })
}

fn policy(s: &mut Section<'_>, publish_timeout: Option<Duration>) -> PublishPolicy {
    let usual = PublishPolicy::default();
    let retries_entry = s.get("publish_retries");
    let retries = retries_entry.and_then(|e| s.integer(e, 0..=limits::PUBLISH_RETRIES));
    let backoff_entry = s.get("publish_backoff");
    let backoff =
        backoff_entry.and_then(|e| s.duration(e, Duration::from_millis(1)..=LONGEST_PAUSE));
    let idempotent = s.get("idempotent_producer").and_then(|e| s.flag(e));
    let policy = PublishPolicy {
        retries: retries.unwrap_or(usual.retries),
        backoff_ms: backoff.map_or(usual.backoff_ms, |pause| pause.as_millis() as u64),
        idempotent_producer: idempotent.unwrap_or(usual.idempotent_producer),
    };
    if policy.retries == 0 {
        if let Some(entry) = backoff_entry {
            s.problem(
                entry.span(),
                "there is nothing to pause before: `publish_retries` is 0",
                "add `publish_retries = 3`, or remove the line",
            );
        }
        return policy;
    }
    let Some(entry) = retries_entry else {
        return policy;
    };
    match publish_timeout {
        // Without it nothing ever fails that could be made again: the library itself goes on for five minutes.
        None => s.problem(
            entry.span(),
            "`publish_retries` without `publish_timeout`: no publish would fail before five minutes have passed",
            "add `publish_timeout = \"1s\"`",
        ),
        Some(one) if policy.within(one) > limits::REQUEST => s.problem(
            entry.span(),
            format!(
                "one request could try to publish for {}, which is longer than {}",
                show_duration(policy.within(one)),
                show_duration(limits::REQUEST)
            ),
            "lower `publish_retries`, `publish_backoff` or `publish_timeout`",
        ),
        Some(_) => {}
    }
    policy
}
