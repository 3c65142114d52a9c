//! Looks at a lane while it runs: what is committed, what of it was seen, and what can no longer come. It reads
//! around all proxies, and it judges nothing: what a look says of a moment, the fence says for good.

use super::lane_counts::LaneCounts;
use super::look_pace::{LookPace, Looks};
use super::{Event, Reporter};
use crate::clock::RunClock;
use crate::database::TruthLook;
use crate::identity::Identity;
use crate::observer::Sights;
use crate::workload::Progress;
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

/// A looker takes the looks at one lane, and tells what it counted.
pub struct Looker {
    /// This is told what each look counted.
    pub reporter: Reporter,
    /// So often it is looked up what is committed.
    pub pace: LookPace,
    /// By this what is committed is read, around all proxies.
    pub truth: Box<dyn TruthLook>,
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
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let pace = self.pace;
        let mut missing = Missing::default();
        let mut looks = Looks::new(pace, Instant::now());
        let mut last = None;
        while !*stop.borrow() {
            let began = Instant::now();
            let counts = if looks.is_due(began) {
                let look = self.look(&mut missing);
                let look = tokio::time::timeout(WITHIN, look).await.ok().flatten();
                match look {
                    Some(looked) => {
                        let counts = looked.counts;
                        last = Some(looked);
                        looks.took(began.elapsed(), Instant::now());
                        Some(counts)
                    }
                    None => {
                        looks.failed(Instant::now());
                        last = None;
                        pace.is_carried_on().then(|| self.glance(None))
                    }
                }
            } else {
                Some(self.glance(last.as_ref()))
            };
            if let Some(counts) = counts {
                self.reporter.event(Event::Counted { counts });
            }
            let stopped = tokio::time::timeout(pace.every(), stop.wait_for(|s| *s)).await;
            if matches!(stopped, Ok(Err(_))) {
                return;
            }
        }
    }

    async fn look(&mut self, missing: &mut Missing) -> Option<Looked> {
        // Asked for first: an event of a change that is committed in between is then no phantom.
        let events = self.sights.distinct_valid();
        // And so is this: what is answered while it looks is counted twice for a moment, and not left out.
        let answered = self.answered();
        let rows = self.truth.read(&self.identity).await?;
        let committed: Vec<CommittedPair> = rows.iter().map(|r| (r.attempt, r.version)).collect();
        let mut unseen = Vec::new();
        for some in committed.chunks(AT_ONCE) {
            unseen.extend(self.sights.unseen(some));
            tokio::task::yield_now().await;
        }
        let matched = (committed.len() - unseen.len()) as u64;
        let lost = missing.lost(&unseen, self.gives_up_after, Instant::now());
        let counts = LaneCounts {
            committed: Some(committed.len() as u64),
            events: Some(events.max(matched)),
            missing: Some(unseen.len() as u64),
            lost: Some(lost.len() as u64),
            phantom: Some(events.saturating_sub(matched)),
            duplicated: Some(self.sights.repeated()),
            propagation_p99: self.propagation_p99(),
        };
        Some(Looked {
            counts,
            answered,
            unseen,
            lost,
        })
    }

    fn answered(&self) -> u64 {
        self.progress.acknowledged.load(Ordering::Relaxed)
    }

    /// What the last look counted, carried on by what the run counts anyway. Where it came to nothing, or nobody has
    /// looked yet, it is not known what is committed, and so not what is missing.
    fn glance(&self, last: Option<&Looked>) -> LaneCounts {
        let events = self.sights.distinct_valid();
        let counts = match last {
            Some(last) => {
                let unseen = |pairs: &[CommittedPair]| self.sights.unseen(pairs).len() as u64;
                let still = (unseen(&last.unseen), unseen(&last.lost));
                last.carried_on(self.answered(), events, still)
            }
            None => LaneCounts {
                events: Some(events),
                ..LaneCounts::default()
            },
        };
        LaneCounts {
            duplicated: Some(self.sights.repeated()),
            propagation_p99: self.propagation_p99(),
            ..counts
        }
    }

    fn propagation_p99(&self) -> Option<Duration> {
        let from_ns = self.clock.now_ns() - RECENTLY.as_nanos() as i64;
        let recent = self.sights.recent(from_ns);
        p99(self.progress.answers.as_ref()?.waits_ns(&recent))
    }
}

