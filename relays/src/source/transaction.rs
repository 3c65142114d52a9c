//! What a polling relay's open transaction has claimed, and what its next claim asks for.
//!
//! Its rows are claimed in parts while there are enough: the next part is claimed while the events
//! of the last one are on their way to the broker. All of them commit together, once all of them
//! are durable.

/// Bytes of payload that a transaction should not exceed by much.
const BYTES: usize = 8 << 20;
/// Rows of a session's first transaction: enough to learn how large they are.
const ROWS_FIRST: u32 = 256;
/// Parts in which the rows of a transaction are claimed.
const PARTS: u32 = 4;
/// Smaller ones cost more than they save.
const PART_ROWS_MIN: u32 = 250;

/// See the module. Events are counted as [`super::Source`] has it.
#[derive(Debug)]
pub(super) struct Transaction {
    /// Most rows of any.
    batch: u32,
    /// Most rows of this one.
    limit: u32,
    /// Events taken before it, since the count began.
    before: u64,
    /// Rows that it has claimed; `None`: none is open.
    claimed: Option<u64>,
    /// Events that are durable, since the count began.
    durable: u64,
    /// Its last claim found fewer rows than it asked for.
    dry: bool,
    /// Rows that the last claim asked for.
    asked: u32,
    /// The last claim began with the commit of what was open before it.
    commits: bool,
}

impl Transaction {
    /// None is open, and none will have more rows than `batch`.
    pub fn new(batch: u32) -> Self {
        Self {
            batch,
            limit: batch.min(ROWS_FIRST),
            before: 0,
            claimed: None,
            durable: 0,
            dry: false,
            asked: 0,
            commits: false,
        }
    }

    /// Rows that it has claimed; `None`: none is open.
    pub fn claimed(&self) -> Option<u64> {
        self.claimed
    }

    /// The first `events` events are durable.
    pub fn confirm(&mut self, events: u64) {
        self.durable = events;
    }

    /// Whether everything that it claimed is durable.
    pub fn is_durable(&self) -> bool {
        self.durable >= self.before + self.claimed.unwrap_or(0)
    }

    /// Rows that it may claim while others are on their way.
    pub fn room(&self) -> u32 {
        let open = self.claimed.filter(|_| !self.dry);
        let left = open.map(|claimed| u64::from(self.limit).saturating_sub(claimed));
        left.map_or(0, |rows| rows as u32)
    }

    /// The statements of the next claim, in one message: of its next part, or of a new transaction
    /// after its commit. `None`: it can claim no more, and is not durable.
    pub fn next_claim(&mut self) -> Option<String> {
        let commits = self.claimed.is_some() && self.is_durable();
        let (before, most) = match self.claimed {
            None => ("BEGIN; ", self.limit),
            Some(_) if commits => ("COMMIT; BEGIN; ", self.limit),
            Some(_) if self.room() > 0 => ("", self.room()),
            Some(_) => return None,
        };
        self.commits = commits;
        self.asked = (self.limit / PARTS).max(PART_ROWS_MIN).min(most);
        Some(format!("{before}{}", claim_of(self.asked)))
    }

    /// That claim brought so many rows, of so many bytes. How many rows its commit settled.
    pub fn note(&mut self, rows: usize, bytes: usize) -> u64 {
        let settled = if self.commits { self.end() } else { 0 };
        self.commits = false;
        self.dry = rows < self.asked as usize;
        let first = self.claimed.is_none();
        if first && rows > 0 {
            let affordable = (BYTES / (bytes / rows).max(1)).max(1) as u32;
            self.limit = self.limit.saturating_mul(2).min(self.batch).min(affordable);
        }
        self.claimed = Some(self.claimed.unwrap_or(0) + rows as u64);
        settled
    }

    /// It was committed or rolled back. How many rows it had.
    pub fn end(&mut self) -> u64 {
        let claimed = self.claimed.take().unwrap_or(0);
        self.before += claimed;
        claimed
    }

    /// The count begins anew; none is open.
    pub fn restart(&mut self) {
        (self.before, self.claimed, self.durable) = (0, None, 0);
    }
}

