//! When a record was on the topic, on the run's own clock. The broker writes a time into each record,
//! but that is another host's clock: it is never compared with ours where there is anything better.
//!
//! A record that was seen live was there by its first sight. One that was not was there by the time at
//! which the end of its partition was known to lie behind it, and between the sights of its neighbours.
//! Histories of before do not say when ends were known: of them, the broker's times have to do.

use super::NEVER;
use crate::history::{History, LogRow, Places, Rows, partition_of_series};
use std::collections::BTreeMap;
use std::ops::Range;

/// How far each partition was known to reach, and when.
#[derive(Debug, Default)]
pub struct Ends(BTreeMap<i32, Vec<(i64, i64)>>);

/// What is known of when a record came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendBounds {
    /// The record was not there yet at this time, run time in nanoseconds; `i64::MIN` where that is not known.
    pub after_ns: i64,
    /// The record is known to be there by this time, run time in nanoseconds.
    pub by_ns: i64,
}

impl Ends {
    /// Reads the ends from a history's samples; a history from before they were sampled has none.
    pub fn of(history: &History) -> Self {
        let mut partitions: BTreeMap<i32, Vec<(i64, i64)>> = BTreeMap::new();
        for sample in &history.samples {
            if let Some(partition) = partition_of_series(&sample.series) {
                let ends = partitions.entry(partition).or_default();
                ends.push((sample.at_ns, sample.value as i64));
            }
        }
        for ends in partitions.values_mut() {
            ends.sort_unstable();
            // A broker that was killed may have lost what it had shown: what was there was there.
            let mut furthest = 0;
            for (_, end) in ends {
                furthest = furthest.max(*end);
                *end = furthest;
            }
        }
        Self(partitions)
    }

    /// Whether nothing is known at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Answers for one place after the other.
    pub fn walk(&self) -> Walk<'_> {
        Walk {
            ends: self,
            partition: None,
            of_it: &[],
            at: 0,
        }
    }
}

/// Whoever asks in the order of the places, as the rows of a log are, is answered at once.
pub struct Walk<'e> {
    ends: &'e Ends,
    partition: Option<i32>,
    of_it: &'e [(i64, i64)],
    /// The first end behind the place that was asked for last.
    at: usize,
}

impl Walk<'_> {
    /// When a place was first known to exist; `None` if it never was.
    pub fn known(&mut self, partition: i32, offset: i64) -> Option<AppendBounds> {
        if self.partition != Some(partition) {
            self.partition = Some(partition);
            self.of_it = self.ends.0.get(&partition).map_or(&[], Vec::as_slice);
            self.at = 0;
        }
        let before = |at: usize| at.checked_sub(1).and_then(|before| self.of_it.get(before));
        if before(self.at).is_some_and(|(_, end)| *end > offset) {
            self.at = 0;
        }
        let behind = self.of_it[self.at..].iter();
        self.at += behind.take_while(|(_, end)| *end <= offset).count();
        let by_ns = self.of_it.get(self.at)?.0;
        let before = self
            .at
            .checked_sub(1)
            .and_then(|before| self.of_it.get(before));
        Some(AppendBounds {
            after_ns: before.map_or(i64::MIN, |(at_ns, _)| *at_ns),
            by_ns,
        })
    }
}

/// By row of a log that is sorted by place: when the record was on the topic, as far as the ends tell.
pub fn times(history: &History, log: &Rows<LogRow>, ends: &Ends) -> Vec<i64> {
    let mut times = first_sights(history, log);
    let mut walk = ends.walk();
    let mut from = 0;
    while let Some(first) = log.get(from) {
        let until = log.partition_point(from..log.len(), |r| r.partition == first.partition);
        fill(&mut walk, log, &mut times, from..until);
        from = until;
    }
    times
}

/// Returns, by row, its first sight, or [`NEVER`].
fn first_sights(history: &History, log: &Rows<LogRow>) -> Vec<i64> {
    let mut first = vec![NEVER; log.len()];
    let mut places = Places::new(log);
    for sighting in &history.sightings {
        if let Some(row) = places.row(sighting.partition, sighting.offset) {
            first[row] = first[row].min(sighting.seen_ns);
        }
    }
    first
}

