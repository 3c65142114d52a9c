//! One child process, with everything below it.

use super::container::Container;
use super::life::{Course, Exit, FailedStarts, Lives, OwnEnd};
use super::output::{self, Listening};
use super::reaper::Reaper;
use super::stop::Stop;
use super::tree::{self, Image, Process, ProcessId, Snapshot};
use super::{environment, log, log_keeper, spawn};
use crate::clock::RunClock;
use crate::history::{Death, Life, ProcessEvent};
use futures::future::BoxFuture;
use nix::sys::signal::Signal;
use regex::Regex;
use relays::signal::TimedSignal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Asks whether a process works.
pub type ReadinessProbe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// A probe is asked again after this pause.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// Variable by which the orphans of a child are known.
const MARK: &str = "OUTBOX_HARNESS_CHILD";
/// Killing, stopping and reaping a tree may take at most this time each.
const TREE_WITHIN: Duration = Duration::from_secs(10);

/// How a child says that it works.
#[derive(Clone)]
pub enum Ready {
    /// It prints a `ready` signal line on standard output (order service, relay).
    Signal,
    /// It works once a line of its output matches this.
    Says(Arc<Regex>),
    /// It answers this probe, asked again and again.
    Answers(ReadinessProbe),
}

/// This says how to start a child, the first time and after a kill.
#[derive(Clone)]
pub struct ChildSpec {
    /// Histories and logs call the child by this name.
    pub name: String,
    /// This is the program that is run.
    pub program: PathBuf,
    /// The program is given these arguments, its own name not among them.
    pub args: Vec<String>,
    /// Environment on top of what every child has ([`environment`]).
    pub env: Vec<(String, String)>,
    /// The program drops to this uid and gid; `None` leaves it those of the harness.
    pub user: Option<(u32, u32)>,
    /// The program is started in this folder; `None` stands for the harness's own.
    pub folder: Option<PathBuf>,
    /// File that standard error and standard output (signals left out) are appended to. It is
    /// bounded, whatever the child says.
    pub log: PathBuf,
    /// How readiness is known.
    pub ready: Ready,
    /// A start fails if the child is not ready within this time.
    pub ready_within: Duration,
}

/// This is the failure of a child, with the tail of its log.
#[derive(Debug, Error)]
#[error("{name}: {doing}: {reason}{tail}")]
pub struct ChildError {
    /// This is the child's name, as in [`ChildSpec::name`].
    pub name: String,
    /// What was being done.
    pub doing: &'static str,
    /// This says why that failed, e.g. how the process ended.
    pub reason: String,
    /// This tells of a start that failed whether there was a process at all, so that the failure is its own.
    pub was_started: bool,
    /// This is `\n--- last lines of LOG ---\n...`, or empty.
    pub tail: String,
}

/// Ends that nobody here ordered, one after the other.
pub struct OwnEnds(tokio::sync::watch::Receiver<Option<OwnEnd>>);

/// This is a supervised child. Clones share it. Dropping the last clone kills and reaps the tree.
#[derive(Clone)]
pub struct Child {
    inner: Arc<Inner>,
}

struct Inner {
    spec: ChildSpec,
    /// What it stands for, where that is a container.
    container: Option<Container>,
    /// The value of [`MARK`] in the environment of all that is started below it.
    mark: String,
    reaper: Arc<Reaper>,
    lives: Arc<Lives>,
    current: Mutex<Option<Current>>,
    /// This lets one order through at a time: a kill and a restart must not cross.
    orders: tokio::sync::Mutex<()>,
    /// It was told to end, to be started again.
    returns: AtomicBool,
}

/// This is a start that came to nothing.
#[derive(Debug, Error)]
#[error("{reason}")]
struct StartFailed {
    reason: String,
    /// This says how it ended by itself, as in [`OwnEnd::exit`]; it is 0 where it did not.
    exit: i32,
    /// Whether there was a process at all.
    was_started: bool,
}

impl StartFailed {
    fn at_once(reason: String) -> Self {
        Self {
            reason,
            exit: 0,
            was_started: false,
        }
    }
}

