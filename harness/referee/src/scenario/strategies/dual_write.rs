//! `dual-write`: two writes and no outbox.

use super::{StrategyInfo, Surroundings};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::section::Section;
use crate::scenario::{StrategyKind, limits};
use contract::config::WriteOrder;
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
    ],
    read,
};

fn read(s: &mut Section<'_>, _: &Surroundings<'_>) -> Option<StrategyKind> {
    let order = s
        .required("order", "order = \"commit-then-publish\"")
        .and_then(|e| s.word(e, &ORDERS));
    let publish_timeout = s
        .get("publish_timeout")
        .and_then(|e| s.duration(e, Duration::from_millis(1)..=limits::REQUEST));
    Some(StrategyKind::DualWrite {
        order: order?,
        publish_timeout,
    })
}
