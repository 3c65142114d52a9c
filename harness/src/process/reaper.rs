//! The last resort: a process of its own group, blocked on a pipe whose only writer is the harness.
//! At end of file it stops the tree of every process the harness spawned, top down until nothing
//! new appears, and kills it. See docs/architecture.md for why neither process groups nor
//! PR_SET_PDEATHSIG are enough.
//!
//! Children are spawned into a group of their own, led by the reaper's only child, the anchor.
//! Were the harness their only tie to its session, its death would orphan their group, and to an
//! orphaned group with a stopped member the kernel sends SIGHUP: parents would die of it before
//! the reaper sees their children. The anchor's parent, the reaper, keeps the group from that.

use super::spawn::spawn;
use super::tree::{self, Process, ProcessId, Snapshot};
use crate::stack::data_folder::DataFolder;
use crate::stack::external::Leftover;
use crate::stack::leftovers;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, Signal};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitCode, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Hidden subcommand of the binary that becomes the reaper.
pub const SUBCOMMAND: &str = "reaper";
/// Set for the process that is the anchor, not the reaper.
const ANCHOR: &str = "OUTBOX_HARNESS_REAPER_ANCHOR";
/// What the reaper prints, with the group's number, once no signal of a terminal can end it.
const READY: &str = "ready ";
/// Longest such line.
const READY_BYTES_MAX: u64 = 32;
/// Bound on its start.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// Bound on its end, once nothing is left to do for it.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// Bound on killing what the harness left.
const KILL_WITHIN: Duration = Duration::from_secs(10);
/// A spawn that was under way when the harness died shows up within this time.
const LATE_SPAWN: Duration = Duration::from_millis(100);
/// At most so many notes are kept; the harness notes a handful a strategy.
const NOTES_MAX: usize = 10_000;

/// What the harness tells the reaper: one JSON object a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Note {
    /// About to be made on an external stack.
    External(Leftover),
    /// Dropped again, or to be kept.
    ExternalGone(Leftover),
    /// About to be made; removed with everything in it.
    Folder(PathBuf),
    /// Removed again, or to be kept.
    FolderGone(PathBuf),
    /// This process and everything below it may live on.
    LetGo(ProcessId),
}

/// Process group into which every child is spawned, and the process that stands by to end it.
#[derive(Debug)]
pub struct Reaper {
    program: PathBuf,
    group: i32,
    process: Mutex<std::process::Child>,
    pipe: Mutex<Option<ChildStdin>>,
}

impl Reaper {
    /// Starts the reaper (this binary's hidden subcommand `reaper`).
    pub fn start() -> std::io::Result<Self> {
        Self::start_with(&std::env::current_exe()?)
    }

    /// As [`Reaper::start`], where the running program is not the binary that has the subcommand.
    ///
    /// Makes this process the adoptive parent of what its children leave behind, so that it can
    /// find and reap such orphans.
    pub fn start_with(program: &Path) -> std::io::Result<Self> {
        nix::sys::prctl::set_child_subreaper(true)?;
        let mut command = Command::new(program);
        command
            .arg(SUBCOMMAND)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let (mut process, _) = spawn(&mut command).map_err(|e| explain(program, &e.to_string()))?;
        let group = match wait_ready(&mut process) {
            Ok(group) => group,
            Err(reason) => {
                let _ = process.kill();
                let _ = process.wait();
                return Err(explain(program, &reason));
            }
        };
        Ok(Self {
            program: program.to_owned(),
            group,
            pipe: Mutex::new(process.stdin.take()),
            process: Mutex::new(process),
        })
    }

    /// The binary that has the hidden subcommands.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// The group children are spawned into.
    pub fn process_group(&self) -> i32 {
        self.group
    }

    /// Whether it still stands by; without it nothing may be spawned.
    pub fn is_alive(&self) -> bool {
        matches!(lock(&self.process).try_wait(), Ok(None))
    }

    /// Tells the reaper what to drop from an external stack if the harness dies: one JSON line,
    /// written before the thing is created.
    pub fn note_external(&self, note: &Leftover) -> std::io::Result<()> {
        self.tell(&Note::External(note.clone()))
    }

    /// Takes [`Reaper::note_external`] back: it was dropped, or is to be kept.
    pub fn forget_external(&self, note: &Leftover) -> std::io::Result<()> {
        self.tell(&Note::ExternalGone(note.clone()))
    }

