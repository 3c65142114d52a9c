//! The two ways in which a history holds its rows: few of them as they are, millions packed.

use super::column::Table;
use super::row::Row;
use super::rows::Rows;
use std::borrow::Cow;
use std::ops::Range;

/// Rows of a table, as the files' reader fills them in and their writer takes them out.
pub(super) trait Shelf: Default {
    /// What is on it.
    type Row: Table;
    /// How many there are.
    fn length(&self) -> usize;
    /// Some of them, which must be there.
    fn some(&self, numbers: Range<usize>) -> Cow<'_, [Self::Row]>;
    /// Adds rows at the end, and leaves none behind.
    fn take(&mut self, rows: &mut Vec<Self::Row>);
}

impl<R: Table> Shelf for Vec<R> {
    type Row = R;

    fn length(&self) -> usize {
        self.len()
    }

    fn some(&self, numbers: Range<usize>) -> Cow<'_, [R]> {
        Cow::Borrowed(&self[numbers])
    }

    fn take(&mut self, rows: &mut Vec<R>) {
        self.append(rows);
    }
}

impl<R: Table + Row> Shelf for Rows<R> {
    type Row = R;

    fn length(&self) -> usize {
        self.len()
    }

    fn some(&self, numbers: Range<usize>) -> Cow<'_, [R]> {
        Cow::Owned(self.range(numbers).collect())
    }

    fn take(&mut self, rows: &mut Vec<R>) {
        self.extend(rows.drain(..));
    }
}
