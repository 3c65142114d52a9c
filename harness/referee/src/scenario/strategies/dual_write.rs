//! `dual-write`: two writes and no outbox.

use super::{StrategyInfo, Surroundings};
use crate::scenario::section::Section;
use crate::scenario::{StrategyKind, limits};
use contract::config::WriteOrder;
use std::time::Duration;

pub(super) const INFO: StrategyInfo = StrategyInfo {
    name: "dual-write",
    what: "no outbox: the order service writes to the database and to the broker, in one order or the other",
    keys: &["order", "publish_timeout"],
    read,
};

fn read(s: &mut Section<'_>, _: &Surroundings<'_>) -> Option<StrategyKind> {
    let order = s
        .required("order", "order = \"commit-then-publish\"")
        .and_then(|e| {
            s.word(
                e,
                &[
                    ("commit-then-publish", WriteOrder::CommitThenPublish),
                    ("publish-then-commit", WriteOrder::PublishThenCommit),
                ],
            )
        });
    let publish_timeout = s
        .get("publish_timeout")
        .and_then(|e| s.duration(e, Duration::from_millis(1)..=limits::REQUEST));
    Some(StrategyKind::DualWrite {
        order: order?,
        publish_timeout,
    })
}