/// The prepared statement that claims so many rows.
pub(super) fn claim_of(rows: u32) -> String {
    format!("EXECUTE outbox_claim({rows})")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One that has learned that rows are small.
    fn with_limit(batch: u32) -> Transaction {
        let mut transaction = Transaction::new(batch);
        while transaction.limit < batch {
            transaction.next_claim().unwrap();
            transaction.note(1, 100);
            transaction.end();
        }
        transaction.restart();
        transaction
    }

    fn asks(transaction: &mut Transaction, sql: &str) {
        assert_eq!(transaction.next_claim().unwrap(), sql);
    }

    #[test]
    fn parts_are_claimed_until_the_batch_is_full_and_committed_together() {
        let mut transaction = with_limit(2_000);
        asks(&mut transaction, "BEGIN; EXECUTE outbox_claim(500)");
        assert_eq!(transaction.note(500, 50_000), 0);
        for _ in 0..3 {
            asks(&mut transaction, "EXECUTE outbox_claim(500)");
            assert_eq!(transaction.note(500, 50_000), 0);
        }
        // Then no more, as long as some are not durable
        assert_eq!((transaction.room(), transaction.next_claim()), (0, None));
        transaction.confirm(1_999);
        assert_eq!(transaction.next_claim(), None);
        transaction.confirm(2_000);
        asks(&mut transaction, "COMMIT; BEGIN; EXECUTE outbox_claim(500)");
        assert_eq!(transaction.note(500, 50_000), 2_000);
    }

    #[test]
    fn a_part_that_is_not_full_is_the_last() {
        let mut transaction = with_limit(2_000);
        transaction.next_claim().unwrap();
        transaction.note(499, 50_000);
        assert_eq!((transaction.room(), transaction.next_claim()), (0, None));
        // And what is durable commits before there is more
        transaction.confirm(499);
        asks(&mut transaction, "COMMIT; BEGIN; EXECUTE outbox_claim(500)");
    }

    #[test]
    fn a_small_batch_is_one_claim() {
        let mut transaction = Transaction::new(100);
        asks(&mut transaction, "BEGIN; EXECUTE outbox_claim(100)");
        transaction.note(100, 10_000);
        assert_eq!(transaction.room(), 0);
    }

    #[test]
    fn large_rows_make_small_transactions() {
        let mut transaction = Transaction::new(10_000);
        asks(&mut transaction, "BEGIN; EXECUTE outbox_claim(250)");
        transaction.note(250, 250 << 20);
        assert_eq!((transaction.limit, transaction.room()), (8, 0));
        transaction.confirm(250);
        asks(&mut transaction, "COMMIT; BEGIN; EXECUTE outbox_claim(8)");
        // And nothing is learned from none
        transaction.note(0, 0);
        assert_eq!(transaction.limit, 8);
    }

    proptest! {
        /// Whatever is claimed and confirmed in whatever order: none commits what is not durable,
        /// none has more rows than its batch, and every row is settled once.
        #[test]
        fn nothing_commits_that_is_not_durable(
            batch in 1_u32..3_000,
            steps in proptest::collection::vec((0.0..1.3_f64, 0.0..1.2_f64, 1_usize..20_000), 1..60),
        ) {
            let mut transaction = Transaction::new(batch);
            let (mut taken, mut durable, mut settled) = (0_u64, 0_u64, 0_u64);
            for (found, confirmed, size) in steps {
                if let Some(sql) = transaction.next_claim() {
                    if sql.starts_with("COMMIT") {
                        prop_assert_eq!(durable, taken);
                    }
                    let rows = ((f64::from(transaction.asked) * found) as usize)
                        .min(transaction.asked as usize);
                    settled += transaction.note(rows, rows * size);
                    taken += rows as u64;
                    prop_assert!(transaction.claimed().unwrap() <= u64::from(batch));
                    prop_assert_eq!(settled + transaction.claimed().unwrap(), taken);
                }
                durable = durable.max(((taken as f64 * confirmed) as u64).min(taken));
                transaction.confirm(durable);
                prop_assert_eq!(transaction.is_durable(), durable == taken);
            }
        }
    }
}