/// This is the life that began last.
#[derive(Clone)]
struct Current {
    id: ProcessId,
    /// The first process of its container, once that is up and if this machine sees it.
    within: Option<ProcessId>,
    /// Program and folder once it was up: how its orphans are told from those of others.
    image: Option<Image>,
    exit: tokio::sync::watch::Receiver<Option<Exit>>,
    ready: tokio::sync::watch::Receiver<bool>,
    /// Whose business its end is.
    course: Arc<Course>,
    log_from: u64,
    /// Writes its log, where the harness does not.
    log_keeper: Option<ProcessId>,
    let_go: bool,
}

impl Child {
    /// Spawns into the reaper's group and waits until ready.
    pub async fn start(spec: ChildSpec, reaper: &Arc<Reaper>) -> Result<Self, ChildError> {
        Self::start_as(spec, None, reaper).await
    }

    /// Does the same with a container: the program of the specification is to be the engine's client, attached to it.
    pub async fn start_container(
        spec: ChildSpec,
        container: Container,
        reaper: &Arc<Reaper>,
    ) -> Result<Self, ChildError> {
        Self::start_as(spec, Some(container), reaper).await
    }

    async fn start_as(
        spec: ChildSpec,
        container: Option<Container>,
        reaper: &Arc<Reaper>,
    ) -> Result<Self, ChildError> {
        let child = Self {
            inner: Arc::new(Inner {
                spec,
                container,
                mark: uuid::Uuid::new_v4().to_string(),
                reaper: Arc::clone(reaper),
                lives: Arc::default(),
                current: Mutex::new(None),
                orders: tokio::sync::Mutex::new(()),
                returns: AtomicBool::new(false),
            }),
        };
        child
            .bring_up("start", Course::on_its_own())
            .await
            .map_err(|reason| child.error("start", &reason))?;
        Ok(child)
    }

    /// Returns the child's name in histories and logs.
    pub fn name(&self) -> &str {
        &self.inner.spec.name
    }

    /// Returns the path of the file that it logs to.
    pub fn log(&self) -> &Path {
        &self.inner.spec.log
    }

    /// Returns the pid of the living process; `None` where it is dead.
    pub fn pid(&self) -> Option<u32> {
        let id = self.living()?.id;
        u32::try_from(id.pid).ok()
    }

    /// Returns the pids of the living tree, root first; there are none where the root is dead. Of a container it is
    /// what is in it.
    pub fn tree(&self) -> Vec<u32> {
        let Some(current) = self.living() else {
            return Vec::new();
        };
        let root = match &self.inner.container {
            Some(_) => current.within,
            None => Some(current.id),
        };
        let below = Snapshot::take().below(root.as_slice());
        let pids = below.iter().filter_map(|p| u32::try_from(p.id.pid).ok());
        pids.collect()
    }

    /// Returns whether the root lives; a death nobody ordered is seen here (and in the events).
    pub fn is_alive(&self) -> bool {
        self.living().is_some()
    }

    /// Sends SIGKILL to the whole tree; returns when all of it is reaped.
    pub async fn kill(&self) -> Result<(), ChildError> {
        let _order = self.inner.orders.lock().await;
        self.end("kill").await
    }

    /// Starts a dead child again and waits until ready.
    pub async fn restart(&self) -> Result<(), ChildError> {
        let _order = self.inner.orders.lock().await;
        if self.is_alive() {
            return Err(self.error("restart", "it is still alive; kill it first"));
        }
        self.clear_up().await?;
        let up = self.bring_up("restart", Course::on_its_own()).await;
        up.map_err(|reason| self.error("restart", &reason))
    }

    /// Does as [`Child::restart`], for whoever tries again where it fails: an end before it works is that of a
    /// start that failed, which is counted, and not one that nobody ordered. One that lives is left as it is.
    pub async fn try_restart(&self) -> Result<(), ChildError> {
        let _order = self.inner.orders.lock().await;
        if self.is_alive() {
            return Ok(());
        }
        self.clear_up().await?;
        let lives = &self.inner.lives;
        self.bring_up("restart", Course::tried())
            .await
            .map_err(|failed| {
                lives.start_failed(failed.reason.clone(), failed.exit);
                ChildError {
                    was_started: failed.was_started,
                    ..self.error("restart", &failed)
                }
            })
    }

    /// What a death that nobody ordered left behind would keep the successor from starting.
    async fn clear_up(&self) -> Result<(), ChildError> {
        self.end("clear up before a restart").await
    }

    /// Starts that failed, of those that are tried again.
    pub fn failed_starts(&self) -> FailedStarts {
        self.inner.lives.failed_starts()
    }

