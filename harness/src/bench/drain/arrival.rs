//! When and how a backlog arrived on the topic.

use crate::history::{Body, LogRow};
use crate::topic::Length;
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(20);
/// A relay that has not moved for so long does not count as draining any more.
const NO_PROGRESS_MAX: Duration = Duration::from_secs(30);

/// Waits until so many records are there; false if nothing moved for 30 s, or the relay is dead.
pub(super) async fn wait_for(
    length: &Length,
    records: u64,
    alive: impl Fn() -> bool,
) -> Result<bool, String> {
    let (mut known, mut moved) = (0, Instant::now());
    loop {
        let now = length.records().await?;
        if now >= records {
            return Ok(true);
        }
        if now > known {
            (known, moved) = (now, Instant::now());
        }
        if moved.elapsed() > NO_PROGRESS_MAX || !alive() {
            return Ok(false);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What the topic holds of a backlog.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arrived {
    /// Events of the backlog.
    pub expected: u32,
    /// Of them, those that came, each once.
    pub distinct: u32,
    /// Valid events beyond the first.
    pub duplicated: u64,
    /// Versions that came after a later one of their order.
    pub reordered: u64,
    /// Records that are no event of the backlog.
    pub strange: u64,
    /// Append time of the first event, and of the last that came for the first time, milliseconds.
    pub appended_ms: Option<(i64, i64)>,
}

impl Arrived {
    /// Events that did not come.
    pub fn missing(&self) -> u32 {
        self.expected - self.distinct
    }

    /// What makes its speed worthless.
    pub fn wrong(&self) -> Vec<String> {
        let count = |n: u64, what: &str| (n > 0).then(|| format!("{n} {what}"));
        [
            count(
                u64::from(self.missing()),
                &format!("of {} events never came", self.expected),
            ),
            count(
                self.reordered,
                "events overtaken by a later one of their order",
            ),
            count(self.strange, "records that are no event of the backlog"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Judges a log that is sorted by partition and offset. An event's attempt is its number.
pub(super) fn judge(log: impl IntoIterator<Item = LogRow>, events: u32) -> Arrived {
    let mut arrived = Arrived {
        expected: events,
        ..Arrived::default()
    };
    let mut seen = vec![false; events as usize];
    // By order: its latest version so far, and the partition that it is on.
    let mut latest: Vec<(u32, i32)> = Vec::new();
    for row in log {
        let known = seen.get_mut(row.attempt as usize);
        let Some(seen) = known.filter(|_| row.body == Body::Intact) else {
            arrived.strange += 1;
            continue;
        };
        if std::mem::replace(seen, true) {
            arrived.duplicated += 1;
            continue;
        }
        arrived.distinct += 1;
        let order = row.order as usize;
        if order >= latest.len() {
            latest.resize(order + 1, (0, row.partition));
        }
        let (version, partition) = latest[order];
        if row.version < version || (version > 0 && partition != row.partition) {
            arrived.reordered += 1;
        }
        latest[order] = (version.max(row.version), row.partition);
        let (first, last) = arrived
            .appended_ms
            .unwrap_or((row.append_ms, row.append_ms));
        arrived.appended_ms = Some((first.min(row.append_ms), last.max(row.append_ms)));
    }
    arrived
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(offset: i64, attempt: u32) -> LogRow {
        LogRow {
            partition: 0,
            offset,
            append_ms: 1_000 + offset,
            attempt,
            order: attempt / 4,
            version: attempt % 4 + 1,
            body: Body::Intact,
        }
    }

    #[test]
    fn a_whole_backlog_in_order_is_right_and_repeats_do_not_prolong_it() {
        let log = [row(0, 0), row(1, 4), row(2, 1), row(9, 1)];
        let mut arrived = judge(log, 5);
        assert_eq!(arrived.missing(), 2);
        assert_eq!((arrived.duplicated, arrived.reordered), (1, 0));
        assert_eq!(arrived.appended_ms, Some((1_000, 1_002)));
        arrived.expected = 3;
        assert!(arrived.wrong().is_empty());
    }

    #[test]
    fn loss_overtaking_and_damage_are_named() {
        let mut damaged = row(2, 3);
        damaged.body = Body::Damaged;
        let arrived = judge([row(0, 1), row(1, 0), damaged], 4);
        assert_eq!(arrived.wrong().len(), 3, "{arrived:?}");
    }
}
