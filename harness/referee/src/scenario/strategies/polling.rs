//! `polling`: an outbox whose rows a relay of our own claims with SQL.

use super::{StrategyInfo, Surroundings};
use crate::scenario::section::Section;
use crate::scenario::{StrategyKind, limits};
use contract::config::AfterPublish;
use std::time::Duration;

pub(super) const INFO: StrategyInfo = StrategyInfo {
    name: "polling",
    what: "an outbox row in the order's transaction; a relay claims rows with SQL, publishes, then deletes or marks them; its commits wait for the disk only with synchronous_commit = \"on\"",
    keys: &[
        "after_publish",
        "interval",
        "batch",
        "notify",
        "synchronous_commit",
    ],
    read,
};

fn read(s: &mut Section<'_>, _: &Surroundings<'_>) -> Option<StrategyKind> {
    let after_publish = s
        .get("after_publish")
        .and_then(|e| {
            s.word(
                e,
                &[
                    ("delete", AfterPublish::Delete),
                    ("mark", AfterPublish::Mark),
                ],
            )
        })
        .unwrap_or(AfterPublish::Delete);
    let interval = s
        .get("interval")
        .and_then(|e| s.duration(e, Duration::from_millis(1)..=limits::INTERVAL))
        .unwrap_or(Duration::from_millis(5));
    let batch = s
        .get("batch")
        .and_then(|e| s.integer(e, 1..=limits::BATCH))
        .unwrap_or(500);
    let notify = s.get("notify").and_then(|e| s.flag(e)).unwrap_or(false);
    Some(StrategyKind::Polling {
        after_publish,
        interval,
        batch,
        notify,
    })
}
