//! Rows of a log by their place on the topic.

use super::{LogRow, Rows};

/// Finds rows by partition and offset in a log that is sorted by both. Whoever asks in offset order
/// within a partition, as a reader of the topic does, finds nearly every one at once.
pub struct Places<'a> {
    log: &'a Rows<LogRow>,
    partitions: Vec<Partition>,
}

struct Partition {
    number: i32,
    start: usize,
    end: usize,
    /// Behind the row that was found last.
    cursor: usize,
}

impl<'a> Places<'a> {
    /// Looks where each partition begins.
    pub fn new(log: &'a Rows<LogRow>) -> Self {
        let mut partitions = Vec::new();
        let mut start = 0;
        while let Some(first) = log.get(start) {
            let number = first.partition;
            let end = log.partition_point(start..log.len(), |r| r.partition == number);
            partitions.push(Partition {
                number,
                start,
                end,
                cursor: start,
            });
            start = end;
        }
        Self { log, partitions }
    }

    /// Returns the number of the row at a place of the topic; `None` if the log has no record there.
    pub fn row(&mut self, partition: i32, offset: i64) -> Option<usize> {
        // Partitions are numbered from 0, and hardly any is empty.
        let guess = usize::try_from(partition).ok();
        let is_it = |at: &usize| {
            self.partitions
                .get(*at)
                .is_some_and(|p| p.number == partition)
        };
        let at = guess.filter(is_it).or_else(|| {
            let sought = |p: &Partition| p.number;
            self.partitions
                .binary_search_by_key(&partition, sought)
                .ok()
        })?;
        let Partition {
            start, end, cursor, ..
        } = self.partitions[at];
        let is_at = |row: &usize| *row < end && self.log.at(*row).offset == offset;
        let sought = || self.log.partition_point(start..end, |r| r.offset < offset);
        let row = Some(cursor)
            .filter(is_at)
            .or_else(|| Some(sought()).filter(is_at))?;
        self.partitions[at].cursor = row + 1;
        Some(row)
    }
}
