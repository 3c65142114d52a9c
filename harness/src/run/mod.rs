//! One scenario, straight through: stack, strategies one after the other, history, verdict, record.

use crate::process::reaper::Reaper;
use crate::scenario::Scenario;
use crate::stack::Provider;
use crate::workload::Progress;
use reports::record::Record;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// What happens during a run, for whoever shows it. The two sides share these values and nothing else.
#[derive(Debug, Clone)]
pub enum Event {
    /// A scenario begins.
    ScenarioStarted {
        /// Its name.
        scenario: String,
        /// The run's folder.
        folder: PathBuf,
    },
    /// The stack is being started.
    StackStarting {
        /// `local` or `external`.
        provider: String,
    },
    /// The stack answers.
    StackUp {
        /// Versions and addresses, one line.
        what: String,
        /// How long it took.
        took: Duration,
    },
    /// A strategy begins.
    StrategyStarted {
        /// Its name.
        strategy: String,
        /// Its kind.
        kind: String,
    },
    /// The load begins.
    LoadStarted {
        /// How long it will last.
        duration: Duration,
        /// Changes it will offer.
        planned: u64,
        /// Live counters.
        progress: Arc<Progress>,
    },
    /// A fault was injected or healed.
    Fault {
        /// e.g. `down kafka injected`.
        what: String,
    },
    /// The load is over; the fence and the drain follow.
    LoadEnded,
    /// A step of the fence begins.
    Fence {
        /// 1 to 8.
        number: u32,
        /// What it does.
        name: String,
    },
    /// A strategy is judged.
    StrategyJudged {
        /// Its name.
        strategy: String,
        /// `pass`, `fail`, `unknown`.
        verdict: String,
    },
    /// Something the user should know, e.g. leftovers cleaned up, how to reach a kept stack.
    Note {
        /// The text.
        text: String,
    },
}

/// Shows events. Called from several threads; must not block for long.
pub trait Reporter: Send + Sync {
    /// One event.
    fn event(&self, event: Event);
}

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only this strategy.
    pub strategy: Option<String>,
    /// Folder under which the run's own folder is made.
    pub out: PathBuf,
    /// The stack.
    pub stack: StackChoice,
    /// Leave the stack, schemas and topics.
    pub keep_stack: bool,
}

/// The stack as the command line names it.
#[derive(Debug, Clone)]
pub enum StackChoice {
    /// Child processes; programs from this folder.
    Local {
        /// `.stack` of the checkout.
        programs: PathBuf,
    },
    /// Described by this file.
    External {
        /// The file.
        file: PathBuf,
    },
}

impl StackChoice {
    /// The provider for one run folder.
    pub fn provider(&self, run_folder: &std::path::Path) -> Provider {
        match self {
            Self::Local { programs } => Provider::Local {
                data: run_folder.join("stack"),
                logs: run_folder.join("logs"),
                programs: programs.clone(),
            },
            Self::External { file } => Provider::External { file: file.clone() },
        }
    }
}

/// Why a scenario has no record.
#[derive(Debug, Error)]
pub enum RunError {
    /// Exit code 4.
    #[error(transparent)]
    Stack(#[from] crate::stack::StackError),
    /// Exit code 4: the run folder, the referee itself.
    #[error("{doing}: {reason}")]
    Failed {
        /// What was being done.
        doing: String,
        /// Why it failed and what to do about it.
        reason: String,
    },
    /// Ctrl-C or SIGTERM: everything was healed and torn down; what was recorded is in the folder.
    #[error("interrupted; what was recorded is in {folder}")]
    Interrupted {
        /// The run's folder.
        folder: PathBuf,
    },
}

/// A finished run.
#[derive(Debug)]
pub struct Finished {
    /// Its record; the reports are in the folder already.
    pub record: Record,
    /// The run's folder.
    pub folder: PathBuf,
}

/// Runs one scenario. `interrupted` turns true on Ctrl-C or SIGTERM.
pub async fn run(
    scenario: &Scenario,
    options: &Options,
    reaper: &Arc<Reaper>,
    reporter: &Arc<dyn Reporter>,
    interrupted: tokio::sync::watch::Receiver<bool>,
) -> Result<Finished, RunError> {
    let _ = (scenario, options, reaper, reporter, interrupted);
    unimplemented!()
}

/// The verdict again, from the saved history of a run folder alone; writes nothing.
pub fn check(folder: &std::path::Path) -> Result<Record, RunError> {
    let _ = folder;
    unimplemented!()
}

/// The reports again, from the record alone; returns the files written.
pub fn report(folder: &std::path::Path) -> Result<Vec<PathBuf>, RunError> {
    let _ = folder;
    unimplemented!()
}
