//! What the fence let the referee read, and what of it each metric needs. A step that failed, or was
//! not taken, left something unread; what is said of that would be a guess, and a guess must not
//! blame the system: it is unknown, never 0 and never an offence. Only what is proved by what was
//! read stands, whatever else was not: an event of nobody is one, however much of the topic is left.

use crate::history::{FenceStep, History};
use crate::scenario::{CostKind, LatencyKind, Metric};
use crate::view;

/// This is a set of steps of the fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps(u8);

impl Steps {
    /// This is the empty set: what needs no step can always be told.
    pub const NONE: Self = Self(0);
    /// This set has all eight steps of the fence.
    pub const ALL: Self = Self(u8::MAX);
    /// After step 1, every request has its outcome.
    pub const OUTCOMES: Self = Self::of(FenceStep::Outcomes);
    /// After step 2, everything is healed.
    pub const HEALED: Self = Self::of(FenceStep::Heal);
    /// After step 3, the order service is stopped.
    pub const SERVICE: Self = Self::of(FenceStep::StopService);
    /// After step 4, the database is closed and read.
    pub const TRUTH: Self = Self::of(FenceStep::ReadTruth);
    /// After step 5, every event has come, or the bound has passed.
    pub const WAIT: Self = Self::of(FenceStep::Wait);
    /// After step 6, the relay is stopped, and what its source holds is read.
    pub const SOURCE: Self = Self::of(FenceStep::ReadSource);
    /// After step 7, the topic is closed.
    pub const CLOSED: Self = Self::of(FenceStep::CloseTopic);
    /// After step 8, the whole topic is read.
    pub const TOPIC: Self = Self::of(FenceStep::ReadTopic);
    /// What the database holds, and by whom it was asked for.
    pub const DATABASE: Self = Self::OUTCOMES.and(Self::TRUTH);
    /// Whether each attempt is in the database and on the topic.
    pub const BOTH_SIDES: Self = Self::DATABASE.and(Self::CLOSED).and(Self::TOPIC);
    /// When each event came, with everything healed and as much time as the scenario gives.
    pub const ARRIVALS: Self = Self::BOTH_SIDES
        .and(Self::HEALED)
        .and(Self::SERVICE)
        .and(Self::WAIT);

    const fn of(step: FenceStep) -> Self {
        Self(1 << (step.number() - 1))
    }

    /// Returns the steps that are in either of the two sets.
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    fn has(self, step: FenceStep) -> bool {
        self.0 & Self::of(step).0 != 0
    }
}

/// What a metric needs.
#[derive(Debug, Clone, Copy)]
struct Needs {
    /// These steps must have held for the metric to be known wholly.
    whole: Steps,
    /// For what was found to stand, though more may have been found. Never less than what could make
    /// it vanish: more of the topic, or of the database.
    found: Steps,
}

fn needs(metric: Metric) -> Needs {
    let all_of = |whole| Needs {
        whole,
        found: whole,
    };
    let on_the_topic = |found| Needs {
        whole: Steps::ALL,
        found,
    };
    match metric {
        // An absence, or which event came first: any event that was not read can undo it.
        Metric::Lost
        | Metric::Undrained
        | Metric::Undecided
        | Metric::Reordered
        | Metric::Overtaken
        // And whether there is an event for an effect, or an effect for an event.
        | Metric::Unapplied
        | Metric::AppliedTwice
        | Metric::AppliedUnseen
        | Metric::AppliedOutOfOrder => all_of(Steps::ALL),
        // The record shows it by itself, beside the attempt that it names.
        Metric::Foreign | Metric::Corrupted => on_the_topic(Steps::OUTCOMES),
        // And what the database holds.
        Metric::Phantom | Metric::Duplicated | Metric::Split => on_the_topic(Steps::DATABASE),
        Metric::Missing
        | Metric::DoubleApplied
        | Metric::FalseRejection
        | Metric::Unacknowledged => all_of(Steps::DATABASE),
        Metric::Late
        | Metric::Drain
        | Metric::Recovery
        | Metric::Cost(CostKind::TimeToNormal)
        | Metric::Latency(LatencyKind::Propagation | LatencyKind::EndToEnd, _) => {
            all_of(Steps::ARRIVALS)
        }
        // Until everything has been delivered, and nobody asks any more, the cache may still become what it is to be.
        Metric::Stale => all_of(Steps::ARRIVALS.and(Steps::SOURCE)),
        Metric::StaleReads | Metric::LongestStaleness => all_of(Steps::DATABASE),
        Metric::Latency(LatencyKind::Order, _) => all_of(Steps::OUTCOMES),
        // Samples are taken to the end, whatever the fence came to; the others are shared out among commits.
        Metric::Cost(kind) if kind.info().is_peak => all_of(Steps::NONE),
        Metric::Cost(_) => all_of(Steps::DATABASE),
    }
}

/// How much of what a metric needs was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<'a> {
    /// Everything that the metric needs was read.
    Whole,
    /// What was found stands, and there may be more, for this reason.
    AtLeast(&'a str),
    /// Too little was read to say anything, for this reason.
    Nothing(&'a str),
}

impl<'a> Known<'a> {
    /// Why it is not known, or not wholly.
    pub fn reason(self) -> Option<&'a str> {
        match self {
            Self::Whole => None,
            Self::AtLeast(reason) | Self::Nothing(reason) => Some(reason),
        }
    }
}