/// Gives the rows of one partition that were not seen their times.
fn fill(walk: &mut Walk<'_>, log: &Rows<LogRow>, times: &mut [i64], rows: Range<usize>) {
    let mut row = rows.start;
    let mut earlier_ns = None;
    while row < rows.end {
        if times[row] != NEVER {
            earlier_ns = Some(times[row]);
            row += 1;
            continue;
        }
        let unseen = times[row..rows.end].iter().take_while(|ns| **ns == NEVER);
        let until = row + unseen.count();
        let later_ns = times[until..rows.end].first().copied();
        let steps = (until - row) as i64 + 1;
        for (step, at) in (row..until).enumerate() {
            let record = log.at(at);
            let known = walk.known(record.partition, record.offset);
            let known_ns = known.map(|known| known.by_ns);
            let (earliest_ns, latest_ns) =
                (earlier_ns.unwrap_or(i64::MIN), later_ns.unwrap_or(NEVER));
            times[at] = match (known_ns, earlier_ns, later_ns) {
                (Some(ns), ..) => ns.min(latest_ns).max(earliest_ns),
                // In equal steps.
                (None, Some(from), Some(to)) => {
                    from + to.saturating_sub(from) / steps * (step as i64 + 1)
                }
                (None, one, other) => one.or(other).unwrap_or(NEVER / 2),
            };
        }
        row = until;
    }
}

