//! What a polling relay's open transaction has claimed, and what the next one claims.
//!
//! One claim a transaction, which commits once all of its events are durable. How many rows it has
//! is learned: as many as its bytes allow, and as many as become durable, or come from the database,
//! before long. A relay that ends in the middle repeats a transaction, and on a slow link it must
//! not take for ever to get to the end of one.

use crate::source::SessionLease;
use std::time::{Duration, Instant};

/// A transaction should not exceed so many bytes of payload by much.
const BYTES: usize = 8 << 20;
/// The first transaction of a session has so many rows at most, enough to learn how large they are.
const ROWS_FIRST: u32 = 32;
/// How many times as many its next one may have.
const GROWTH: u32 = 4;
/// A transaction that was open for longer had too many rows.
const OPEN_MAX: Duration = Duration::from_secs(10);

/// How an open transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Everything that it claimed is durable.
    Commit,
    /// Something that it claimed is not, or may not be.
    Rollback,
}

impl Ending {
    /// Returns the SQL statement that ends the transaction in this way.
    pub fn statement(self) -> &'static str {
        match self {
            Self::Commit => "COMMIT",
            Self::Rollback => "ROLLBACK",
        }
    }
}

/// This is what the open transaction has claimed and what the next one claims; see the module. Events are counted as
/// [`super::Source`] has it.
#[derive(Debug)]
pub(super) struct Transaction {
    /// No transaction has more rows than this.
    batch: u32,
    /// Most rows of any, as long as the link is as slow as it is.
    pace: u32,
    /// The next transaction has so many rows at most.
    limit: u32,
    /// One whose rows took longer to arrive had too many as well.
    spread_max: Duration,
    /// The rows of the open transaction took this long to arrive, from the first one's arrival on.
    spread: Duration,
    /// This is when the claim of the open transaction began.
    opened: Instant,
    /// So many events were taken before the open transaction, since the count began.
    before: u64,
    /// Rows that it has claimed; `None`: none is open.
    claimed: Option<u64>,
    /// Events that are durable, since the count began.
    durable: u64,
    /// The answer to its claim has not come: it may have rows that nobody has seen.
    is_in_doubt: bool,
    /// The last claim asked for so many rows; it is 0 before the first one.
    asked: u32,
}

impl Transaction {
    /// None is open, and none will have more rows than `batch`.
    pub fn new(batch: u32) -> Self {
        Self {
            batch,
            pace: batch,
            limit: batch.min(ROWS_FIRST),
            spread_max: OPEN_MAX,
            spread: Duration::ZERO,
            opened: Instant::now(),
            before: 0,
            claimed: None,
            durable: 0,
            is_in_doubt: false,
            asked: 0,
        }
    }

    /// Bounds, from now on, the arrival of rows by half of the lease of the session: while they arrive, the server
    /// hears nothing of the relay. How long it takes until they begin to arrive does not depend on how many they are.
    pub fn bound_by(&mut self, lease: SessionLease) {
        self.spread_max = OPEN_MAX.min(lease.term() / 2);
    }

    /// The rows of the last claim arrived over that time.
    pub fn came_over(&mut self, spread: Duration) {
        self.spread = spread;
    }

    /// The first `events` events are durable.
    pub fn confirm(&mut self, events: u64) {
        self.durable = events;
    }

    /// Whether everything that it claimed is durable.
    pub fn is_durable(&self) -> bool {
        self.durable >= self.before + self.claimed.unwrap_or(0)
    }

    /// Whether a claim was asked for whose answer has not come. What was claimed before that may be committed,
    /// and what it claimed itself nobody has seen.
    pub fn is_in_doubt(&self) -> bool {
        self.is_in_doubt
    }

    /// Returns how to end the open transaction; `None` if none is open.
    pub fn ending(&self) -> Option<Ending> {
        if self.is_in_doubt {
            return Some(Ending::Rollback);
        }
        self.claimed?;
        Some(match self.is_durable() {
            true => Ending::Commit,
            false => Ending::Rollback,
        })
    }

    /// Returns the statements of the next transaction's claim, in one message, after the commit of what is open. It
    /// returns `None` if that is not durable.
    pub fn next_claim(&mut self) -> Option<String> {
        let commits = self.claimed.is_some();
        if commits && !self.is_durable() {
            return None;
        }
        self.learn();
        self.opened = Instant::now();
        self.is_in_doubt = true;
        self.asked = self.limit;
        Some(claim_of(self.asked, commits))
    }

