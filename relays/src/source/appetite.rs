//! How many rows a read asks for: as many as its bytes allow, and as many as come over the link before long. One whose
//! answer did not come says that they were too many, and so does one that took its time; only quick ones let it grow.

use std::time::Duration;

/// One read should not exceed so many bytes of payload by much.
const BYTES: usize = 8 << 20;
/// The first read has so many rows at most, enough to learn how large they are.
const ROWS_FIRST: u32 = 32;
/// How many times as many the next one may have, and how many times fewer after a failure.
const GROWTH: u32 = 4;
/// A read whose rows took longer to arrive, from the first one on, had too many.
const SPREAD_MAX: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Appetite {
    batch: u32,
    /// Most rows of any read, as long as the link is as slow as it is.
    pace: u32,
    rows: u32,
}

impl Appetite {
    /// No read has more rows than `batch`.
    pub fn new(batch: u32) -> Self {
        let batch = batch.max(1);
        Self {
            batch,
            pace: batch,
            rows: batch.min(ROWS_FIRST),
        }
    }

    /// The next read has so many rows at most.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// A read brought so many rows, with so many bytes of payload, which took so long to arrive.
    pub fn fed(&mut self, rows: usize, bytes: usize, spread: Duration) {
        let Some(mean_bytes) = bytes.checked_div(rows) else {
            return;
        };
        if spread > SPREAD_MAX {
            let in_time = rows as f64 * SPREAD_MAX.as_secs_f64() / spread.as_secs_f64();
            self.pace = (in_time as u32).clamp(1, self.pace);
        } else if spread * GROWTH < SPREAD_MAX && rows >= self.rows as usize {
            self.pace = self.pace.saturating_mul(GROWTH).min(self.batch);
        }
        let affordable = u32::try_from(BYTES / mean_bytes.max(1)).unwrap_or(u32::MAX);
        let grown = self.rows.saturating_mul(GROWTH);
        self.rows = grown.min(affordable).min(self.pace).max(1);
    }

    /// The answer to a read did not come: on a slow link it may have been too large.
    pub fn failed(&mut self) {
        self.rows = (self.rows.min(ROWS_FIRST) / GROWTH).max(1);
        self.pace = self.rows;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const QUICK: Duration = Duration::from_millis(5);

    #[test]
    fn given_small_rows_when_read_then_reads_grow_to_the_batch() {
        let mut appetite = Appetite::new(500);
        let mut asked = Vec::new();
        for _ in 0..4 {
            asked.push(appetite.rows());
            appetite.fed(appetite.rows() as usize, 40_000, QUICK);
        }
        assert_eq!(asked, [32, 128, 500, 500]);
    }

    #[test]
    fn given_large_rows_or_answers_that_do_not_come_then_reads_are_small() {
        let mut appetite = Appetite::new(500);
        appetite.fed(32, 32 << 20, QUICK);
        assert_eq!(appetite.rows(), 8);
        let mut asked = Vec::new();
        for _ in 0..3 {
            appetite.failed();
            asked.push(appetite.rows());
        }
        assert_eq!(asked, [2, 1, 1]);
        // Nothing is learned from none
        appetite.fed(0, 0, QUICK);
        assert_eq!(appetite.rows(), 1);
    }

    /// A link that brings so many rows a second, and loses the session over an answer that takes a minute.
    #[test]
    fn given_a_slow_link_when_one_answer_did_not_come_then_reads_stay_as_small_as_it_bears() {
        // Given reads that have grown while the link was quick
        let mut appetite = Appetite::new(500);
        let quick = |appetite: &mut Appetite| {
            for _ in 0..4 {
                appetite.fed(appetite.rows() as usize, 20_000, QUICK);
            }
            appetite.rows()
        };
        assert_eq!(quick(&mut appetite), 500);
        let mut failures = 0;
        for _ in 0..50 {
            let rows = appetite.rows();
            let took = Duration::from_secs(rows.into()) / 2;
            match took.as_secs() < 60 {
                true => appetite.fed(rows as usize, rows as usize * 1_000, took),
                false => {
                    failures += 1;
                    appetite.failed();
                }
            }
        }
        assert_eq!((failures, appetite.rows()), (1, 8));
        // And one that took too long cuts them at once
        appetite.fed(8, 8_000, Duration::from_secs(20));
        assert_eq!(appetite.rows(), 4);
        // And they grow again when the link is quick
        assert_eq!(quick(&mut appetite), 500);
    }

    proptest! {
        #[test]
        fn given_any_reads_then_one_asks_for_a_row_at_least_and_for_the_batch_at_most(
            batch in 0_u32..5_000,
            reads in proptest::collection::vec(proptest::option::of((0_usize..6_000, 0_usize..1 << 30, 0_u64..100)), 0..50),
        ) {
            let mut appetite = Appetite::new(batch);
            for read in reads {
                match read {
                    Some((rows, bytes, s)) => appetite.fed(rows, bytes, Duration::from_secs(s)),
                    None => appetite.failed(),
                }
                prop_assert!((1..=batch.max(1)).contains(&appetite.rows()));
            }
        }
    }
}
