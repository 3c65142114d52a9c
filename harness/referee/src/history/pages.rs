//! Pages of a Parquet column, checked before anything is made of them. A damaged page header can
//! claim two thousand million values, and the decoder would make room for all of them first.
//! (What a page decompresses to is bounded by the format alone: under 2 GiB, a page at a time.)

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};

/// This reads a column's pages in a row group of `rows` rows, and lets none through that claims more values.
pub(super) struct BoundedPages {
    pages: Box<dyn PageReader>,
    rows: usize,
}

impl BoundedPages {
    pub fn new(pages: Box<dyn PageReader>, rows: usize) -> Self {
        Self { pages, rows }
    }

    /// No page, and no dictionary, has more values than its row group has rows.
    fn check(&self, page: &Page) -> Result<()> {
        let values = page.num_values() as usize;
        if values > self.rows {
            return Err(ParquetError::General(format!(
                "a page claims {values} values, and its row group has {} rows",
                self.rows
            )));
        }
        // These repeat the number of values inside the page, where only the decoder finds it.
        let unbounded = [
            Encoding::DELTA_LENGTH_BYTE_ARRAY,
            Encoding::DELTA_BYTE_ARRAY,
        ];
        if unbounded.contains(&page.encoding()) {
            return Err(ParquetError::General(format!(
                "a page is encoded as {}, which is not read here: write it plain or with a \
                 dictionary",
                page.encoding()
            )));
        }
        Ok(())
    }
}

impl PageReader for BoundedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        if let Some(page) = &page {
            self.check(page)?;
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}

impl Iterator for BoundedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// A column of one page.
    struct One(Option<Page>);

    impl PageReader for One {
        fn get_next_page(&mut self) -> Result<Option<Page>> {
            Ok(self.0.take())
        }
        fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
            Ok(None)
        }
        fn skip_next_page(&mut self) -> Result<()> {
            Ok(())
        }
    }

    impl Iterator for One {
        type Item = Result<Page>;
        fn next(&mut self) -> Option<Self::Item> {
            self.get_next_page().transpose()
        }
    }

    fn dictionary(num_values: u32) -> Page {
        Page::DictionaryPage {
            buf: Bytes::new(),
            num_values,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        }
    }

    fn data(num_values: u32, encoding: Encoding) -> Page {
        Page::DataPage {
            buf: Bytes::new(),
            num_values,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        }
    }

    fn read(page: Page) -> Result<Option<Page>> {
        BoundedPages::new(Box::new(One(Some(page))), 10).get_next_page()
    }

    #[test]
    fn a_page_with_more_values_than_rows_is_refused_before_room_is_made_for_them() {
        for page in [dictionary(10), data(10, Encoding::PLAIN)] {
            assert!(read(page).unwrap().is_some());
        }
        for page in [dictionary(u32::MAX), data(11, Encoding::PLAIN)] {
            let error = read(page).unwrap_err().to_string();
            assert!(error.contains("its row group has 10 rows"), "{error}");
        }
    }

    #[test]
    fn an_encoding_that_hides_how_many_values_it_has_is_refused() {
        for encoding in [
            Encoding::DELTA_LENGTH_BYTE_ARRAY,
            Encoding::DELTA_BYTE_ARRAY,
        ] {
            let error = read(data(1, encoding)).unwrap_err().to_string();
            assert!(error.contains("write it plain"), "{error}");
        }
        assert!(
            read(data(1, Encoding::DELTA_BINARY_PACKED))
                .unwrap()
                .is_some()
        );
    }
}