    /// Notes that the claim brought so many rows, with so many bytes of payload. Returns how many rows the commit in
    /// the same message settled; it is 0 if there was none.
    pub fn note(&mut self, rows: usize, bytes: usize) -> u64 {
        let settled = self.end();
        if let Some(mean_bytes) = bytes.checked_div(rows) {
            let affordable = (BYTES / mean_bytes.max(1)).max(1) as u32;
            let grown = self.limit.saturating_mul(GROWTH);
            self.limit = grown.min(self.pace).min(affordable);
        }
        self.claimed = Some(rows as u64);
        settled
    }

    /// What is open is durable, and about to be committed: how long that took says how many rows the next may have.
    pub fn learn(&mut self) {
        if self.claimed > Some(0) {
            self.learn_from(self.opened.elapsed());
        }
    }

    /// Everything of it became durable in that time.
    fn learn_from(&mut self, open: Duration) {
        let spread = std::mem::take(&mut self.spread);
        let share = |took: Duration, most: Duration| took.as_secs_f64() / most.as_secs_f64();
        // Above 1, it was too much
        let most = share(open, OPEN_MAX).max(share(spread, self.spread_max));
        if most > 1.0 {
            let in_time = self.claimed.unwrap_or(0) as f64 / most;
            self.pace = (in_time as u32).clamp(1, self.pace);
            self.limit = self.limit.min(self.pace);
        } else if open < OPEN_MAX / 2 && spread * GROWTH < self.spread_max {
            self.pace = self.pace.saturating_mul(GROWTH).min(self.batch);
        }
    }

    /// Another one, after a claim whose answer did not come: the session is new, and asks for less.
    pub fn after_failure(&self) -> Self {
        let asked = match self.asked {
            0 => ROWS_FIRST,
            asked => asked / GROWTH,
        };
        let rows = self.batch.min(ROWS_FIRST).min(asked).max(1);
        Self {
            pace: rows,
            limit: rows,
            ..Self::new(self.batch)
        }
    }

    /// It was committed or rolled back. How many rows it had.
    pub fn end(&mut self) -> u64 {
        self.is_in_doubt = false;
        let claimed = self.claimed.take().unwrap_or(0);
        self.before += claimed;
        claimed
    }

    /// The count begins anew; none is open.
    pub fn restart(&mut self) {
        (self.before, self.claimed, self.durable) = (0, None, 0);
        self.is_in_doubt = false;
    }
}

