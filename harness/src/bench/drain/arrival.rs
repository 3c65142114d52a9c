//! When and how a backlog arrived on the topic.

use crate::broker::Length;
use crate::clock::RunClock;
use crate::history::{Body, LogRow};
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(20);
/// A relay that has not moved for so long does not count as draining any more.
const NO_PROGRESS_MAX: Duration = Duration::from_secs(30);
/// Beside that, what is seen is late by what nobody measures; clocks that differ by more differ.
const SIGHT_LATE_MAX_NS: i64 = 250_000_000;
/// And by this part of what they measured.
const CLOCK_SHARE_MAX: f64 = 0.1;

/// The topic's length while a backlog arrives there, as it was seen: each more than the one before it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::bench) struct TopicGrowth {
    /// It had so many records before.
    pub before: u64,
    /// Each time more were there.
    sights: Vec<Sight>,
    /// When the look before was asked for, in nanoseconds of the run's clock.
    looked_ns: Option<i64>,
}

/// So many more records were there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sight {
    /// When that was seen, in nanoseconds of the run's clock.
    at_ns: i64,
    records: u64,
    /// They can have been there for so long.
    late_ns: i64,
}

impl TopicGrowth {
    /// Sees nothing yet, of a topic that has so many records.
    pub fn new(before: u64) -> Self {
        Self {
            before,
            sights: Vec::new(),
            looked_ns: None,
        }
    }

    /// Waits until so many records are there beyond those before; false if nothing moved for 30 s, or whoever publishes
    /// them is dead.
    pub async fn wait_for(
        &mut self,
        length: &dyn Length,
        records: u64,
        clock: &RunClock,
        alive: impl Fn() -> bool,
    ) -> Result<bool, String> {
        let mut moved = Instant::now();
        loop {
            let asked_ns = clock.now_ns();
            let now = length.records().await?.saturating_sub(self.before);
            if self.note(asked_ns, clock.now_ns(), now) {
                moved = Instant::now();
            }
            if now >= records {
                return Ok(true);
            }
            if moved.elapsed() > NO_PROGRESS_MAX || !alive() {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Takes the answer to a look; whether it is more than before.
    fn note(&mut self, asked_ns: i64, at_ns: i64, records: u64) -> bool {
        // What was not there at the look before came after that was asked for. Before the first one, anything may have come:
        // a relay is looked at when it says that it works.
        let before_ns = self.looked_ns.replace(asked_ns).unwrap_or(0);
        let known = self.records();
        if records > known {
            self.sights.push(Sight {
                at_ns,
                records,
                late_ns: at_ns - before_ns,
            });
        }
        records > known
    }

    /// So many were there when it last became more.
    pub fn records(&self) -> u64 {
        self.sights.last().map_or(0, |sight| sight.records)
    }

    /// When this many were there, and how many were there then.
    fn by(&self, records: u64) -> Option<Arrival> {
        let mut enough = self.sights.iter().skip_while(|s| s.records < records);
        let sight = enough.next()?;
        Some(Arrival {
            at_ns: sight.at_ns,
            events: u32::try_from(sight.records).unwrap_or(u32::MAX),
            late_ns: sight.late_ns,
        })
    }

    /// When the first records were seen.
    pub fn first(&self) -> Option<Arrival> {
        self.by(1)
    }

    /// When the first, the half and the last of so many were seen; `None` where the last was not.
    pub fn appended(&self, events: u32) -> Option<Appended> {
        Some(Appended {
            first: self.by(1)?,
            half: self.by(u64::from(events.div_ceil(2)))?,
            last: self.by(u64::from(events))?,
        })
    }
}

/// What the topic holds of a backlog.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::bench) struct Arrived {
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
    /// When its events were appended for the first time, by the broker's clock, where it says so.
    pub appended: Option<Appended>,
}

/// So many events of a backlog were there at this time, by whichever clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench) struct Arrival {
    pub at_ns: i64,
    pub events: u32,
    /// It can have been so much earlier, where it was seen and not told by the broker.
    pub late_ns: i64,
}

/// When the events of a backlog came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench) struct Appended {
    /// The first event, or those that were there when one was first seen.
    pub first: Arrival,
    /// The event that completed the first half.
    pub half: Arrival,
    /// The last event.
    pub last: Arrival,
}

impl Appended {
    /// Finds these times among the append times of all events, milliseconds of the broker's clock; `None` where there are
    /// none, or where the broker does not say when it took an event.
    fn of(mut times_ms: Vec<i64>) -> Option<Self> {
        let all = u32::try_from(times_ms.len()).unwrap_or(u32::MAX);
        let half = times_ms.len().div_ceil(2).checked_sub(1)?;
        let (before, half_ms, after) = times_ms.select_nth_unstable(half);
        let half_ms = *half_ms;
        let first_ms = before.iter().copied().min().unwrap_or(half_ms);
        let last_ms = after.iter().copied().max().unwrap_or(half_ms);
        let at = |ms: i64, events| Arrival {
            at_ns: ms * 1_000_000,
            events,
            late_ns: 0,
        };
        (first_ms >= 0).then(|| Self {
            first: at(first_ms, 0),
            half: at(half_ms, all - all / 2),
            last: at(last_ms, all),
        })
    }

