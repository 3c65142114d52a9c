//! The fence: eight steps between the end of the load and the final reads, so that nothing in
//! flight turns into a false verdict. A step that fails makes the run unknown. Each is bounded, and
//! gives way to an interruption: see [`patience`].
//!
//! They are taken by `run/fencing.rs`; the steps that touch the database are in [`database`], the
//! step that closes the topic is [`crate::topic::Topic::close`].

pub mod database;
pub mod patience;

use crate::clock::RunClock;
use crate::history::FenceStep;
use patience::Patience;
use std::future::Future;
use std::time::Duration;

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
pub struct Fence<'a> {
    clock: RunClock,
    patience: &'a Patience,
    steps: Vec<FenceStep>,
}

impl<'a> Fence<'a> {
    /// No step taken yet.
    pub fn new(clock: RunClock, patience: &'a Patience) -> Self {
        Self {
            clock,
            patience,
            steps: Vec::with_capacity(STEPS.len()),
        }
    }

    /// Takes step `number`: `work` gives its value with a detail for the record, or why it failed.
    /// Work that takes longer than `within`, or than the user lets it, is dropped: then the step
    /// failed.
    pub async fn step<T>(
        &mut self,
        number: u32,
        within: Duration,
        work: impl Future<Output = Result<(T, String), String>>,
    ) -> Option<T> {
        let started_ns = self.clock.now_ns();
        let done = self.patience.give(within, work).await;
        match done.unwrap_or_else(|cut| Err(cut.to_string())) {
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
        for (number, name) in STEPS {
            let mut fence = Fence::new(RunClock::start(), &patience);
            let within = Duration::from_millis(5);
            let hung = pending::<Result<((), String), String>>();
            assert!(fence.step(number, within, hung).await.is_none());
            let done = async { Ok((7, "done".to_owned())) };
            assert_eq!(fence.step(number, within, done).await, Some(7));
            let steps = fence.into_steps();
            assert_eq!((steps[0].number, steps[0].name.as_str()), (number, name));
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
        assert_eq!(fence.step(4, second, done).await, Some(()));
        fence.fail(4, "something was written later".to_owned());
        let steps = fence.into_steps();
        let told: Vec<_> = steps.iter().map(|s| (s.number, s.ok, &*s.detail)).collect();
        assert_eq!(
            told,
            [(4, true, "done"), (4, false, "something was written later")]
        );
    }
}