/// Returns the SQL that claims so many rows with the prepared statement, in a transaction that begins with it, after
/// the commit of another one if `commits`.
pub(super) fn claim_of(rows: u32, commits: bool) -> String {
    let commit = if commits { "COMMIT; " } else { "" };
    format!("{commit}BEGIN; EXECUTE outbox_claim({rows})")
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
    fn given_an_open_transaction_when_all_of_it_is_durable_then_the_next_claim_commits_it() {
        let mut transaction = with_limit(2_000);
        asks(&mut transaction, "BEGIN; EXECUTE outbox_claim(2000)");
        assert_eq!(transaction.note(2_000, 200_000), 0);
        transaction.confirm(1_999);
        assert_eq!(transaction.next_claim(), None);
        transaction.confirm(2_000);
        asks(
            &mut transaction,
            "COMMIT; BEGIN; EXECUTE outbox_claim(2000)",
        );
        assert_eq!(transaction.note(500, 50_000), 2_000);
    }

    /// One whose rows became durable in that time.
    fn commit_after(transaction: &mut Transaction, open: Duration) -> String {
        transaction.opened = Instant::now().checked_sub(open).unwrap();
        transaction.confirm(transaction.before + transaction.claimed.unwrap());
        transaction.next_claim().unwrap()
    }

    #[test]
    fn given_a_transaction_that_was_open_for_long_when_it_is_committed_alone_then_the_next_has_fewer_rows()
     {
        let mut transaction = with_limit(200);
        asks(&mut transaction, "BEGIN; EXECUTE outbox_claim(200)");
        transaction.note(200, 200 * 30_000);
        transaction.opened = Instant::now().checked_sub(10 * OPEN_MAX).unwrap();
        transaction.confirm(200);
        transaction.learn();
        assert_eq!(transaction.end(), 200);
        asks(&mut transaction, "BEGIN; EXECUTE outbox_claim(19)");
    }

    #[test]
    fn given_a_slow_link_when_a_transaction_was_open_for_long_then_the_next_has_fewer_rows() {
        let mut transaction = with_limit(200);
        asks(&mut transaction, "BEGIN; EXECUTE outbox_claim(200)");
        transaction.note(200, 200 * 30_000);
        // Ten times as long as it should: a tenth of the rows
        let claim = commit_after(&mut transaction, 10 * OPEN_MAX);
        assert_eq!(claim, "COMMIT; BEGIN; EXECUTE outbox_claim(19)");
        transaction.note(19, 19 * 30_000);
        let claim = commit_after(&mut transaction, OPEN_MAX * 3 / 4);
        assert_eq!(claim, "COMMIT; BEGIN; EXECUTE outbox_claim(19)");
        // Down to one, and up again on a fast link
        for _ in 0..3 {
            transaction.note(transaction.asked as usize, 600_000);
            commit_after(&mut transaction, 20 * OPEN_MAX);
        }
        assert_eq!(transaction.asked, 1);
        for _ in 0..8 {
            transaction.note(transaction.asked as usize, 100);
            commit_after(&mut transaction, Duration::ZERO);
        }
        assert_eq!(transaction.limit, 200);
    }

    #[test]
    fn given_a_short_lease_when_rows_arrive_over_more_than_half_of_it_then_the_next_asks_for_fewer()
    {
        let mut transaction = with_limit(200);
        transaction.bound_by(SessionLease::OF_SEVERAL);
        let half = SessionLease::OF_SEVERAL.term() / 2;
        asks(&mut transaction, "BEGIN; EXECUTE outbox_claim(200)");
        transaction.came_over(10 * half);
        transaction.note(200, 200 * 30_000);
        let claim = commit_after(&mut transaction, 10 * half);
        assert_eq!(claim, "COMMIT; BEGIN; EXECUTE outbox_claim(20)");
        // Four times as many would not fit
        transaction.came_over(half / 3);
        transaction.note(20, 20 * 30_000);
        let claim = commit_after(&mut transaction, half / 3);
        assert_eq!(claim, "COMMIT; BEGIN; EXECUTE outbox_claim(20)");
        // And what takes long whatever they are, a slow broker or a slow server, is no reason
        transaction.came_over(Duration::ZERO);
        transaction.note(20, 20 * 30_000);
        commit_after(&mut transaction, 2 * half);
        transaction.note(20, 20 * 30_000);
        assert_eq!(transaction.limit, 80);
    }

    #[test]
    fn given_a_claim_without_an_answer_when_its_transaction_ends_then_what_nobody_has_seen_is_not_committed()
     {
        // Given a transaction whose events are all durable, and a claim that commits it
        let mut transaction = Transaction::new(500);
        assert_eq!(transaction.ending(), None);
        transaction.next_claim().unwrap();
        transaction.note(3, 300);
        assert_eq!(transaction.ending(), Some(Ending::Rollback));
        transaction.confirm(3);
        assert_eq!(transaction.ending(), Some(Ending::Commit));
        // When its answer does not come
        asks(&mut transaction, "COMMIT; BEGIN; EXECUTE outbox_claim(128)");
        // Then what the server has open now is another one
        assert!(transaction.is_in_doubt());
        assert_eq!(transaction.ending(), Some(Ending::Rollback));
        transaction.note(2, 200);
        transaction.confirm(5);
        assert_eq!(transaction.ending(), Some(Ending::Commit));
    }

    #[test]
    fn given_a_session_that_fails_before_its_first_claim_then_the_next_one_asks_for_what_a_first_claim_does()
     {
        let mut transaction = Transaction::new(500).after_failure();
        asks(&mut transaction, "BEGIN; EXECUTE outbox_claim(32)");
    }

    #[test]
    fn given_a_slow_link_when_a_claims_answer_does_not_come_then_the_next_session_asks_for_less() {
        let mut transaction = Transaction::new(500);
        for rows in [8, 2, 1, 1] {
            transaction.next_claim().unwrap();
            transaction = transaction.after_failure();
            asks(
                &mut transaction,
                &format!("BEGIN; EXECUTE outbox_claim({rows})"),
            );
            transaction.restart();
        }
    }

    #[test]
    fn large_rows_make_small_transactions() {
        let mut transaction = Transaction::new(10_000);
        asks(&mut transaction, "BEGIN; EXECUTE outbox_claim(32)");
        transaction.note(32, 32 << 20);
        assert_eq!(transaction.limit, 8);
        transaction.confirm(32);
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
                    prop_assert!(transaction.claimed.unwrap() <= u64::from(batch));
                    prop_assert_eq!(settled + transaction.claimed.unwrap(), taken);
                }
                durable = durable.max(((taken as f64 * confirmed) as u64).min(taken));
                transaction.confirm(durable);
                prop_assert_eq!(transaction.is_durable(), durable == taken);
            }
        }
    }
}
