//! Rows by the million, packed: neighbours are much alike, so what tells them apart fits into few
//! bits. Whatever the values, every row comes back as it was put in.

use super::block::Block;
use super::row::Row;
use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::ops::Range;

/// A block has this many rows. Tests use small ones, so that a few rows are many blocks.
pub(super) const BLOCK: usize = if cfg!(test) { 8 } else { 1024 };

/// A list of rows that is added to at its end and read anywhere, by value.
#[derive(Clone)]
pub struct Rows<R> {
    blocks: Vec<Block>,
    /// These are the rows behind the last full block, which are not packed yet.
    tail: Vec<R>,
}

impl<R: Row> Rows<R> {
    /// Makes a list without rows.
    pub fn new() -> Self {
        Self {
            blocks: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.blocks.len() * BLOCK + self.tail.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the row of this number, from 0; `None` behind the last. It is always
    /// inline, so that only what is looked at is unpacked.
    #[inline(always)]
    pub fn get(&self, number: usize) -> Option<R> {
        match self.blocks.get(number / BLOCK) {
            Some(block) => {
                let row = number % BLOCK;
                Some(R::from_fields(
                    #[inline(always)]
                    |field| block.field(row, field),
                ))
            }
            None => self.tail.get(number - self.blocks.len() * BLOCK).copied(),
        }
    }

    /// The row of this number, which must be there: as indexing a slice.
    #[inline(always)]
    #[track_caller]
    pub fn at(&self, number: usize) -> R {
        match self.get(number) {
            Some(row) => row,
            None => panic!("row {number} of {} rows", self.len()),
        }
    }

    /// Returns the last row; `None` if there are no rows.
    pub fn last(&self) -> Option<R> {
        self.get(self.len().checked_sub(1)?)
    }

    /// Adds a row at the end.
    pub fn push(&mut self, row: R) {
        self.tail.push(row);
        if self.tail.len() == BLOCK {
            self.blocks.push(Block::pack(&self.tail));
            self.tail.clear();
        }
    }

    /// Returns the rows in their order, by value.
    pub fn iter(&self) -> Iter<'_, R> {
        self.range(0..self.len())
    }

    /// Returns the rows in their order, each with its number. (An `Enumerate` would unpack whole rows.)
    pub fn numbered(&self) -> Numbered<'_, R> {
        Numbered {
            rows: self,
            numbers: 0..self.len(),
        }
    }

    /// The rows of these numbers, as far as they are there.
    pub fn range(&self, numbers: Range<usize>) -> Iter<'_, R> {
        Iter {
            rows: self,
            numbers: numbers.start..numbers.end.min(self.len()),
        }
    }

    /// The rows by a key, those of one key in the order they have; copied only where they are not
    /// in that order already.
    pub fn sorted_by_key<K: Ord>(&self, key: impl Fn(&R) -> K) -> Cow<'_, Self> {
        if self.iter().is_sorted_by_key(|row| key(&row)) {
            return Cow::Borrowed(self);
        }
        let mut own: Vec<R> = self.iter().collect();
        own.sort_by_key(key);
        Cow::Owned(own.into_iter().collect())
    }

    /// The number of the first row in a range, ascending by `is_before`, that is not before.
    pub fn partition_point(&self, within: Range<usize>, is_before: impl Fn(R) -> bool) -> usize {
        let Range { mut start, mut end } = within;
        while start < end {
            let middle = start + (end - start) / 2;
            if is_before(self.at(middle)) {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        start
    }
}

impl<R: Row> Default for Rows<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Row> Extend<R> for Rows<R> {
    fn extend<I: IntoIterator<Item = R>>(&mut self, rows: I) {
        rows.into_iter().for_each(|row| self.push(row));
    }
}

impl<R: Row> FromIterator<R> for Rows<R> {
    fn from_iter<I: IntoIterator<Item = R>>(rows: I) -> Self {
        let mut packed = Self::new();
        packed.extend(rows);
        packed
    }
}

impl<R: Row + PartialEq> PartialEq for Rows<R> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other)
    }
}

impl<R: Row + Debug> Debug for Rows<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<'a, R: Row> IntoIterator for &'a Rows<R> {
    type Item = R;
    type IntoIter = Iter<'a, R>;
    fn into_iter(self) -> Iter<'a, R> {
        self.iter()
    }
}

/// This iterator gives rows by value, one after the other.
pub struct Iter<'a, R> {
    rows: &'a Rows<R>,
    numbers: Range<usize>,
}

impl<R> Clone for Iter<'_, R> {
    fn clone(&self) -> Self {
        Self {
            rows: self.rows,
            numbers: self.numbers.clone(),
        }
    }
}

impl<R: Row> Iterator for Iter<'_, R> {
    type Item = R;

    #[inline(always)]
    fn next(&mut self) -> Option<R> {
        self.rows.get(self.numbers.next()?)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.numbers.size_hint()
    }

    fn nth(&mut self, n: usize) -> Option<R> {
        self.rows.get(self.numbers.nth(n)?)
    }
}

impl<R: Row> DoubleEndedIterator for Iter<'_, R> {
    #[inline(always)]
    fn next_back(&mut self) -> Option<R> {
        self.rows.get(self.numbers.next_back()?)
    }
}

impl<R: Row> ExactSizeIterator for Iter<'_, R> {}

/// This iterator gives rows and their numbers, one after the other.
pub struct Numbered<'a, R> {
    rows: &'a Rows<R>,
    numbers: Range<usize>,
}

impl<R: Row> Iterator for Numbered<'_, R> {
    type Item = (usize, R);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, R)> {
        let number = self.numbers.next()?;
        Some((number, self.rows.get(number)?))
    }
}

impl<R: Row> DoubleEndedIterator for Numbered<'_, R> {
    #[inline(always)]
    fn next_back(&mut self) -> Option<(usize, R)> {
        let number = self.numbers.next_back()?;
        Some((number, self.rows.get(number)?))
    }
}

/// These rows are laid open, to be changed in any way; they are packed again when that is over.
#[cfg(any(test, feature = "testkit"))]
pub struct Open<'a, R: Row> {
    rows: &'a mut Rows<R>,
    plain: Vec<R>,
}

#[cfg(any(test, feature = "testkit"))]
impl<R: Row> Rows<R> {
    /// Unpacks all rows, so that they can be changed in any way until the returned guard is dropped.
    pub fn open(&mut self) -> Open<'_, R> {
        let plain = self.iter().collect();
        Open { rows: self, plain }
    }
}

#[cfg(any(test, feature = "testkit"))]
impl<R: Row> std::ops::Deref for Open<'_, R> {
    type Target = Vec<R>;
    fn deref(&self) -> &Vec<R> {
        &self.plain
    }
}

#[cfg(any(test, feature = "testkit"))]
impl<R: Row> std::ops::DerefMut for Open<'_, R> {
    fn deref_mut(&mut self) -> &mut Vec<R> {
        &mut self.plain
    }
}

#[cfg(any(test, feature = "testkit"))]
impl<R: Row> Drop for Open<'_, R> {
    fn drop(&mut self) {
        *self.rows = self.plain.drain(..).collect();
    }
}
