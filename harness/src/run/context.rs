//! What the run of one strategy is given of the run that it is part of.

use super::deployment::failed;
use super::look_pace::LookPace;
use super::stage::Lane;
use super::{Reporter, RunError};
use crate::fence::patience::{Cut, Patience};
use crate::history::PartOf;
use crate::process::reaper::Reaper;
use crate::scenario::Scenario;
use crate::stack::Stack;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What a strategy's run needs of its scenario's run.
pub struct Context<'a> {
    /// The strategy runs on this stack, which is up.
    pub stack: &'a Stack,
    /// The strategy is one of this scenario's.
    pub scenario: &'a Scenario,
    /// This is the reaper of this process, which kills the children that outlive it.
    pub reaper: &'a Arc<Reaper>,
    /// This is the run's own folder, in which its logs, histories and reports are.
    pub folder: &'a Path,
    /// This is told the events of the run, for whoever shows them.
    pub reporter: &'a Reporter,
    /// This turns true on Ctrl-C or SIGTERM.
    pub interrupted: watch::Receiver<bool>,
    /// With this, schema and topic are kept after the run.
    pub keep: bool,
    /// The stack is not stopped after the run, whatever comes of it.
    pub stack_stays: bool,
    /// What each history of the run says it is part of.
    pub part_of: PartOf,
    /// With this, order service and relay write a trace.
    pub trace: bool,
    /// Its place among those that run at the same time, where they do.
    pub lane: Option<Lane>,
    /// So often it is looked up what is committed, where somebody watches.
    pub looked_at: Option<LookPace>,
}

impl Context<'_> {
    /// What became of work that was cut off.
    pub fn cut(&self, doing: &str, cut: Cut) -> RunError {
        match cut {
            Cut::Interruption => RunError::Interrupted {
                folder: self.folder.to_owned(),
            },
            Cut::Bound(_) => failed(doing, &cut),
        }
    }

    /// Bounded work that a run cannot do without.
    pub async fn bounded<T, E: std::fmt::Display>(
        &self,
        patience: &Patience,
        (doing, within): (&str, Duration),
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, RunError> {
        match patience.give(within, work).await {
            Ok(done) => done.map_err(|e| failed(doing, &e)),
            Err(cut) => Err(self.cut(doing, cut)),
        }
    }
}