    /// Events a second between two of these times; `None` where there was none between them.
    pub fn rate(from: Arrival, until: Arrival) -> Option<f64> {
        let took_ns = until.at_ns - from.at_ns;
        let events = until.events.saturating_sub(from.events);
        (took_ns > 0).then(|| f64::from(events) / (took_ns as f64 / 1e9))
    }

    fn took_ns(&self) -> i64 {
        self.last.at_ns - self.first.at_ns
    }

    /// Says how far the broker's clock is from ours in what both measured: it was set meanwhile, or runs at another speed.
    pub fn clock_differs(&self, seen: &Self) -> Option<String> {
        let (theirs_ns, ours_ns) = (self.took_ns(), seen.took_ns());
        // On a busy machine a look is late, or its answer.
        let late_ns = seen.first.late_ns.max(seen.last.late_ns);
        let allowed_ns = late_ns + SIGHT_LATE_MAX_NS + (ours_ns as f64 * CLOCK_SHARE_MAX) as i64;
        ((theirs_ns - ours_ns).abs() > allowed_ns).then(|| {
            format!(
                "the broker's clock says {:.3} s for what took {:.3} s here: was it set meanwhile?",
                theirs_ns as f64 / 1e9,
                ours_ns as f64 / 1e9
            )
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
pub(in crate::bench) fn judge(log: impl IntoIterator<Item = LogRow>, events: u32) -> Arrived {
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
        let at = |ms: i64, events| Arrival {
            at_ns: ms * 1_000_000,
            events,
            late_ns: 0,
        };
        let appended = Appended {
            first: at(1_000, 0),
            half: at(1_001, 2),
            last: at(1_002, 3),
        };
        assert_eq!(arrived.appended, Some(appended));
        arrived.expected = 3;
        assert!(arrived.wrong().is_empty());
    }

    #[test]
    fn half_of_the_events_are_there_by_the_half_in_whatever_order_partitions_are_read() {
        let appended = |times_ms: &[i64]| {
            let found = Appended::of(times_ms.to_vec());
            found.map(|a| [a.first, a.half, a.last].map(|at| at.at_ns / 1_000_000))
        };
        assert_eq!(appended(&[]), None);
        assert_eq!(appended(&[7]), Some([7, 7, 7]));
        assert_eq!(appended(&[30, 10, 40, 20]), Some([10, 20, 40]));
        assert_eq!(appended(&[5, 1, 4, 2, 3]), Some([1, 3, 5]));
    }

    #[test]
    fn loss_overtaking_and_damage_are_named() {
        let mut damaged = row(2, 3);
        damaged.body = Body::Damaged;
        let arrived = judge([row(0, 1), row(1, 0), damaged], 4);
        assert_eq!(arrived.wrong().len(), 3, "{arrived:?}");
    }

    #[test]
    fn given_a_broker_that_says_no_times_then_it_is_timed_by_what_was_seen_from_one_sight_to_another()
     {
        let mut untimed = row(0, 0);
        untimed.append_ms = -1;
        assert_eq!(judge([untimed], 1).appended, None);
        let mut seen = TopicGrowth::new(1);
        for (at_ns, records) in [(5, 0), (10, 200), (30, 200), (40, 700), (60, 1_000)] {
            seen.note(at_ns * 1_000_000, at_ns * 1_000_000, records);
        }
        assert_eq!(seen.appended(1_001), None);
        assert_eq!(seen.records(), 1_000);
        let Some(Appended { first, half, last }) = seen.appended(1_000) else {
            unreachable!("all were seen")
        };
        let told = [first, half, last].map(|a| (a.at_ns / 1_000_000, a.events));
        assert_eq!(told, [(10, 200), (40, 700), (60, 1_000)]);
        // 800 in 50 ms, and 300 in 20 ms
        assert_eq!(Appended::rate(first, last), Some(16_000.0));
        assert_eq!(Appended::rate(half, last), Some(15_000.0));
        assert_eq!(Appended::rate(last, last), None);
    }

    #[test]
    fn given_a_clock_that_was_set_meanwhile_then_it_is_told_and_one_that_is_only_seen_late_is_not()
    {
        let of = |first_ms: i64, last_ms: i64| {
            let at = |ms: i64, events| Arrival {
                at_ns: ms * 1_000_000,
                events,
                late_ns: 0,
            };
            Appended {
                first: at(first_ms, 0),
                half: at(last_ms, 1),
                last: at(last_ms, 2),
            }
        };
        let theirs = of(1_000_000, 1_002_000);
        assert_eq!(theirs.clock_differs(&of(40, 2_300)), None);
        let told = theirs.clock_differs(&of(40, 3_040)).unwrap_or_default();
        assert!(
            told.contains("2.000 s for what took 3.000 s here"),
            "{told}"
        );
        // A second without an answer, after the first record had come; and one before the first look
        for first_looks in [&[(0, 5, 0), (20, 1_040, 1)][..], &[(1_030, 1_040, 1)]] {
            let mut seen = TopicGrowth::default();
            for (asked_ms, at_ms, records) in first_looks.iter().chain(&[(1_900, 2_000, 2)]) {
                seen.note(asked_ms * 1_000_000, at_ms * 1_000_000, *records);
            }
            let differs = seen.appended(2).map(|seen| theirs.clock_differs(&seen));
            assert_eq!(differs, Some(None));
        }
    }
}
