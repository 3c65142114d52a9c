//! Takes the raw observations of faults, on one thread of its own with a runtime of its own, so
//! that neither a busy load generator nor a wedged proxy's client delays a look.

use super::look::Look;
use super::subject::{Stage, Subject};
use crate::clock::RunClock;
use crate::history::Observation;
use crate::scenario::Fault;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A look every so often, or so many looks over the whole fault, whichever is rarer.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOKS_A_FAULT: u32 = 1_000;
/// A process tree is walked through /proc, which costs more than asking for sockets.
const LOOK_AT_PROCESSES_EVERY: Duration = Duration::from_millis(100);

/// The thread. Dropping it ends all observation.
pub(crate) struct Observers {
    handle: tokio::runtime::Handle,
    _running: oneshot::Sender<()>,
}

impl Observers {
    /// Starts the thread.
    pub fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("evidence".into())
            .spawn(move || {
                let _ = runtime.block_on(ended);
                runtime.shutdown_background();
            })?;
        Ok(Self {
            handle,
            _running: running,
        })
    }

    /// Begins observing one fault's subjects.
    pub fn observe(
        &self,
        index: u32,
        fault: &Fault,
        subjects: Vec<Subject>,
        clock: RunClock,
    ) -> Observed {
        let (commands, inbox) = mpsc::channel(4);
        let (result, done) = oneshot::channel();
        let look = Look::new(index, fault.kind, clock);
        let every = match subjects.first() {
            Some(Subject::Process(_)) => LOOK_AT_PROCESSES_EVERY,
            _ => LOOK_EVERY,
        }
        .max(fault.lasts / LOOKS_A_FAULT);
        self.handle.spawn(async move {
            let _ = result.send(look.run(subjects, every, inbox).await);
        });
        Observed { commands, done }
    }
}

/// One fault under observation.
pub(crate) struct Observed {
    commands: mpsc::Sender<(Stage, oneshot::Sender<()>)>,
    done: oneshot::Receiver<(Vec<Observation>, Option<String>)>,
}

impl Observed {
    /// The fault is about to be injected: no more looks until [`Observed::in_force`].
    pub async fn injecting(&self) {
        self.tell(Stage::Injecting).await;
    }
    /// The fault is in force.
    pub async fn in_force(&self) {
        self.tell(Stage::During).await;
    }
    /// It is about to be healed: no more looks until [`Observed::healed`].
    pub async fn healing(&self) {
        self.tell(Stage::Healing).await;
    }
    /// It is healed.
    pub async fn healed(&self) {
        self.tell(Stage::After).await;
    }

    /// Returns once the stage is reached (and its first look taken).
    async fn tell(&self, stage: Stage) {
        let (done, reached) = oneshot::channel();
        if self.commands.send((stage, done)).await.is_ok() {
            let _ = reached.await;
        }
    }

    /// Ends it: the observations, and what kept some of them from being taken.
    pub async fn finish(self) -> (Vec<Observation>, Option<String>) {
        drop(self.commands);
        self.done
            .await
            .unwrap_or_else(|_| (Vec::new(), Some("the observing thread ended".into())))
    }
}
