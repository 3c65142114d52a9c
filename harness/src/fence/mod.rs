//! The fence: eight steps between the end of the load and the final reads, so that nothing in
//! flight turns into a false verdict. A step that fails makes the run unknown. Each is bounded, and
//! gives way to an interruption: see [`patience`].
//!
//! They are taken by `run/fencing.rs`; the steps that touch the database are in [`crate::database`], the
//! step that closes the topic is [`crate::broker::Topic::close`].

pub mod patience;

use crate::clock::RunClock;
use crate::history::{FenceRecord, FenceStep};
use patience::Patience;
use std::future::Future;
use std::time::Duration;

/// Keeps the record of the steps.
pub struct Fence<'a> {
    clock: RunClock,
    patience: &'a Patience,
    steps: Vec<FenceRecord>,
}

impl<'a> Fence<'a> {
    /// Returns a fence of which no step is taken yet.
    pub fn new(clock: RunClock, patience: &'a Patience) -> Self {
        Self {
            clock,
            patience,
            steps: Vec::with_capacity(FenceStep::ALL.len()),
        }
    }

    /// Takes a step: `work` gives its value with a detail for the record, or why it failed.
    /// Work that takes longer than `within`, or than the user lets it, is dropped: then the step
    /// failed.
    pub async fn step<T>(
        &mut self,
        step: FenceStep,
        within: Duration,
        work: impl Future<Output = Result<(T, String), String>>,
    ) -> Option<T> {
        let started_ns = self.clock.now_ns();
        let done = self.patience.give(within, work).await;
        match done.unwrap_or_else(|cut| Err(cut.to_string())) {
            Ok((value, detail)) => {
                self.record(step, started_ns, true, detail);
                Some(value)
            }
            Err(reason) => {
                self.record(step, started_ns, false, reason);
                None
            }
        }
    }

    /// Records that a step, which was taken before, did not hold after all.
    pub fn fail(&mut self, step: FenceStep, reason: String) {
        self.record(step, self.clock.now_ns(), false, reason);
    }

    fn record(&mut self, step: FenceStep, started_ns: i64, ok: bool, detail: String) {
        self.steps.push(FenceRecord {
            number: step.number(),
            name: step.name().to_owned(),
            started_ns,
            ended_ns: self.clock.now_ns(),
            ok,
            detail,
        });
    }

    /// Returns the records of the steps, in the order in which they were made.
    pub fn into_steps(self) -> Vec<FenceRecord> {
        self.steps
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::sync::watch;

    #[tokio::test]
    async fn given_any_step_that_hangs_when_its_bound_is_over_then_it_failed_and_the_next_is_taken()
    {
        let (_user, interrupted) = watch::channel(false);
        let patience = Patience::new(interrupted);
        for step in FenceStep::ALL {
            let mut fence = Fence::new(RunClock::start(), &patience);
            let within = Duration::from_millis(5);
            let hung = pending::<Result<((), String), String>>();
            let taken = fence.step(step, within, hung);
            let soon = Duration::from_secs(20);
            let ended = tokio::time::timeout(soon, taken).await;
            assert!(ended.expect("the step goes on").is_none());
            let done = async { Ok((7, "done".to_owned())) };
            assert_eq!(fence.step(step, within, done).await, Some(7));
            let steps = fence.into_steps();
            assert!(steps.iter().all(|s| s.is(step) && s.name == step.name()));
            assert_eq!((steps[0].ok, steps[1].ok), (false, true));
            assert_eq!(steps[0].detail, "it did not end within 5ms");
        }
    }

    #[tokio::test]
    async fn given_a_step_that_was_taken_when_it_did_not_hold_after_all_then_that_is_on_record() {
        let (_user, interrupted) = watch::channel(false);
        let patience = Patience::new(interrupted);
        let mut fence = Fence::new(RunClock::start(), &patience);
        let done = async { Ok(((), "done".to_owned())) };
        let second = Duration::from_secs(1);
        assert_eq!(
            fence.step(FenceStep::ReadTruth, second, done).await,
            Some(())
        );
        fence.fail(
            FenceStep::ReadTruth,
            "something was written later".to_owned(),
        );
        let steps = fence.into_steps();
        let told: Vec<_> = steps.iter().map(|s| (s.number, s.ok, &*s.detail)).collect();
        assert_eq!(
            told,
            [(4, true, "done"), (4, false, "something was written later")]
        );
    }
}