    /// It is not started any more: from now on it has ended by itself.
    pub fn stays_away(&self) {
        self.inner.lives.stays_away();
    }

    /// Sends SIGSTOP to the whole tree; returns when every thread is stopped.
    pub async fn pause(&self) -> Result<(), ChildError> {
        let _order = self.inner.orders.lock().await;
        let Some(current) = self.living() else {
            return Err(self.error("pause", "it is dead"));
        };
        let root = current.id;
        let stopped = match self.inner.container.clone() {
            Some(container) => blocking(move || container.pause()).await,
            None => {
                let stop = move || tree::stop(|s| s.below(&[root]), TREE_WITHIN);
                match blocking(stop).await {
                    Ok(found) if found.contains(&root) => Ok(()),
                    Ok(_) => return Err(self.error("pause", "it died meanwhile")),
                    Err(reason) => Err(reason.to_string()),
                }
            }
        };
        match stopped {
            Ok(()) => {
                self.inner.lives.record(root.pid, Life::Paused, 0);
                Ok(())
            }
            Err(reason) => {
                let _ = self.wake(root).await;
                Err(self.error("pause", &reason))
            }
        }
    }

    /// Sends SIGCONT to the whole tree; an Err says that it is dead.
    pub async fn resume(&self) -> Result<(), ChildError> {
        let _order = self.inner.orders.lock().await;
        let Some(current) = self.living() else {
            return Err(self.error("resume", "it is dead"));
        };
        let woken = self.wake(current.id).await;
        woken.map_err(|reason| self.error("resume", &reason))?;
        self.inner.lives.record(current.id.pid, Life::Resumed, 0);
        Ok(())
    }

    /// Sends SIGTERM, waits at most `within`, sends SIGKILL and reaps. Returns true when it went by itself.
    pub async fn terminate(&self, within: Duration) -> Result<bool, ChildError> {
        self.terminate_with(Signal::SIGTERM, within).await
    }

    /// Does as [`Child::terminate`] with another signal (PostgreSQL: SIGINT is the fast shutdown, SIGTERM waits
    /// for every client).
    pub async fn terminate_with(
        &self,
        signal: Signal,
        within: Duration,
    ) -> Result<bool, ChildError> {
        let _order = self.inner.orders.lock().await;
        self.inner.returns.store(false, Ordering::Relaxed);
        self.tell_to_end(signal, within).await
    }

    /// Does as [`Child::terminate_with`] with one that is to be started again: until that is done, it is known by
    /// [`Child::is_to_return`].
    pub async fn end_for_now(&self, stop: &Stop) -> Result<bool, ChildError> {
        let _order = self.inner.orders.lock().await;
        self.inner.returns.store(true, Ordering::Relaxed);
        self.tell_to_end(stop.signal, stop.within).await
    }

    /// Whether it was told to end, last, in order to be started again.
    pub fn is_to_return(&self) -> bool {
        self.inner.returns.load(Ordering::Relaxed)
    }

    async fn tell_to_end(&self, signal: Signal, within: Duration) -> Result<bool, ChildError> {
        let Some(mut current) = self.living() else {
            self.end("terminate").await?;
            return Ok(false);
        };
        self.inner
            .lives
            .record(current.id.pid, Life::Terminating, 0);
        current.course.order();
        match self.inner.container.clone() {
            Some(container) => {
                let sent = blocking(move || container.send(signal)).await;
                sent.map_err(|reason| self.error("terminate", &reason))?;
            }
            None => {
                tree::send(current.id, signal);
                // A stopped process would not see it.
                wake_tree(current.id);
            }
        }
        let went = timeout(within, current.exit.wait_for(Option::is_some))
            .await
            .is_ok();
        self.end("terminate").await?;
        Ok(went)
    }

    /// Signals received so far on standard output, oldest first (bounded: the newest 100,000).
    pub fn signals(&self) -> Vec<TimedSignal> {
        self.inner.lives.signals()
    }

    /// Returns its lives and deaths since `clock`'s origin, in run time, oldest first.
    pub fn events(&self, clock: &RunClock) -> Vec<ProcessEvent> {
        self.inner.lives.events(&self.inner.spec.name, clock)
    }

    /// Returns the first end of it that nobody here ordered; `None` before there is one.
    pub fn own_end(&self) -> Option<OwnEnd> {
        self.inner.lives.own_end().borrow().clone()
    }

