//! Looks at a lane while it runs: what is committed, what of it was seen, and what can no longer come. It reads
//! around all proxies, and it judges nothing: what a look says of a moment, the fence says for good.

use super::stage::{Audience, LaneCounts};
use crate::clock::RunClock;
use crate::fence::database;
use crate::identity::Identity;
use crate::observer::Sights;
use crate::workload::Progress;
use relays::config::PostgresTarget;
use relays::schema::Layout;
use sqlx::postgres::PgConnection;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

const EVERY: Duration = Duration::from_millis(300);
/// What was seen for so long is what a propagation is of: what was slow before tells nothing of now.
const RECENTLY: Duration = Duration::from_secs(5);
/// One look is bounded by this: a database that does not answer is asked again.
const WITHIN: Duration = Duration::from_secs(2);

/// This is a change, as events name it: attempt and version.
type CommittedPair = (u32, u32);

/// A looker takes the looks at one lane, and tells the audience what it counted.
pub struct Looker {
    /// This is the lane's number, from 0, which the audience is told with each look.
    pub lane: usize,
    /// This is told what each look counted.
    pub audience: Arc<dyn Audience>,
    /// By this a look reaches the database, directly and as an administrator.
    pub admin: PostgresTarget,
    /// Names in the database.
    pub layout: Layout,
    /// By this the ids in the database are known as those of this run.
    pub identity: Arc<Identity>,
    /// What was seen on the topic.
    pub sights: Sights,
    /// When what is sent was answered.
    pub progress: Arc<Progress>,
    /// This is the clock of the strategy's run, by which it is known what was seen recently.
    pub clock: RunClock,
    /// A change that was missing for so long has no event any more; `None`: it may come as long as anybody publishes.
    pub gives_up_after: Option<Duration>,
}

impl Looker {
    /// Looks until `stop` turns true (or its sender is gone), and once more then.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut connection = None;
        let mut missing = Missing::default();
        loop {
            let look = tokio::time::timeout(WITHIN, self.look(&mut connection, &mut missing));
            match look.await {
                Ok(Some(counts)) => self.audience.counts(self.lane, counts),
                // Half an answer is on that connection.
                Ok(None) | Err(_) => connection = None,
            }
            if *stop.borrow() {
                return;
            }
            let stopped = tokio::time::timeout(EVERY, stop.wait_for(|s| *s)).await;
            if matches!(stopped, Ok(Err(_))) {
                return;
            }
        }
    }

    async fn look(
        &self,
        connection: &mut Option<PgConnection>,
        missing: &mut Missing,
    ) -> Option<LaneCounts> {
        if connection.is_none() {
            *connection = database::connect(&self.admin, Instant::now()).await.ok();
        }
        // Asked for first: an event of a change that is committed in between is then no phantom.
        let events = self.sights.distinct_valid();
        let open = connection.as_mut()?;
        let rows = database::read_orders(open, &self.layout, &self.identity)
            .await
            .ok()?;
        let committed: Vec<CommittedPair> = rows.iter().map(|r| (r.attempt, r.version)).collect();
        let unseen = self.sights.unseen(&committed);
        let matched = (committed.len() - unseen.len()) as u64;
        Some(LaneCounts {
            committed: Some(committed.len() as u64),
            events: Some(events.max(matched)),
            missing: Some(unseen.len() as u64),
            lost: Some(missing.lost(&unseen, self.gives_up_after, Instant::now())),
            phantom: Some(events.saturating_sub(matched)),
            duplicated: Some(self.sights.repeated()),
            propagation_p99: self.propagation_p99(),
        })
    }

    fn propagation_p99(&self) -> Option<Duration> {
        let from_ns = self.clock.now_ns() - RECENTLY.as_nanos() as i64;
        let recent = self.sights.recent(from_ns);
        p99(self.progress.answers.as_ref()?.waits_ns(&recent))
    }
}

/// Of these times, which 99 of 100 are no longer than.
fn p99(mut waits_ns: Vec<i64>) -> Option<Duration> {
    waits_ns.sort_unstable();
    let rank = (waits_ns.len() * 99).div_ceil(100);
    let wait_ns = waits_ns.get(rank.checked_sub(1)?)?;
    Some(Duration::from_nanos(wait_ns.unsigned_abs()))
}

/// Since when each change that has no event has been seen to have none.
#[derive(Debug, Default)]
struct Missing(HashMap<CommittedPair, Instant>);

impl Missing {
    /// How many of those that are missing now were missing for so long.
    fn lost(&mut self, unseen: &[CommittedPair], after: Option<Duration>, now: Instant) -> u64 {
        let Some(after) = after else {
            return 0;
        };
        let before = std::mem::take(&mut self.0);
        let since = |change: &CommittedPair| before.get(change).copied().unwrap_or(now);
        self.0 = unseen.iter().map(|c| (*c, since(c))).collect();
        let gone = |since: &&Instant| now.duration_since(**since) >= after;
        self.0.values().filter(gone).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(2);

    #[test]
    fn given_waits_then_99_of_100_are_no_longer_than_their_p99() {
        let of = |n: i64| p99((1..=n).rev().collect()).map(|p99| p99.as_nanos());
        assert_eq!(
            (of(0), of(1), of(100), of(200)),
            (None, Some(1), Some(99), Some(198))
        );
    }

    #[test]
    fn given_a_change_without_an_event_when_its_publisher_must_have_given_up_then_it_is_lost() {
        let (mut missing, start) = (Missing::default(), Instant::now());
        assert_eq!(missing.lost(&[(1, 1), (2, 1)], Some(SOON), start), 0);
        // One came late, another is new.
        let later = start + SOON;
        assert_eq!(missing.lost(&[(2, 1), (3, 1)], Some(SOON), later), 1);
        assert_eq!(missing.lost(&[(3, 1)], Some(SOON), later + SOON), 1);
    }

    #[test]
    fn given_an_outbox_then_nothing_is_called_lost_while_it_may_still_come() {
        let (mut missing, start) = (Missing::default(), Instant::now());
        assert_eq!(missing.lost(&[(1, 1)], None, start), 0);
        assert_eq!(missing.lost(&[(1, 1)], None, start + SOON * 100), 0);
    }
}
