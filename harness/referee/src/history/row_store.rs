//! The two ways in which a history holds its rows: few of them as they are, millions packed.

use super::column::Table;
use super::row::Row;
use super::rows::Rows;
use std::borrow::Cow;
use std::ops::Range;

/// Rows of a table, as the files' reader fills them in and their writer takes them out.
pub(super) trait RowStore: Default {
    /// This is the kind of row that it holds, with the columns of its file.
    type Row: Table;
    /// How many there are.
    fn len(&self) -> usize;
    /// Some of them, which must be there.
    fn slice(&self, numbers: Range<usize>) -> Cow<'_, [Self::Row]>;
    /// Adds rows at the end, and leaves none behind.
    fn append(&mut self, rows: &mut Vec<Self::Row>);
}

impl<R: Table> RowStore for Vec<R> {
    type Row = R;

    fn len(&self) -> usize {
        self.len()
    }

    fn slice(&self, numbers: Range<usize>) -> Cow<'_, [R]> {
        Cow::Borrowed(&self[numbers])
    }

    fn append(&mut self, rows: &mut Vec<R>) {
        self.append(rows);
    }
}

impl<R: Table + Row> RowStore for Rows<R> {
    type Row = R;

    fn len(&self) -> usize {
        self.len()
    }

    fn slice(&self, numbers: Range<usize>) -> Cow<'_, [R]> {
        Cow::Owned(self.range(numbers).collect())
    }

    fn append(&mut self, rows: &mut Vec<R>) {
        self.extend(rows.drain(..));
    }
}
