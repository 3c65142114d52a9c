//! What every benchmark stands on.

use crate::process::reaper::Reaper;
use crate::run::deployment::Deployment;
use crate::run::rehearsal::{self, Rehearsal};
use crate::run::{self, Event, Reporter, RunError, ScenarioRun};
use crate::scenario::{Scenario, Strategy};
use crate::stack::Stack;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// Every benchmark stands on this: the stack, which is up, and where things go.
pub(super) struct Ground<'a> {
    pub stack: &'a Stack,
    /// The benchmark's folder takes its logs, its reports, and a folder for each ordinary run.
    pub folder: &'a Path,
    pub reaper: &'a Arc<Reaper>,
    pub reporter: &'a Reporter,
    pub interrupted: watch::Receiver<bool>,
    /// For benchmarks that are made of ordinary runs.
    pub of_run: &'a run::Options,
    /// This says why the rounds ended early; it is empty as long as they did not.
    pub cut_short: OnceLock<RunError>,
}

impl Ground<'_> {
    /// Reports a line of progress.
    pub fn note(&self, text: String) {
        self.reporter.event(Event::Note { text });
    }

    /// Ordinary runs of a scenario on this stack.
    pub fn scenario_run<'a>(&'a self, scenario: &'a Scenario, folder: &'a Path) -> ScenarioRun<'a> {
        ScenarioRun {
            scenario,
            options: self.of_run,
            stack: self.stack,
            folder,
            reaper: self.reaper,
            reporter: self.reporter,
            interrupted: &self.interrupted,
        }
    }

    /// Brings the stack to the speed that is its own, before strategies are compared on it.
    pub async fn rehearse(&self, scenario: &Scenario) -> Result<(), RunError> {
        let scenario_run = self.scenario_run(scenario, self.folder);
        rehearsal::rehearse(&scenario_run, Rehearsal::UntilSteady).await
    }

    /// What Debezium runs on here, for the record; the error says what is missing, with the remedy.
    pub fn debezium(&self) -> Result<String, RunError> {
        run::strategies::debezium::install(self.stack).map(|install| install.describe())
    }

    /// Plans a strategy's own part of this stack: nothing of it is made yet, and it leaves no trace.
    pub fn deployment<'a>(
        &'a self,
        scenario: &'a Scenario,
        strategy: &'a Strategy,
    ) -> Result<Deployment<'a>, RunError> {
        Deployment::plan(
            self.stack,
            scenario,
            strategy,
            self.reaper,
            self.folder,
            None,
        )
    }

    /// Does the work, or ends it on Ctrl-C with an error. What it made is the caller's to tear down.
    pub async fn unless_interrupted<T>(
        &self,
        work: impl Future<Output = Result<T, RunError>>,
    ) -> Result<T, RunError> {
        let mut interrupted = self.interrupted.clone();
        tokio::select! {
            done = work => done,
            _ = interrupted.wait_for(|i| *i) => Err(self.was_interrupted()),
        }
    }

    /// Returns the error of an interrupted benchmark, which names its folder.
    pub fn was_interrupted(&self) -> RunError {
        RunError::Interrupted {
            folder: self.folder.to_owned(),
        }
    }

    /// What was measured; `None` if Ctrl-C or a failure came first. That ends the rounds: what they
    /// have found by then is kept, see [`Ground::cut_short`].
    pub fn unless_cut_short<T>(&self, measured: Result<T, RunError>) -> Option<T> {
        // The first reason is the one.
        measured.map_err(|error| self.cut_short.set(error)).ok()
    }
}