    /// Tells the reaper to remove this data folder if the harness dies; written before it is made.
    pub fn note_folder(&self, folder: &Path) -> std::io::Result<()> {
        self.tell(&Note::Folder(folder.to_owned()))
    }

    /// Takes [`Reaper::note_folder`] back.
    pub fn forget_folder(&self, folder: &Path) -> std::io::Result<()> {
        self.tell(&Note::FolderGone(folder.to_owned()))
    }

    /// Tells the reaper that this process and all below it may outlive the harness.
    pub fn let_go(&self, process: ProcessId) -> std::io::Result<()> {
        self.tell(&Note::LetGo(process))
    }

    fn tell(&self, note: &Note) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(note)?;
        line.push(b'\n');
        match lock(&self.pipe).as_mut() {
            Some(pipe) => pipe.write_all(&line),
            None => Err(std::io::Error::other("the reaper was dismissed")),
        }
    }
}

impl Drop for Reaper {
    /// Dismisses the reaper, which first ends whatever is still there, and waits for it.
    fn drop(&mut self) {
        drop(lock(&self.pipe).take());
        let mut process = lock(&self.process);
        let deadline = Instant::now() + KILL_WITHIN + GONE_WITHIN;
        while matches!(process.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn explain(program: &Path, reason: &str) -> std::io::Error {
    std::io::Error::other(format!(
        "start the reaper, {} {SUBCOMMAND}: {reason}",
        program.display()
    ))
}

/// The group that children are to join.
fn wait_ready(process: &mut std::process::Child) -> Result<i32, String> {
    let out = process.stdout.take().ok_or("it has no standard output")?;
    let timeout = PollTimeout::try_from(READY_WITHIN).map_err(|e| e.to_string())?;
    let mut fds = [PollFd::new(out.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, timeout) {
        Ok(1) => {}
        Ok(_) => return Err(format!("it was not ready within {READY_WITHIN:?}")),
        Err(e) => return Err(e.to_string()),
    }
    let mut line = String::new();
    let read = BufReader::new(out.take(READY_BYTES_MAX)).read_line(&mut line);
    let group = line.trim_end().strip_prefix(READY).map(str::parse);
    match (read, group) {
        (Ok(_), Some(Ok(group))) => Ok(group),
        _ => Err("it ended instead, or is no reaper".into()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Body of the hidden subcommand.
pub fn main() -> ExitCode {
    let done = ignore_signals().and_then(|()| match std::env::var_os(ANCHOR) {
        Some(_) => hold_the_group(),
        None => stand_by(),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            say(&reason);
            ExitCode::FAILURE
        }
    }
}

/// The anchor: it leads the group for as long as the reaper lives.
fn hold_the_group() -> Result<(), String> {
    let mut nothing = Vec::new();
    let end = std::io::stdin().lock().read_to_end(&mut nothing);
    end.map(drop).map_err(|e| format!("hold the group: {e}"))
}

/// On standard error, if anybody still reads that: with the harness, its reader may be gone too, and
/// that must not keep the reaper from its work.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "reaper: {what}");
}

fn stand_by() -> Result<(), String> {
    let mut anchor = Command::new("/proc/self/exe")
        .arg(SUBCOMMAND)
        .env(ANCHOR, "1")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| format!("start the anchor: {e}"))?;
    let group = i32::try_from(anchor.id()).map_err(|e| e.to_string())?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{READY}{group}")
        .and_then(|()| out.flush())
        .map_err(|e| format!("say that it is ready: {e}"))?;
    let done = Duty::read(std::io::stdin().lock()).discharge(group);
    drop(anchor.stdin.take());
    let _ = anchor.wait();
    done
}

/// All that a terminal or a dying session sends.
pub(super) fn ignore_signals() -> Result<(), String> {
    for signal in [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
        Signal::SIGPIPE,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGTSTP,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
    ] {
        // SAFETY: SIG_IGN runs no code of ours.
        unsafe { nix::sys::signal::signal(signal, SigHandler::SigIgn) }
            .map_err(|e| format!("ignore {signal}: {e}"))?;
    }
    Ok(())
}

/// What is to be done when the harness is gone.
#[derive(Debug, Default)]
struct Duty {
    external: Vec<Leftover>,
    folders: Vec<PathBuf>,
    let_go: Vec<ProcessId>,
}

impl Duty {
    /// Reads notes until the harness's end of the pipe closes.
    fn read(input: impl BufRead) -> Self {
        let mut duty = Self::default();
        for line in input.split(b'\n') {
            let Ok(line) = line else { break };
            // The harness may have died within a line; what that line announced was never made.
            if let Ok(note) = serde_json::from_slice(&line) {
                duty.take(note);
            }
        }
        duty
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::External(leftover) if self.external.len() < NOTES_MAX => {
                self.external.push(leftover);
            }
            Note::Folder(folder) if self.folders.len() < NOTES_MAX => self.folders.push(folder),
            Note::LetGo(process) if self.let_go.len() < NOTES_MAX => self.let_go.push(process),
            Note::ExternalGone(gone) => self.external.retain(|known| *known != gone),
            Note::FolderGone(gone) => self.folders.retain(|known| *known != gone),
            Note::External(_) | Note::Folder(_) | Note::LetGo(_) => {
                say(&format!("more than {NOTES_MAX} notes; this one is dropped"));
            }
        }
    }

    fn discharge(self, group: i32) -> Result<(), String> {
        let mut failures = Vec::new();
        match self.kill_everything(group) {
            Ok(0) => {}
            Ok(killed) => say(&format!("the harness is gone; ended {killed} processes")),
            Err(reason) => failures.push(reason.to_string()),
        }
        // The inner ones were noted last.
        for folder in self.folders.iter().rev() {
            if let Err(reason) = DataFolder::remove_abandoned(folder) {
                failures.push(format!("remove {}: {reason}", folder.display()));
            }
        }
        for said in leftovers::drop_after_death(&self.external) {
            say(&said);
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(failures.join("; "))
        }
    }

    /// Twice: a spawn that was under way joins the group a moment later.
    fn kill_everything(&self, group: i32) -> Result<usize, tree::TreeError> {
        let mut killed = tree::kill(|s| self.doomed(s, group), None, KILL_WITHIN)?;
        std::thread::sleep(LATE_SPAWN);
        killed += tree::kill(|s| self.doomed(s, group), None, KILL_WITHIN)?;
        Ok(killed)
    }

    /// Members of the group, and all below them, but not the anchor nor what was let go.
    fn doomed(&self, snapshot: &Snapshot, anchor: i32) -> Vec<Process> {
        let spared: HashSet<ProcessId> = snapshot
            .below(&self.let_go)
            .iter()
            .map(|p| p.id)
            .chain(self.let_go.iter().copied())
            .collect();
        let members: Vec<ProcessId> = snapshot
            .group(anchor)
            .filter(|p| p.id.pid != anchor && !spared.contains(&p.id))
            .map(|p| p.id)
            .collect();
        let mut doomed = snapshot.below(&members);
        doomed.retain(|p| !spared.contains(&p.id));
        doomed
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn leftover(schema: &str) -> Leftover {
        Leftover {
            stack: "x".repeat(9_000),
            schema: schema.into(),
            topic: "t".into(),
            proxies: vec![],
        }
    }

    fn lines(notes: &[Note]) -> Vec<u8> {
        notes
            .iter()
            .flat_map(|n| [serde_json::to_vec(n).unwrap(), b"\n".to_vec()].concat())
            .collect()
    }

    #[test]
    fn what_was_taken_back_is_no_duty() {
        let text = lines(&[
            Note::External(leftover("a")),
            Note::External(leftover("b")),
            Note::Folder("/x".into()),
            Note::ExternalGone(leftover("a")),
            Note::FolderGone("/x".into()),
        ]);
        let duty = Duty::read(text.as_slice());
        assert_eq!(duty.external, [leftover("b")]);
        assert!(duty.folders.is_empty());
    }

    #[test]
    fn a_line_cut_off_by_the_harnesss_death_is_left_out() {
        let mut text = lines(&[Note::External(leftover("a")), Note::Folder("/x".into())]);
        text.truncate(text.len() - 4);
        let duty = Duty::read(text.as_slice());
        assert_eq!(duty.external, [leftover("a")]);
        assert!(duty.folders.is_empty());
    }
}
