//! Exit codes: a contract with scripts.

use crate::run::RunError;
use reports::record::Verdict;
use std::process::ExitCode;

/// A command ended like this, ordered from best to worst: of several scenarios the worst counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Every expectation was met, or the command did all that it was asked for: exit code 0.
    Met,
    /// Nothing was proved; an interrupted run proves nothing.
    Unknown,
    /// At least one expectation was missed: exit code 1.
    Missed,
    /// The stack, or the referee itself, failed.
    Failed,
    /// Usage or a scenario file is wrong; nothing was started.
    Usage,
}

impl Outcome {
    /// Returns the exit code, the number that scripts see.
    pub fn code(self) -> u8 {
        match self {
            Self::Met => 0,
            Self::Missed => 1,
            Self::Usage => 2,
            Self::Unknown => 3,
            Self::Failed => 4,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        ExitCode::from(outcome.code())
    }
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Met,
            Verdict::Fail => Self::Missed,
            Verdict::Unknown => Self::Unknown,
        }
    }
}

impl From<&RunError> for Outcome {
    fn from(error: &RunError) -> Self {
        match error {
            RunError::Stack(_) | RunError::Failed { .. } => Self::Failed,
            RunError::Interrupted { .. } => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_several_scenarios_counts() {
        let worst = |outcomes: &[Outcome]| outcomes.iter().max().map(|o| o.code());
        assert_eq!(worst(&[Outcome::Met, Outcome::Met]), Some(0));
        assert_eq!(worst(&[Outcome::Met, Outcome::Unknown]), Some(3));
        assert_eq!(worst(&[Outcome::Missed, Outcome::Unknown]), Some(1));
        assert_eq!(
            worst(&[Outcome::Failed, Outcome::Missed, Outcome::Unknown]),
            Some(4)
        );
    }
}
