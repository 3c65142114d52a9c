//! How many rows a read asks for: as many as its bytes allow, and fewer after one whose answer did not come.

/// One read should not exceed so many bytes of payload by much.
const BYTES: usize = 8 << 20;
/// The first read has so many rows at most, enough to learn how large they are.
const ROWS_FIRST: u32 = 32;
/// How many times as many the next one may have, and how many times fewer after a failure.
const GROWTH: u32 = 4;

/// See the module.
#[derive(Debug)]
pub(super) struct Appetite {
    batch: u32,
    rows: u32,
}

impl Appetite {
    /// No read has more rows than `batch`.
    pub fn new(batch: u32) -> Self {
        let batch = batch.max(1);
        Self {
            batch,
            rows: batch.min(ROWS_FIRST),
        }
    }

    /// The next read has so many rows at most.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// A read brought so many rows, with so many bytes of payload.
    pub fn fed(&mut self, rows: usize, bytes: usize) {
        let Some(mean_bytes) = bytes.checked_div(rows) else {
            return;
        };
        let affordable = u32::try_from(BYTES / mean_bytes.max(1)).unwrap_or(u32::MAX);
        let grown = self.rows.saturating_mul(GROWTH);
        self.rows = grown.min(affordable).min(self.batch).max(1);
    }

    /// The answer to a read did not come: on a slow link it may have been too large.
    pub fn failed(&mut self) {
        self.rows = (self.rows.min(ROWS_FIRST) / GROWTH).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn given_small_rows_when_read_then_reads_grow_to_the_batch() {
        let mut appetite = Appetite::new(500);
        let mut asked = Vec::new();
        for _ in 0..4 {
            asked.push(appetite.rows());
            appetite.fed(appetite.rows() as usize, 40_000);
        }
        assert_eq!(asked, [32, 128, 500, 500]);
    }

    #[test]
    fn given_large_rows_or_answers_that_do_not_come_then_reads_are_small() {
        let mut appetite = Appetite::new(500);
        appetite.fed(32, 32 << 20);
        assert_eq!(appetite.rows(), 8);
        let mut asked = Vec::new();
        for _ in 0..3 {
            appetite.failed();
            asked.push(appetite.rows());
        }
        assert_eq!(asked, [2, 1, 1]);
        // Nothing is learned from none
        appetite.fed(0, 0);
        assert_eq!(appetite.rows(), 1);
    }

    proptest! {
        #[test]
        fn given_any_reads_then_one_asks_for_a_row_at_least_and_for_the_batch_at_most(
            batch in 0_u32..5_000,
            reads in proptest::collection::vec(proptest::option::of((0_usize..6_000, 0_usize..1 << 30)), 0..50),
        ) {
            let mut appetite = Appetite::new(batch);
            for read in reads {
                match read {
                    Some((rows, bytes)) => appetite.fed(rows, bytes),
                    None => appetite.failed(),
                }
                prop_assert!((1..=batch.max(1)).contains(&appetite.rows()));
            }
        }
    }
}