/// Returns the broker's time as run time: it is right as long as its clock is ours. Of a history of before, whose
/// ends are not known, it is when the record was on the topic.
pub fn by_the_broker(history: &History, row: LogRow) -> i64 {
    let unix = i128::from(row.append_ms) * 1_000_000;
    let run = unix - history.meta.clock.origin_unix_ns;
    i64::try_from(run).unwrap_or(if run < 0 { i64::MIN / 2 } else { NEVER / 2 })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::checkers::fixture::{MS, S, clean, naive};
    use crate::history::{Sample, topic_end_series};
    use crate::view::Join;

    fn ends(history: &mut History, partition: i32, known: &[(i64, i64)]) {
        let series = topic_end_series(partition);
        history
            .samples
            .extend(known.iter().map(|(at_ns, end)| Sample {
                series: series.clone(),
                at_ns: *at_ns,
                value: *end as f64,
            }));
    }

    fn unsee(history: &mut History, offsets: Range<i64>) {
        let seen = |partition, offset| partition == 0 && offsets.contains(&offset);
        let mut sightings = history.sightings.open();
        sightings.retain(|s| !seen(s.partition, s.offset));
    }

    fn time(history: &History, offset: i64) -> i64 {
        let join = Join::new(history);
        let row = join
            .log
            .iter()
            .position(|r| (r.partition, r.offset) == (0, offset));
        join.on_topic_ns(row.unwrap())
    }

    fn sight(history: &History, offset: i64) -> i64 {
        let mut of_it = history.sightings.iter();
        let of_it = of_it.find(|s| (s.partition, s.offset) == (0, offset));
        of_it.unwrap().seen_ns
    }

    #[test]
    fn given_a_broker_with_another_clock_when_a_record_was_seen_then_that_is_its_time() {
        let mut history = clean(20, naive());
        ends(&mut history, 0, &[(0, 0)]);
        history
            .log
            .open()
            .iter_mut()
            .for_each(|r| r.append_ms -= 2_000);
        assert_eq!(time(&history, 4), sight(&history, 4));
    }

    #[test]
    fn given_records_that_were_not_seen_then_they_lie_between_their_neighbours() {
        let mut history = clean(20, naive());
        ends(&mut history, 0, &[(0, 0)]);
        let (before, after) = (sight(&history, 3), sight(&history, 6));
        unsee(&mut history, 4..6);
        let step = (after - before) / 3;
        assert_eq!(time(&history, 4), before + step);
        assert_eq!(time(&history, 5), before + step * 2);
        // At the ends of a partition there is one neighbour
        unsee(&mut history, 0..3);
        assert_eq!(time(&history, 1), before);
    }

    #[test]
    fn given_a_record_that_was_not_seen_when_the_end_behind_it_was_known_then_it_was_there_by_then()
    {
        let mut history = clean(20, naive());
        let (before, after) = (sight(&history, 3), sight(&history, 6));
        let known = before + (after - before) / 2;
        ends(
            &mut history,
            0,
            &[(0, 0), (before, 4), (known, 6), (20 * S, 7)],
        );
        unsee(&mut history, 4..6);
        assert_eq!(time(&history, 4), known);
        // But what was behind it had been seen before the end was known
        unsee(&mut history, 6..7);
        assert_eq!(time(&history, 6), sight(&history, 7));
    }

    /// An end that was 5, then 2, then 6.
    fn went_back() -> History {
        let mut history = clean(1, naive());
        ends(
            &mut history,
            0,
            &[(S, 0), (2 * S, 5), (3 * S, 2), (4 * S, 6)],
        );
        history
    }

    #[test]
    fn given_an_end_that_goes_back_when_asked_then_what_was_there_was_there() {
        let history = went_back();
        let ends = Ends::of(&history);
        let mut walk = ends.walk();
        let mut known = |offset| walk.known(0, offset).map(|k| (k.after_ns, k.by_ns));
        assert_eq!(known(3), Some((S, 2 * S)));
        assert_eq!(known(5), Some((3 * S, 4 * S)));
        assert_eq!(known(6), None);
        // Back again, and elsewhere
        assert_eq!(known(3), Some((S, 2 * S)));
        assert_eq!(walk.known(1, 0), None);
        assert_eq!(walk.known(0, 0).map(|k| k.by_ns), Some(2 * S));
    }

    #[test]
    fn given_ends_that_were_noted_out_of_order_when_asked_then_time_decides() {
        let mut history = clean(1, naive());
        ends(&mut history, 0, &[(3 * S, 6), (S, 2), (2 * S, 4)]);
        let ends = Ends::of(&history);
        let mut walk = ends.walk();
        let mut known = |offset| walk.known(0, offset).map(|k| (k.after_ns, k.by_ns));
        assert_eq!(known(5), Some((2 * S, 3 * S)));
        // Back by one, and back to the first
        assert_eq!(known(3), Some((S, 2 * S)));
        assert_eq!(known(5), Some((2 * S, 3 * S)));
        assert_eq!(known(1), Some((i64::MIN, S)));
    }

    #[test]
    fn given_an_end_that_went_back_when_the_walk_goes_back_to_it_then_what_was_there_was_there() {
        let history = went_back();
        let ends = Ends::of(&history);
        let mut walk = ends.walk();
        let mut known = |offset| walk.known(0, offset).map(|k| (k.after_ns, k.by_ns));
        assert_eq!(known(5), Some((3 * S, 4 * S)));
        assert_eq!(known(3), Some((S, 2 * S)));
    }

    #[test]
    fn given_the_first_and_the_last_of_a_partition_when_unseen_then_its_own_records_time_them() {
        let mut history = clean(20, naive());
        ends(&mut history, 0, &[(0, 0)]);
        let last = history.log.iter().filter(|r| r.partition == 0).count() as i64 - 1;
        let (second, before_last) = (sight(&history, 1), sight(&history, last - 1));
        unsee(&mut history, 0..1);
        unsee(&mut history, last..last + 1);
        // Whatever was seen of the other partition
        assert_eq!(time(&history, 0), second);
        assert_eq!(time(&history, last), before_last);
    }

    #[test]
    fn given_an_end_that_was_known_before_the_record_ahead_was_seen_then_that_one_was_there_first()
    {
        let mut history = clean(20, naive());
        let ahead = sight(&history, 3);
        ends(&mut history, 0, &[(0, 0), (ahead - MS, 6)]);
        unsee(&mut history, 4..6);
        assert_eq!(time(&history, 4), ahead);
    }

    #[test]
    fn given_a_brokers_time_that_no_clock_can_show_then_it_is_far_ahead_or_far_behind() {
        let mut history = clean(1, naive());
        history.log.open()[0].append_ms = i64::MAX;
        assert!(by_the_broker(&history, history.log.at(0)) > 1_000_000 * S);
        history.log.open()[0].append_ms = i64::MIN;
        assert!(by_the_broker(&history, history.log.at(0)) < -1_000_000 * S);
    }

    #[test]
    fn given_a_history_of_before_then_the_brokers_times_have_to_do() {
        let history = clean(20, naive());
        assert_eq!(time(&history, 4), sight(&history, 4) - MS);
    }
}
