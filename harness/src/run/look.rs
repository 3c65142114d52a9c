//! Looks at a lane while it runs: what is committed, what of it was seen, and what can no longer come. It reads
//! around all proxies, and it judges nothing: what a look says of a moment, the fence says for good.

use super::audience::{LaneCounts, Watching};
use super::look_pace::Looks;
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
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What was seen for so long is what a propagation is of: what was slow before tells nothing of now.
const RECENTLY: Duration = Duration::from_secs(5);
/// One look is bounded by this: a database that does not answer is asked again.
const WITHIN: Duration = Duration::from_secs(2);
/// So many changes are compared in one go: nobody else waits long for the observer or for a thread.
const AT_ONCE: usize = 8_192;

/// This is a change, as events name it: attempt and version.
type CommittedPair = (u32, u32);

/// A looker takes the looks at one lane, and tells the audience what it counted.
pub struct Looker {
    /// The lane has this audience, which is told what each look counted.
    pub watching: Watching,
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
    /// Looks until `stop` turns true (or its sender is gone).
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let pace = self.watching.pace;
        let mut connection = None;
        let mut missing = Missing::default();
        let mut looks = Looks::new(pace, Instant::now());
        let mut last = Looked::nothing();
        while !*stop.borrow() {
            let began = Instant::now();
            let counts = if looks.is_due(began) {
                let look = self.look(&mut connection, &mut missing);
                let look = tokio::time::timeout(WITHIN, look).await.ok().flatten();
                match look {
                    Some(counts) => {
                        last = self.looked(counts);
                        looks.took(began.elapsed(), Instant::now());
                    }
                    None => {
                        // Half an answer is on that connection.
                        connection = None;
                        looks.failed(Instant::now());
                    }
                }
                look
            } else {
                Some(self.glance(&last))
            };
            if let Some(counts) = counts {
                self.watching.audience.counts(self.watching.lane, counts);
            }
            let stopped = tokio::time::timeout(pace.every(), stop.wait_for(|s| *s)).await;
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
        let mut unseen = Vec::new();
        for some in committed.chunks(AT_ONCE) {
            unseen.extend(self.sights.unseen(some));
            tokio::task::yield_now().await;
        }
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

    fn looked(&self, counts: LaneCounts) -> Looked {
        Looked {
            counts,
            answered: self.progress.acknowledged.load(Ordering::Relaxed),
        }
    }

    /// What the last look counted, carried on by what the run counts anyway.
    fn glance(&self, last: &Looked) -> LaneCounts {
        let answered = self.progress.acknowledged.load(Ordering::Relaxed);
        LaneCounts {
            duplicated: Some(self.sights.repeated()),
            propagation_p99: self.propagation_p99(),
            ..last.carried_on(answered, self.sights.distinct_valid())
        }
    }

    fn propagation_p99(&self) -> Option<Duration> {
        let from_ns = self.clock.now_ns() - RECENTLY.as_nanos() as i64;
        let recent = self.sights.recent(from_ns);
        p99(self.progress.answers.as_ref()?.waits_ns(&recent))
    }
}

/// What a look counted, and how many changes had been answered as committed by then.
#[derive(Debug, Clone, Copy)]
struct Looked {
    counts: LaneCounts,
    answered: u64,
}

impl Looked {
    /// Nobody has looked yet, and nothing was there.
    fn nothing() -> Self {
        Self {
            counts: LaneCounts::ZERO,
            answered: 0,
        }
    }

    /// The counts once so many changes were answered and so many events seen. What was answered since was committed
    /// since, but for the few that were under way at the look.
    fn carried_on(&self, answered: u64, events: u64) -> LaneCounts {
        let since = answered.saturating_sub(self.answered);
        let committed = self.counts.committed.map(|n| n + since);
        let phantom = self.counts.phantom.unwrap_or(0);
        let missing = committed.map(|n| (n + phantom).saturating_sub(events));
        let lost = self.counts.lost.zip(missing);
        LaneCounts {
            committed,
            events: Some(events),
            missing,
            lost: lost.map(|(lost, missing)| lost.min(missing)),
            ..self.counts
        }
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
#[allow(clippy::unwrap_used)]
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
    fn given_a_look_when_answers_and_events_come_then_it_is_carried_on_by_them() {
        let looked = Looked {
            counts: LaneCounts {
                committed: Some(100),
                events: Some(70),
                missing: Some(31),
                lost: Some(20),
                phantom: Some(1),
                ..LaneCounts::ZERO
            },
            answered: 60,
        };
        let of = |answered, events| {
            let counts = looked.carried_on(answered, events);
            [
                counts.committed,
                counts.events,
                counts.missing,
                counts.lost,
                counts.phantom,
            ]
            .map(Option::unwrap)
        };
        assert_eq!(of(60, 70), [100, 70, 31, 20, 1]);
        assert_eq!(of(65, 70), [105, 70, 36, 20, 1]);
        // What has come after all was not lost, and no count goes below none.
        assert_eq!(of(65, 96), [105, 96, 10, 10, 1]);
        assert_eq!(of(65, 200), [105, 200, 0, 0, 1]);
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
