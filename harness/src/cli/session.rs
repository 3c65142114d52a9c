//! What is around a command that starts processes: the reaper, the log, a runtime, signals, progress.

use super::exit::Outcome;
use super::progress::Terminal;
use super::{signals, terminal};
use crate::process::reaper::Reaper;
use crate::run::{Reporter, Sink};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Keeps the reaper until the command has written its results; whatever was left is ended then.
pub struct Session {
    reaper: Arc<Reaper>,
}

impl Session {
    /// Starts the reaper and the log, and is to be called before any other thread or process exists: whatever comes
    /// later is in the reaper's group. Says on standard error why it cannot.
    pub fn start() -> Result<Self, Outcome> {
        let reaper = Reaper::start().map_err(|e| {
            failed(&format!(
                "starting the reaper, which cleans up if this process is killed: {e}"
            ))
        })?;
        terminal::log();
        Ok(Self {
            reaper: Arc::new(reaper),
        })
    }

    /// Does the work on a runtime of its own. The last that the work is given turns true when the
    /// user interrupts it. Says on standard error why nothing can be done.
    pub fn run<T>(
        &self,
        work: impl AsyncFnOnce(&Arc<Reaper>, &Reporter, watch::Receiver<bool>) -> T,
    ) -> Result<T, Outcome> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|e| failed(&format!("starting the runtime: {e}")))?;
        let done = runtime.block_on(async {
            let mut signals = signals::watch_signals()
                .map_err(|e| failed(&format!("listening for signals: {e}")))?;
            let reporter = Reporter::to([Arc::new(Terminal::new()) as Arc<dyn Sink>]);
            tokio::select! {
                done = work(&self.reaper, &reporter, signals.interrupted) => Ok(done),
                // Dropped with all that it holds: processes are ended, folders removed.
                Ok(_) = signals.again.wait_for(|again| *again) => Err(Outcome::Unknown),
            }
        });
        // Nothing of worth runs any more; a stuck blocking thread must not keep the program from ending.
        runtime.shutdown_timeout(Duration::from_secs(2));
        terminal::hide_bar();
        done
    }
}

fn failed(message: &str) -> Outcome {
    terminal::message(message);
    Outcome::Failed
}