    /// Waits for the next end that nobody here ordered.
    pub async fn next_own_end(&self, ends: &mut OwnEnds) {
        if ends.0.changed().await.is_err() {
            // Cannot be: this very child keeps the other side.
            std::future::pending::<()>().await;
        }
    }

    /// How often it ended though nobody here had ordered that.
    pub fn own_end_count(&self) -> u64 {
        self.inner.lives.own_end_count()
    }

    /// Ends from now on, for [`Child::next_own_end`].
    pub fn own_ends(&self) -> OwnEnds {
        OwnEnds(self.inner.lives.own_end())
    }

    /// Returns how it ended last, by itself or not: an exit code, or `None` where a signal ended it or it lives.
    pub fn exit_code(&self) -> Option<i32> {
        let exit = (*self.current()?.exit.borrow())?;
        exit.exit_code()
    }

    /// Returns the end of [`Child::own_end`] in run time, with the last line of its log; `None` before there is one.
    pub fn own_death(&self, clock: &RunClock) -> Option<Death> {
        let end = self.own_end()?;
        let from = self.current().map_or(0, |c| c.log_from);
        Some(Death {
            process: self.name().to_owned(),
            at_ns: clock.at(end.monotonic_ns),
            exit: end.exit,
            how: end.how,
            last_words: log::last_line(&self.inner.spec.log, from),
        })
    }

    /// Waits for the first end that nobody here ordered; says how it was, with the log's tail.
    pub async fn ends_by_itself(&self) -> ChildError {
        let mut own_end = self.inner.lives.own_end();
        let how = match own_end.wait_for(Option::is_some).await {
            Ok(end) => end.as_ref().map_or_else(String::new, |e| e.how.clone()),
            // Cannot be: this very child keeps the other side.
            Err(_) => std::future::pending().await,
        };
        let doing = "run until it is told to end";
        let mut reason = format!("it {how}");
        if how == "was ended by signal 9" {
            reason.push_str(
                ", which it cannot have sent itself: somebody killed it, or the kernel was out of \
                 memory (see dmesg)",
            );
        }
        self.error(doing, &reason)
    }

    /// Why it is dead, in one line; `None` while it lives.
    pub fn death(&self) -> Option<String> {
        if self.is_alive() {
            return None;
        }
        let spec = &self.inner.spec;
        let how = match self.own_end() {
            Some(end) => format!("ended by itself: it {}", end.how),
            None => "is dead".to_owned(),
        };
        let from = self.current().map_or(0, |c| c.log_from);
        let log = spec.log.display();
        Some(match log::last_line(&spec.log, from) {
            line if line.is_empty() => format!("{} {how}; {log} does not say why", spec.name),
            line => format!("{} {how}; {log} ends with: {line}", spec.name),
        })
    }

    /// Lets the tree outlive the harness (`--keep-stack`): neither a drop nor the reaper ends it.
    pub fn let_go(&self) -> std::io::Result<()> {
        if let Some(current) = lock(&self.inner.current).as_mut() {
            self.inner.reaper.let_go(current.id)?;
            if let Some(keeper) = current.log_keeper {
                self.inner.reaper.let_go(keeper)?;
            }
            current.let_go = true;
        }
        Ok(())
    }

    async fn bring_up(&self, doing: &'static str, course: Arc<Course>) -> Result<(), StartFailed> {
        let current = self.inner.spawn(course).map_err(StartFailed::at_once)?;
        let (pid, course) = (current.id.pid, Arc::clone(&current.course));
        let exit = current.exit.clone();
        let mut ready = self.await_ready(current).await;
        if ready.is_ok() && !course.works() {
            ready = Err("it was ready and ended at once".to_owned());
        }
        match ready {
            Ok(()) => {
                self.inner.returns.store(false, Ordering::Relaxed);
                self.inner.lives.record(pid, Life::Ready, 0);
                let within = match self.inner.container.clone() {
                    Some(container) => blocking(move || container.root()).await,
                    None => None,
                };
                if let Some(current) = lock(&self.inner.current).as_mut() {
                    current.image = Image::of(pid);
                    current.within = within;
                }
                Ok(())
            }
            Err(reason) => {
                let by_itself = exit.borrow().map_or(0, Exit::code);
                let _ = self.end(doing).await;
                Err(StartFailed {
                    reason,
                    exit: by_itself,
                    was_started: true,
                })
            }
        }
    }

