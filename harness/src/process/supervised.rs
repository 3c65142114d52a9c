//! One child process, with everything below it.

use crate::clock::RunClock;
use crate::history::ProcessEvent;
use futures::future::BoxFuture;
use relays::signal::TimedSignal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Asks whether a process works.
pub type Probe = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// How a child says that it works.
#[derive(Clone)]
pub enum Ready {
    /// It prints a `ready` signal line on standard output (order service, relay).
    Signal,
    /// It answers this probe, asked again and again.
    Answers(Probe),
}

/// How to start a child, the first time and after a kill.
#[derive(Clone)]
pub struct ChildSpec {
    /// Name in histories and logs.
    pub name: String,
    /// Program.
    pub program: PathBuf,
    /// Arguments.
    pub args: Vec<String>,
    /// Environment on top of the harness's own.
    pub env: Vec<(String, String)>,
    /// uid and gid to drop to.
    pub user: Option<(u32, u32)>,
    /// Working folder.
    pub folder: Option<PathBuf>,
    /// File that standard error (and standard output, unless signals are read) is appended to.
    pub log: PathBuf,
    /// How readiness is known.
    pub ready: Ready,
    /// Bound on readiness.
    pub ready_within: Duration,
}

/// Failure of a child, with the tail of its log.
#[derive(Debug, Error)]
#[error("{name}: {doing}: {reason}{tail}")]
pub struct ChildError {
    /// Which child.
    pub name: String,
    /// What was being done.
    pub doing: &'static str,
    /// Why it failed.
    pub reason: String,
    /// `\n--- last lines of LOG ---\n...`, or empty.
    pub tail: String,
}

/// A supervised child. Clones share it. Dropping the last clone kills and reaps the tree.
#[derive(Clone)]
pub struct Child {}

impl Child {
    /// Spawns into the reaper's group and waits until ready.
    pub async fn start(
        spec: ChildSpec,
        reaper: &Arc<super::reaper::Reaper>,
    ) -> Result<Self, ChildError> {
        let _ = (spec, reaper);
        unimplemented!("H1")
    }
    /// Its name.
    pub fn name(&self) -> &str {
        unimplemented!("H1")
    }
    /// Pid of the living process.
    pub fn pid(&self) -> Option<u32> {
        unimplemented!("H1")
    }
    /// Pids of the living tree, root first.
    pub fn tree(&self) -> Vec<u32> {
        unimplemented!("H1")
    }
    /// Whether the root lives; a death nobody ordered is seen here (and in the events).
    pub fn is_alive(&self) -> bool {
        unimplemented!("H1")
    }
    /// SIGKILL to the whole tree; returns when all of it is reaped.
    pub async fn kill(&self) -> Result<(), ChildError> {
        unimplemented!("H1")
    }
    /// Starts a dead child again and waits until ready.
    pub async fn restart(&self) -> Result<(), ChildError> {
        unimplemented!("H1")
    }
    /// SIGSTOP to the whole tree; returns when every thread is stopped.
    pub async fn pause(&self) -> Result<(), ChildError> {
        unimplemented!("H1")
    }
    /// SIGCONT to the whole tree.
    pub async fn resume(&self) -> Result<(), ChildError> {
        unimplemented!("H1")
    }
    /// SIGTERM (with `signal` SIGINT or SIGQUIT where given), a bounded wait, SIGKILL, reap.
    /// True when it went by itself.
    pub async fn terminate(&self, within: Duration) -> Result<bool, ChildError> {
        let _ = within;
        unimplemented!("H1")
    }
    /// Signals received so far on standard output, oldest first (bounded: the newest 100,000).
    pub fn signals(&self) -> Vec<TimedSignal> {
        unimplemented!("H1")
    }
    /// Lives and deaths since `clock`'s origin, in run time.
    pub fn events(&self, clock: &RunClock) -> Vec<ProcessEvent> {
        let _ = clock;
        unimplemented!("H1")
    }
}
