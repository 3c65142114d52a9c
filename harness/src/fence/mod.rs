//! The fence: eight steps between the end of the load and the final reads, so that nothing in
//! flight turns into a false verdict. A step that fails makes the run unknown.
//!
//! They are taken by `run/fencing.rs`; the steps that touch the database are in [`database`], the
//! step that closes the topic is [`crate::topic::Topic::close`].

pub mod database;

use crate::clock::RunClock;
use crate::history::FenceStep;
use std::future::Future;

/// Number and name of every step.
pub const STEPS: [(u32, &str); 8] = [
    (1, "stop the generator: every request has its outcome"),
    (
        2,
        "heal: proxies enabled and without toxics, no process stopped",
    ),
    (3, "stop the order service"),
    (
        4,
        "close the database to the order service and read the truth",
    ),
    (
        5,
        "wait until every committed change has its event, or the bound",
    ),
    (6, "stop the relay and read what the source still holds"),
    (7, "close the topic"),
    (8, "read the whole topic again from offset 0"),
];

/// Keeps the record of the steps.
pub struct Fence {
    clock: RunClock,
    steps: Vec<FenceStep>,
}

impl Fence {
    /// No step taken yet.
    pub fn new(clock: RunClock) -> Self {
        Self {
            clock,
            steps: Vec::with_capacity(STEPS.len()),
        }
    }

    /// Takes step `number`: `work` gives its value with a detail for the record, or why it failed.
    pub async fn step<T>(
        &mut self,
        number: u32,
        work: impl Future<Output = Result<(T, String), String>>,
    ) -> Option<T> {
        let started_ns = self.clock.now_ns();
        match work.await {
            Ok((value, detail)) => {
                self.record(number, started_ns, true, detail);
                Some(value)
            }
            Err(reason) => {
                self.record(number, started_ns, false, reason);
                None
            }
        }
    }

    /// Records that step `number`, which was taken before, did not hold after all.
    pub fn fail(&mut self, number: u32, reason: String) {
        self.record(number, self.clock.now_ns(), false, reason);
    }

    fn record(&mut self, number: u32, started_ns: i64, ok: bool, detail: String) {
        let name = STEPS
            .iter()
            .find(|s| s.0 == number)
            .map_or("", |s| s.1)
            .to_owned();
        self.steps.push(FenceStep {
            number,
            name,
            started_ns,
            ended_ns: self.clock.now_ns(),
            ok,
            detail,
        });
    }

    /// The record.
    pub fn into_steps(self) -> Vec<FenceStep> {
        self.steps
    }
}
