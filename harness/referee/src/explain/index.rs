//! Rows by what they belong to, so that each offence finds its own without a search through all.

use crate::history::{Rows, Sighting};

/// Groups hold the numbers of rows by a dense key, in the order of the rows.
pub struct Groups {
    base: Vec<u32>,
    rows: Vec<u32>,
}

impl Groups {
    /// Groups rows by their keys; rows whose key is `groups` or more belong to none.
    pub fn new(keys: impl Iterator<Item = u32> + Clone, groups: usize) -> Self {
        let mut base = vec![0u32; groups + 1];
        for key in keys.clone() {
            if let Some(count) = base.get_mut(key as usize + 1) {
                *count += 1;
            }
        }
        for group in 0..groups {
            base[group + 1] += base[group];
        }
        let mut next = base.clone();
        let mut rows = vec![0u32; base[groups] as usize];
        for (row, key) in keys.enumerate() {
            if (key as usize) < groups {
                let place = &mut next[key as usize];
                rows[*place as usize] = row as u32;
                *place += 1;
            }
        }
        Self { base, rows }
    }

    /// Returns the numbers of a key's rows.
    pub fn of(&self, key: u32) -> impl DoubleEndedIterator<Item = usize> + Clone + '_ {
        let at = |key: usize| self.base.get(key).copied().unwrap_or(0) as usize;
        let last = self.base.len() - 1;
        let range = match key as usize {
            group if group < last => at(group)..at(group + 1),
            _ => 0..0,
        };
        self.rows[range].iter().map(|row| *row as usize)
    }
}

/// When each record was first seen live.
pub struct Sights<'a> {
    sightings: &'a Rows<Sighting>,
    by_place: Vec<u32>,
}

impl<'a> Sights<'a> {
    /// Sorts them by partition and offset.
    pub fn new(sightings: &'a Rows<Sighting>) -> Self {
        let mut by_place: Vec<u32> = (0..sightings.len() as u32).collect();
        by_place.sort_unstable_by_key(|n| {
            let s = sightings.at(*n as usize);
            (s.partition, s.offset, s.seen_ns)
        });
        Self {
            sightings,
            by_place,
        }
    }

    /// When the record at this place was first seen.
    pub fn first(&self, partition: i32, offset: i64) -> Option<i64> {
        let sighting = |n: u32| self.sightings.at(n as usize);
        let start = self.by_place.partition_point(|n| {
            let s = sighting(*n);
            (s.partition, s.offset) < (partition, offset)
        });
        let first = sighting(*self.by_place.get(start)?);
        ((first.partition, first.offset) == (partition, offset)).then_some(first.seen_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_by_key_and_those_of_no_group_belong_to_none() {
        let keys = [2, 0, 9, 2, u32::MAX, 0];
        let groups = Groups::new(keys.into_iter(), 3);
        let of = |key| groups.of(key).collect::<Vec<_>>();
        assert_eq!((of(0), of(1), of(2)), (vec![1, 5], vec![], vec![0, 3]));
        assert!(of(3).is_empty() && of(u32::MAX).is_empty());
        assert_eq!(Groups::new([].into_iter(), 0).of(0).count(), 0);
    }

    #[test]
    fn a_record_seen_twice_counts_by_its_first_sight() {
        let at = |partition, offset, seen_ns| Sighting {
            partition,
            offset,
            seen_ns,
        };
        let all = [at(1, 0, 9), at(0, 4, 5), at(1, 0, 7)]
            .into_iter()
            .collect();
        let sights = Sights::new(&all);
        assert_eq!(sights.first(1, 0), Some(7));
        assert_eq!(sights.first(0, 4), Some(5));
        assert_eq!(sights.first(1, 1), None);
    }
}
