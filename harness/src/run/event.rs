//! What happens during a run, as whoever watches it is told: plain values, each with its time. They can be kept, sent on
//! and written down; the two sides share nothing else.

use super::lane_counts::LaneCounts;
use crate::history::FenceStep;
use crate::nemesis::Turn;
use crate::workload::Progress;
use reports::record;
use serde::{Serialize, Serializer};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// An event has happened.
#[derive(Debug, Clone, Serialize)]
pub struct Happening {
    /// It happened then.
    #[serde(serialize_with = "as_text")]
    pub at: jiff::Timestamp,
    /// It happened in the lane of this number, in which one strategy runs; `None` where it is of the whole run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<usize>,
    /// This is what happened.
    #[serde(flatten)]
    pub event: Event,
}

/// An event is what happens during a run.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A scenario begins; the run's folder has been made.
    ScenarioStarted {
        /// This is the scenario's name, as its file gives it.
        scenario: String,
        /// This is the run's own folder, in which its logs, histories and reports are.
        folder: PathBuf,
    },
    /// The stack is being started.
    StackStarting {
        /// This is `local` for a stack that is started, `external` or `kept` for one that is found.
        provider: String,
    },
    /// The stack's three servers, PostgreSQL, Kafka and Toxiproxy, answer.
    StackUp {
        /// This gives the servers' versions and addresses, in one line.
        what: String,
        /// The servers took so long to answer.
        #[serde(rename = "took_s", serialize_with = "as_seconds")]
        took: Duration,
    },
    /// A strategy begins; next it is deployed on the stack.
    StrategyStarted {
        /// This is the strategy's name, as the scenario gives it.
        strategy: String,
        /// This is the name of the strategy's kind, e.g. `dual-write`.
        kind: String,
    },
    /// The load of a strategy begins.
    LoadStarted {
        /// The first change is due in so much time.
        #[serde(rename = "begins_in_s", serialize_with = "as_seconds")]
        begins_in: Duration,
        /// How long it will last.
        #[serde(rename = "duration_s", serialize_with = "as_seconds")]
        duration: Duration,
        /// Changes it will offer.
        planned: u64,
    },
    /// So much of the load has been offered by now. It comes again and again while a load goes on, and once when it is over.
    Offered {
        /// This is what became of it so far.
        offered: OfferedCounts,
    },
    /// A fault was injected or healed.
    Fault {
        /// This says it in words, e.g. `down kafka injected`.
        what: String,
        /// Which of the scenario's faults, and what became of it, where that is what happened.
        turn: Option<(u32, Turn)>,
    },
    /// What is counted in a lane by now. It comes again and again, where somebody watches.
    Counted {
        /// These are the counts.
        counts: LaneCounts,
    },
    /// The load is over; the fence and the drain follow.
    LoadEnded,
    /// A step of the fence begins.
    Fence {
        /// This is the step that begins.
        step: FenceStep,
    },
    /// A strategy is judged.
    StrategyJudged {
        /// This is the strategy's name, as the scenario gives it.
        strategy: String,
        /// This is the strategy's verdict: `pass`, `fail` or `unknown`.
        verdict: String,
        /// This is what was counted, now that all is read.
        counts: LaneCounts,
        /// What became of each expectation.
        expectations: Vec<record::Expectation>,
    },
    /// There is something the user should know, e.g. leftovers cleaned up, how to reach a kept stack.
    Note {
        /// This is what the user is told.
        text: String,
    },
}

/// How much of a load has been offered, and what became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OfferedCounts {
    /// So many requests were sent.
    pub sent: u64,
    /// So many were answered as committed.
    pub acknowledged: u64,
    /// So many were answered with an explicit no.
    pub rejected: u64,
    /// Of so many nobody knows what became of them.
    pub unknown: u64,
}

impl OfferedCounts {
    /// Returns the counts as they are at this moment.
    pub fn of(progress: &Progress) -> Self {
        Self {
            sent: progress.sent.load(Relaxed),
            acknowledged: progress.acknowledged.load(Relaxed),
            rejected: progress.rejected.load(Relaxed),
            unknown: progress.unknown.load(Relaxed),
        }
    }
}

impl Event {
    /// Whether it comes again and again, each telling what is so by then: who missed one has missed nothing.
    pub fn is_repeated(&self) -> bool {
        match self {
            Self::Offered { .. } | Self::Counted { .. } => true,
            Self::ScenarioStarted { .. }
            | Self::StackStarting { .. }
            | Self::StackUp { .. }
            | Self::StrategyStarted { .. }
            | Self::LoadStarted { .. }
            | Self::Fault { .. }
            | Self::LoadEnded
            | Self::Fence { .. }
            | Self::StrategyJudged { .. }
            | Self::Note { .. } => false,
        }
    }
}

fn as_text<S: Serializer>(at: &jiff::Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

fn as_seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}