/// A reading tells what the fence let us read of one run.
#[derive(Debug)]
pub struct Reading {
    /// Steps, in order, and why what each was for was not read.
    unread: Vec<(FenceStep, String)>,
    /// This says why the cache was not read whole, where there is one.
    cache: Option<UnreadCache>,
}

/// Why a cache was not read whole.
#[derive(Debug)]
struct UnreadCache {
    reason: String,
    /// Whether some of it was read: what was found there stands.
    has_some: bool,
    /// Whether readers may have been answered what is the server's own doing.
    has_overflowed: bool,
}

impl UnreadCache {
    fn of(history: &History) -> Option<Self> {
        view::strategy(history)?.cache?;
        let reason = match &history.meta.cache {
            None => "the cache was not read after the fence".to_owned(),
            Some(end) => format!(
                "the cache was not read whole after the fence: {}",
                end.unread.as_ref()?
            ),
        };
        Some(Self {
            reason,
            has_some: !history.cached.is_empty(),
            has_overflowed: history
                .meta
                .cache
                .as_ref()
                .is_some_and(|end| end.has_overflowed),
        })
    }
}

impl Reading {
    /// From what the history says of the steps, and of how far the topic was read.
    pub fn of(history: &History) -> Self {
        let mut unread: Vec<(FenceStep, String)> = Vec::new();
        for step in FenceStep::ALL {
            let number = step.number();
            let mut taken = false;
            for record in history.fences.iter().filter(|s| s.is(step)) {
                taken = true;
                if !record.ok {
                    let reason = format!(
                        "step {number} of the fence ({}) failed: {}",
                        record.name, record.detail
                    );
                    unread.push((step, reason));
                }
            }
            if !taken {
                let reason = format!("step {number} of the fence was not taken");
                unread.push((step, reason));
            }
        }
        let topic = FenceStep::ReadTopic;
        if !unread.iter().any(|(step, _)| *step == topic) {
            let left = left_on_the_topic(history).into_iter();
            unread.extend(left.map(|reason| (topic, reason)));
        }
        Self {
            unread,
            cache: UnreadCache::of(history),
        }
    }

    /// Every reason why something was not read.
    pub fn reasons(&self) -> impl Iterator<Item = &str> {
        let of_cache = self.cache.iter().map(|cache| cache.reason.as_str());
        let steps = self.unread.iter().map(|(_, reason)| reason.as_str());
        steps.chain(of_cache)
    }

    /// Why something that needs these steps is not known; `None` if all of them held.
    pub fn lacks(&self, steps: Steps) -> Option<&str> {
        let mut lacking = self.unread.iter().filter(|(step, _)| steps.has(*step));
        lacking.next().map(|(_, reason)| reason.as_str())
    }

    /// A figure that needs these steps, or nothing.
    pub fn known<T>(&self, steps: Steps, figure: T) -> Option<T> {
        self.lacks(steps).is_none().then_some(figure)
    }

    /// How much of what a metric needs was read.
    pub fn of_metric(&self, metric: Metric) -> Known<'_> {
        let needs = needs(metric);
        let is_of_reads = matches!(metric, Metric::StaleReads | Metric::LongestStaleness);
        let cache = self.cache.as_ref();
        let cache =
            cache.filter(|cache| metric == Metric::Stale || (is_of_reads && cache.has_overflowed));
        if let (Some(cache), None) = (cache, self.lacks(needs.found)) {
            return match cache.has_some && !cache.has_overflowed {
                true => Known::AtLeast(&cache.reason),
                false => Known::Nothing(&cache.reason),
            };
        }
        match (self.lacks(needs.whole), self.lacks(needs.found)) {
            (None, _) => Known::Whole,
            (Some(reason), None) => Known::AtLeast(reason),
            (Some(_), Some(reason)) => Known::Nothing(reason),
        }
    }
}

/// What of the topic the final read did not come to: partitions, their ends, open transactions.
fn left_on_the_topic(history: &History) -> Vec<String> {
    let partitions = &history.partitions;
    let topics = history.meta.topics();
    let absent = (0..topics.partitions())
        .filter(|wanted| !partitions.iter().any(|p| p.partition == *wanted))
        .map(|missing| format!("{} was not read again", topics.words(missing)));
    let unread = partitions
        .iter()
        .filter(|p| p.read_offset < p.end_offset)
        .map(|p| {
            format!(
                "{} was read up to offset {}, and it ends at {}",
                topics.words(p.partition),
                p.read_offset,
                p.end_offset
            )
        });
    let unstable = partitions
        .iter()
        .filter(|p| p.stable_offset != p.end_offset)
        .map(|p| {
            format!(
                "{} is stable up to offset {} and ends at {}: a Kafka transaction was still open",
                topics.words(p.partition),
                p.stable_offset,
                p.end_offset
            )
        });
    absent.chain(unread).chain(unstable).collect()
}
