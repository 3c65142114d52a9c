//! Built-in scenarios: the same text, the same parser, the same meaning as a file's.

use crate::run::RunError;
use crate::run::deployment::failed;
use crate::scenario::{self, Scenario};

/// Reads a text of this program as a scenario; an Err is a bug of this program.
pub(super) fn parse(text: &str) -> Result<Scenario, RunError> {
    scenario::parse("built-in scenario", text)
        .map_err(|e| failed("reading a built-in scenario, which is a bug", &e))
}
