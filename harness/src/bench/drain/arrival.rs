//! When and how a backlog arrived on the topic.

use crate::broker::Length;
use crate::history::{Body, LogRow};
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(20);
/// A relay that has not moved for so long does not count as draining any more.
const NO_PROGRESS_MAX: Duration = Duration::from_secs(30);

/// Waits until so many records are there; false if nothing moved for 30 s, or the relay is dead.
pub(super) async fn wait_for(
    length: &dyn Length,
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
    /// The backlog has so many events.
    pub expected: u32,
    /// So many of them came, each counted once.
    pub distinct: u32,
    /// So many valid events came beyond the first.
    pub duplicated: u64,
    /// So many versions came after a later one of their order, or on another partition than one before.
    pub reordered: u64,
    /// Records that are no event of the backlog.
    pub strange: u64,
    /// When its events were appended for the first time.
    pub appended: Option<Appended>,
}

/// When the events of a backlog were appended, milliseconds of the broker's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Appended {
    /// The first event was appended at this time.
    pub first_ms: i64,
    /// The event that completed the first half was appended at this time.
    pub half_ms: i64,
    /// The last event was appended at this time.
    pub last_ms: i64,
}

impl Appended {
    /// Finds these times among the append times of all events; `None` where there are none.
    fn of(mut times_ms: Vec<i64>) -> Option<Self> {
        let half = times_ms.len().div_ceil(2).checked_sub(1)?;
        let (before, half_ms, after) = times_ms.select_nth_unstable(half);
        let half_ms = *half_ms;
        Some(Self {
            first_ms: before.iter().copied().min().unwrap_or(half_ms),
            half_ms,
            last_ms: after.iter().copied().max().unwrap_or(half_ms),
        })
    }
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
    let mut appended_ms = Vec::with_capacity(events as usize);
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
        appended_ms.push(row.append_ms);
    }
    arrived.appended = Appended::of(appended_ms);
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
        let appended = Appended {
            first_ms: 1_000,
            half_ms: 1_001,
            last_ms: 1_002,
        };
        assert_eq!(arrived.appended, Some(appended));
        arrived.expected = 3;
        assert!(arrived.wrong().is_empty());
    }

    #[test]
    fn half_of_the_events_are_there_by_the_half_in_whatever_order_partitions_are_read() {
        let appended = |times_ms: &[i64]| {
            Appended::of(times_ms.to_vec()).map(|a| (a.first_ms, a.half_ms, a.last_ms))
        };
        assert_eq!(appended(&[]), None);
        assert_eq!(appended(&[7]), Some((7, 7, 7)));
        assert_eq!(appended(&[30, 10, 40, 20]), Some((10, 20, 40)));
        assert_eq!(appended(&[5, 1, 4, 2, 3]), Some((1, 3, 5)));
    }

    #[test]
    fn loss_overtaking_and_damage_are_named() {
        let mut damaged = row(2, 3);
        damaged.body = Body::Damaged;
        let arrived = judge([row(0, 1), row(1, 0), damaged], 4);
        assert_eq!(arrived.wrong().len(), 3, "{arrived:?}");
    }
}
