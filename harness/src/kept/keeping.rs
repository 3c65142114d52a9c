//! The keeper: a process in a session of its own that has the servers as its children, and its reaper beside it.

use super::asked::{Answer, Asking};
use crate::disk;
use crate::process::reaper::Reaper;
use crate::run::event::Happening;
use crate::run::stack::warm_to_keep;
use crate::run::{Event, Reporter, Sink, StackChoice};
use crate::stack::external::stack_file;
use crate::stack::kept::KeptFolder;
use crate::stack::kept::clearing;
use crate::stack::kept::lock::KeeperLock;
use crate::stack::kept::state::{self, KeptState};
use crate::stack::{Jit, Provider, ServerSettings, Stack, StackError};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A runtime thread that is stuck keeps the keeper from its end no longer than this.
const LET_GO_WITHIN: Duration = Duration::from_secs(2);

/// Keeps a stack in this folder until it is told to end, or a server ends by itself; says on standard output what
/// came of the start. To be called before any other thread exists.
pub fn keep(folder: &KeptFolder, programs: &Path) -> Result<(), String> {
    let failed = |reason: String| {
        Answer::Failed(reason.clone()).say();
        reason
    };
    // It is given back last of all: whoever gets it finds nothing of this stack alive.
    let lock = match KeeperLock::take(&folder.lock_file()) {
        Ok(Some(lock)) => lock,
        Ok(None) => {
            Answer::Taken.say();
            return Ok(());
        }
        Err(e) => return Err(failed(e.to_string())),
    };
    clear_the_last(folder).map_err(failed)?;
    let reaper = Reaper::start().map_err(|e| failed(e.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| failed(e.to_string()))?;
    let keeping = Keeping {
        folder,
        programs,
        reaper: Arc::new(reaper),
        lock,
    };
    let kept = runtime.block_on(keeping.serve());
    runtime.shutdown_timeout(LET_GO_WITHIN);
    kept
}

/// Removes what a keeper left that was killed, and what tells of the last one.
fn clear_the_last(folder: &KeptFolder) -> Result<(), String> {
    // This process has the lock, so what is there is nobody's.
    let left = state::left(&folder.state_file())?;
    clearing::clear(folder, left.as_deref())?;
    clearing::forget_the_last(folder).map_err(|e| e.to_string())
}

struct Keeping<'a> {
    folder: &'a KeptFolder,
    programs: &'a Path,
    reaper: Arc<Reaper>,
    lock: KeeperLock,
}

impl Keeping<'_> {
    async fn serve(&self) -> Result<(), String> {
        let mut asking = Asking::listen();
        let mut told = Signalled::listen().map_err(|e| {
            let reason = format!("listening for signals: {e}");
            Answer::Failed(reason.clone()).say();
            reason
        })?;
        let started = tokio::select! {
            started = self.start() => started,
            // What was started so far goes with what is dropped here.
            () = asking.is_gone() => Err("whoever started it was gone before it was up".to_owned()),
            () = told.end() => Err("it was told to end before it was up".to_owned()),
        };
        let stack = match started {
            Ok(stack) => stack,
            Err(reason) => {
                Answer::Failed(reason.clone()).say();
                return Err(reason);
            }
        };
        Answer::Up.say();
        let stays = asking.is_to_stay().await;
        let ended = match stays {
            true => tokio::select! {
                () = told.end() => Ok(()),
                ended = stack.ends_by_itself() => Err(ended.to_string()),
            },
            false => Err("whoever started it was gone before it was up".to_owned()),
        };
        let stopped = self
            .stop(stack, ended.as_ref().err().filter(|_| stays))
            .await;
        ended.and(stopped)
    }

    /// Starts it, warms it, and writes what leads to it.
    async fn start(&self) -> Result<Stack, String> {
        let data = self.folder.data_of(self.lock.holder());
        let provider = Provider::Local {
            data: data.clone(),
            logs: self.folder.logs(),
            programs: self.programs.to_owned(),
            jit: Jit::C1,
            // Nobody knows yet what will be run on it.
            settings: ServerSettings::usual(self.programs),
        };
        let stack = Stack::start(provider, &self.reaper).await;
        let stack = stack.map_err(|e| e.to_string())?;
        let reporter = Reporter::to([Arc::new(KeeperLog) as Arc<dyn Sink>]);
        let choice = StackChoice::Local {
            programs: self.programs.to_owned(),
        };
        let warmed = warm_to_keep(&stack, choice, &data, &self.reaper, &reporter).await;
        warmed.map_err(|e| e.to_string())?;
        self.write(&stack)?;
        Ok(stack)
    }

    fn write(&self, stack: &Stack) -> Result<(), String> {
        let mut state = KeptState::new(
            self.lock.holder(),
            jiff::Timestamp::now().to_string(),
            env!("CARGO_PKG_VERSION").to_owned(),
            self.programs.to_owned(),
        );
        if let Stack::Own(own) = stack
            && let Some(local) = own.as_local()
        {
            local.describe(&mut state);
        }
        let file = self.folder.stack_file();
        let text = stack_file(stack.info());
        disk::write_secret(&file, text.as_bytes())
            // This one says that it is up, so it comes last.
            .and_then(|()| state::write(&self.folder.state_file(), &state))
            .map_err(|e| e.to_string())
    }

    /// Stops it; `ended` is why it ended by itself, if it did.
    async fn stop(&self, stack: Stack, ended: Option<&String>) -> Result<(), String> {
        let explain = |e: std::io::Error| e.to_string();
        let mut forgotten = clearing::forget(self.folder).map_err(explain);
        if let Some(why) = ended {
            let written = disk::write(&self.folder.ended_file(), why.as_bytes());
            forgotten = forgotten.and(written.map_err(explain));
        }
        let stopped = stack.stop().await.map_err(|e: StackError| e.to_string());
        stopped.and(forgotten)
    }
}

/// Hears that the keeper is to end.
struct Signalled([Signal; 2]);

impl Signalled {
    fn listen() -> std::io::Result<Self> {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
        let [terminate, interrupt] = kinds.map(signal);
        Ok(Self([terminate?, interrupt?]))
    }

    async fn end(&mut self) {
        let [terminate, interrupt] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// The keeper's standard error is its log.
struct KeeperLog;

impl Sink for KeeperLog {
    fn take(&self, happening: &Happening) {
        if let Event::Note { text } = &happening.event {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }
}