/// What a look found.
#[derive(Debug, Clone)]
struct Looked {
    counts: LaneCounts,
    /// So many changes had been answered as committed before it.
    answered: u64,
    /// These were committed and not seen.
    unseen: Vec<CommittedPair>,
    /// Those of them whose event was given up.
    lost: Vec<CommittedPair>,
}

impl Looked {
    /// The counts once so many changes were answered and so many events seen, and of what was missing and of what was
    /// lost so many are `still` unseen: what is lost is found again by its own event alone. What was answered since was
    /// committed since, but for the few that were under way at the look.
    fn carried_on(&self, answered: u64, events: u64, still: (u64, u64)) -> LaneCounts {
        let (still_missing, still_lost) = still;
        let since = answered.saturating_sub(self.answered);
        let committed = self.counts.committed.map(|n| n + since);
        let phantom = self.counts.phantom.unwrap_or(0);
        let missing = committed.map(|n| (n + phantom).saturating_sub(events));
        LaneCounts {
            committed,
            events: Some(events),
            missing: missing.map(|n| n.max(still_missing)),
            lost: Some(still_lost),
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
    /// Those that are missing now and were missing for so long.
    fn lost(
        &mut self,
        unseen: &[CommittedPair],
        after: Option<Duration>,
        now: Instant,
    ) -> Vec<CommittedPair> {
        let Some(after) = after else {
            return Vec::new();
        };
        let before = std::mem::take(&mut self.0);
        let since = |change: &CommittedPair| before.get(change).copied().unwrap_or(now);
        self.0 = unseen.iter().map(|c| (*c, since(c))).collect();
        let all = self.0.iter();
        let gone = all.filter(|(_, since)| now.duration_since(**since) >= after);
        gone.map(|(change, _)| *change).collect()
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
            unseen: Vec::new(),
            lost: Vec::new(),
        };
        let of = |answered, events, still| {
            let counts = looked.carried_on(answered, events, still);
            [
                counts.committed,
                counts.events,
                counts.missing,
                counts.lost,
                counts.phantom,
            ]
            .map(Option::unwrap)
        };
        assert_eq!(of(60, 70, (31, 20)), [100, 70, 31, 20, 1]);
        assert_eq!(of(65, 70, (31, 20)), [105, 70, 36, 20, 1]);
        // Events of changes that nobody was told of undo no loss: only its own event does.
        assert_eq!(of(65, 200, (31, 20)), [105, 200, 31, 20, 1]);
        assert_eq!(of(65, 96, (5, 2)), [105, 96, 10, 2, 1]);
    }

    #[test]
    fn given_a_change_without_an_event_when_its_publisher_must_have_given_up_then_it_is_lost() {
        let (mut missing, start) = (Missing::default(), Instant::now());
        assert_eq!(missing.lost(&[(1, 1), (2, 1)], Some(SOON), start), []);
        // One came late, another is new.
        let later = start + SOON;
        assert_eq!(missing.lost(&[(2, 1), (3, 1)], Some(SOON), later), [(2, 1)]);
        assert_eq!(missing.lost(&[(3, 1)], Some(SOON), later + SOON), [(3, 1)]);
    }

    #[test]
    fn given_an_outbox_then_nothing_is_called_lost_while_it_may_still_come() {
        let (mut missing, start) = (Missing::default(), Instant::now());
        assert_eq!(missing.lost(&[(1, 1)], None, start), []);
        assert_eq!(missing.lost(&[(1, 1)], None, start + SOON * 100), []);
    }
}