    async fn await_ready(&self, mut current: Current) -> Result<(), String> {
        let spec = &self.inner.spec;
        let deadline = Instant::now() + spec.ready_within;
        let last_answer = Mutex::new(None);
        let ready = async {
            match &spec.ready {
                Ready::Signal | Ready::Says(_) => {
                    if current.ready.wait_for(|ready| *ready).await.is_err() {
                        // Its output is closed: its exit, or the bound, says more.
                        std::future::pending().await
                    }
                }
                Ready::Answers(probe) => {
                    while let Err(answer) = probe().await {
                        *lock(&last_answer) = Some(answer);
                        sleep(ASK_AGAIN).await;
                    }
                }
            }
        };
        let mut exit = current.exit.clone();
        let died = async {
            let _ = exit.wait_for(Option::is_some).await;
            let exit = *exit.borrow();
            exit.map_or_else(|| "its end was not seen".to_owned(), |e| e.to_string())
        };
        tokio::select! {
            biased;
            how = died => Err(format!("it was not ready yet and {how}")),
            ready = timeout_at(deadline, ready) => ready
                .map_err(|_| match &spec.ready {
                    Ready::Says(line) => format!(
                        "it was not ready within {:?}: no line of its output matched `{line}`",
                        spec.ready_within
                    ),
                    Ready::Signal | Ready::Answers(_) => {
                        let last = lock(&last_answer).take();
                        let last = last.map(|answer| format!(": the last answer was: {answer}"));
                        format!(
                            "it was not ready within {:?}{}",
                            spec.ready_within,
                            last.unwrap_or_default()
                        )
                    }
                }),
        }
    }

    /// Kills the tree and what it orphaned, and waits until the root is reaped.
    async fn end(&self, doing: &'static str) -> Result<(), ChildError> {
        let Some(mut current) = self.current() else {
            return Ok(());
        };
        current.course.order();
        if let Some(container) = self.inner.container.clone() {
            let killed = blocking(move || container.send(Signal::SIGKILL)).await;
            killed.map_err(|reason| self.error(doing, &reason))?;
            // The client tells how the container ended.
            let _ = timeout(TREE_WITHIN, current.exit.wait_for(Option::is_some)).await;
        }
        let (root, image) = (current.id, current.image.clone());
        let own = Some(root);
        let mark = self.inner.mark.clone();
        let killed = blocking(move || {
            tree::kill(
                |s| remains(s, root, image.as_ref(), &mark),
                own,
                TREE_WITHIN,
            )
        });
        killed
            .await
            .map_err(|reason| self.error(doing, &reason.to_string()))?;
        let reaped = timeout(TREE_WITHIN, current.exit.wait_for(Option::is_some));
        match reaped.await {
            Ok(_) => Ok(()),
            Err(_) => Err(self.error(doing, "it was killed but could not be reaped")),
        }
    }

    async fn wake(&self, root: ProcessId) -> Result<(), String> {
        match self.inner.container.clone() {
            Some(container) => blocking(move || container.wake()).await,
            None => {
                wake_tree(root);
                Ok(())
            }
        }
    }

    fn current(&self) -> Option<Current> {
        lock(&self.inner.current).clone()
    }

    fn living(&self) -> Option<Current> {
        self.current().filter(|c| c.exit.borrow().is_none())
    }

    fn error(&self, doing: &'static str, reason: &(impl ToString + ?Sized)) -> ChildError {
        let spec = &self.inner.spec;
        let from = self.current().map_or(0, |c| c.log_from);
        ChildError {
            name: spec.name.clone(),
            doing,
            reason: reason.to_string(),
            was_started: false,
            tail: log::tail(&spec.log, from),
        }
    }
}

