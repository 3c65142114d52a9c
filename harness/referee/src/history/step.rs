//! The steps of the fence, as a history names them.

use serde::Serialize;

/// A step between the end of the load and the verdict, in the order in which they are taken. (Where the
/// order service publishes what is in its outbox by itself, the wait comes before its stop.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum FenceStep {
    /// Every request has its outcome.
    Outcomes = 1,
    /// Every fault is healed.
    Heal,
    /// The order service is stopped.
    StopService,
    /// The database is closed to it, and read.
    ReadTruth,
    /// Every committed change has its event, or the bound is over.
    Wait,
    /// The relay is stopped, and what its source still holds is read.
    ReadSource,
    /// The topic is closed.
    CloseTopic,
    /// The topic is read again, whole.
    ReadTopic,
}

impl FenceStep {
    /// These are all steps of the fence, in order.
    pub const ALL: [Self; 8] = [
        Self::Outcomes,
        Self::Heal,
        Self::StopService,
        Self::ReadTruth,
        Self::Wait,
        Self::ReadSource,
        Self::CloseTopic,
        Self::ReadTopic,
    ];

    /// Returns its place among the steps, from 1 to 8.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// What is done in it, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outcomes => "stop the generator: every request has its outcome",
            Self::Heal => "heal: proxies enabled and without toxics, no process stopped",
            Self::StopService => "stop the order service",
            Self::ReadTruth => "close the database to the order service and read the truth",
            Self::Wait => "wait until every committed change has its event, or the bound",
            Self::ReadSource => "stop the relay and read what the source still holds",
            Self::CloseTopic => "close the topic",
            Self::ReadTopic => "read the whole topic again from offset 0",
        }
    }
}