impl Inner {
    /// Spawns, and watches from threads of its own: a child may outlive the runtime it was
    /// started from.
    fn spawn(&self, course: Arc<Course>) -> Result<Current, String> {
        if !self.reaper.is_alive() {
            return Err("the reaper is dead; nothing is started that could be left behind".into());
        }
        let spec = &self.spec;
        let log_from = log::length(&spec.log);
        let log = output::open_log(&spec.log)?;
        let mut command = self.command();
        let keeper = match &spec.ready {
            Ready::Signal | Ready::Says(_) => {
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                None
            }
            Ready::Answers(_) => {
                let clone = |e| format!("open the log: {e}");
                let keeper = log_keeper::start(&self.reaper, log.try_clone().map_err(clone)?)?;
                command.stdout(keeper.pipe.try_clone().map_err(clone)?);
                command.stderr(keeper.pipe);
                Some((keeper.id, keeper.said))
            }
        };
        let (mut process, id) = spawn::spawn(&mut command)
            .map_err(|e| format!("run {}: {e}", spec.program.display()))?;
        // The keeper's pipe is the child's alone from now on.
        drop(command);
        self.lives.record(id.pid, Life::Started, 0);
        let (ready_tell, ready) = tokio::sync::watch::channel(false);
        let log_keeper = keeper.as_ref().map(|(id, _)| *id);
        let said = match (process.stdout.take(), process.stderr.take()) {
            (Some(out), Some(err)) => {
                let listening = match &spec.ready {
                    Ready::Says(line) => Listening::Line(Arc::clone(line)),
                    Ready::Signal | Ready::Answers(_) => {
                        Listening::Signals(Arc::clone(&self.lives))
                    }
                };
                output::read(out, err, log, listening, ready_tell)?
            }
            _ => match keeper {
                Some((_, said)) => said,
                None => channel().1,
            },
        };
        let of_container = self.container.is_some();
        let watched = (process, id, of_container);
        let exit = Lives::watch(&self.lives, watched, Arc::clone(&course), said)?;
        let current = Current {
            id,
            within: None,
            image: None,
            exit,
            ready,
            course,
            log_from,
            log_keeper,
            let_go: false,
        };
        *lock(&self.current) = Some(current.clone());
        Ok(current)
    }

    fn command(&self) -> Command {
        use std::os::unix::process::CommandExt;
        let spec = &self.spec;
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.args)
            .env_clear()
            .envs(match std::env::current_exe() {
                Ok(own) if own == spec.program => environment::of_own_child(),
                Ok(_) | Err(_) => environment::of_child(),
            })
            .envs(spec.env.iter().map(|(k, v)| (k, v)))
            .env(MARK, &self.mark)
            .process_group(self.reaper.process_group())
            .stdin(Stdio::null());
        if let Some((uid, gid)) = spec.user {
            command.uid(uid).gid(gid);
        }
        if let Some(folder) = &spec.folder {
            command.current_dir(folder);
        }
        command
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let Some(current) = lock(&self.current).take() else {
            return;
        };
        if current.let_go {
            return;
        }
        if let Some(container) = &self.container
            && let Err(reason) = container.send(Signal::SIGKILL)
        {
            tracing::error!(child = self.spec.name, %reason, "left to the reaper");
        }
        let image = current.image.as_ref();
        let killed = tree::kill(
            |s| remains(s, current.id, image, &self.mark),
            Some(current.id),
            TREE_WITHIN,
        );
        if let Err(reason) = killed {
            tracing::error!(child = self.spec.name, %reason, "left to the reaper");
        }
        let deadline = std::time::Instant::now() + TREE_WITHIN;
        while current.exit.borrow().is_none() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Returns the living tree, and what it left to this process as adoptive parent: not spawned by this
/// process, but with its mark in the environment, or without any and with the same program and folder as the root (a
/// server may have written over its environment). With another mark it is another child's.
fn remains(
    snapshot: &Snapshot,
    root: ProcessId,
    image: Option<&Image>,
    mark: &str,
) -> Vec<Process> {
    let mut roots = vec![root];
    let root_lives = tree::find(root.pid).is_some_and(|p| p.id == root && p.lives());
    if !root_lives {
        let me = i32::try_from(std::process::id()).unwrap_or(0);
        let my_group = tree::find(me).map(|p| p.group);
        let orphans = snapshot
            .children(me)
            // What other code of this program spawns stays in its own group.
            .filter(|p| Some(p.group) != my_group && !spawn::is_own(p.id))
            .filter(|p| match tree::value_in_environment(p.id.pid, MARK) {
                Some(value) => value == mark.as_bytes(),
                None => image.is_some() && Image::of(p.id.pid).as_ref() == image,
            });
        roots.extend(orphans.map(|p| p.id));
    }
    snapshot.below(&roots)
}

/// Sends SIGCONT to the whole tree, children before their parents.
fn wake_tree(root: ProcessId) {
    for process in Snapshot::take().below(&[root]).iter().rev() {
        tree::send(process.id, Signal::SIGCONT);
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
