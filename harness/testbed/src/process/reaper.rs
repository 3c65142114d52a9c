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
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, Signal};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitCode, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The binary becomes the reaper by this hidden subcommand.
pub const SUBCOMMAND: &str = "reaper";
/// Set for the process that is the anchor, not the reaper.
const ANCHOR: &str = "OUTBOX_HARNESS_REAPER_ANCHOR";
/// What the reaper prints, with the group's number, once no signal of a terminal can end it.
const READY: &str = "ready ";
/// At most so many bytes are read of that line.
const READY_BYTES_MAX: u64 = 32;
/// The reaper must be ready within this time of its start.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// Bound on its end, once nothing is left to do for it.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// Killing what the harness left may take at most this time.
const KILL_WITHIN: Duration = Duration::from_secs(10);
/// A spawn that was under way when the harness died shows up within this time.
const LATE_SPAWN: Duration = Duration::from_millis(100);
/// At most so many notes are kept; the harness notes a handful a strategy.
const NOTES_MAX: usize = 10_000;

/// Something that the harness makes and must not leave behind.
pub trait Cleanup: Serialize + DeserializeOwned {
    /// The reaper's notes call things of this kind by this name.
    const KIND: &'static str;

    /// Undoes what a dead harness left of this kind, in the order in which it was noted. Says what it
    /// did, one line each, or what was left.
    fn clean_up(left: Vec<Self>) -> Result<Vec<String>, String>;
}

/// One kind of [`Cleanup`], as whoever runs the reaper names it.
#[derive(Debug, Clone, Copy)]
pub struct Duty {
    kind: &'static str,
    clean_up: fn(Vec<Value>) -> Result<Vec<String>, String>,
}

impl Duty {
    /// Returns the duty to clean up what was noted of the kind `M`.
    pub const fn of<M: Cleanup>() -> Self {
        Self {
            kind: M::KIND,
            clean_up: |left| {
                let read = left.into_iter().map(serde_json::from_value);
                let left: Result<Vec<M>, _> = read.collect();
                M::clean_up(left.map_err(|e| format!("read the notes of {}: {e}", M::KIND))?)
            },
        }
    }
}

/// What the harness tells the reaper: one JSON object a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Note {
    /// The thing is about to be made.
    Made(Thing),
    /// The thing is undone again, or is to be kept.
    Gone(Thing),
    /// This process and everything below it may live on.
    LetGo(ProcessId),
}

/// A thing of some kind, as it is noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Thing {
    kind: String,
    what: Value,
}

impl Thing {
    fn of<M: Cleanup>(thing: &M) -> serde_json::Result<Self> {
        Ok(Self {
            kind: M::KIND.to_owned(),
            what: serde_json::to_value(thing)?,
        })
    }
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

    /// Tells the reaper what to undo if the harness dies; written before the thing is made.
    pub fn note(&self, thing: &impl Cleanup) -> std::io::Result<()> {
        self.tell(&Note::Made(Thing::of(thing)?))
    }

    /// Takes [`Reaper::note`] back: it was undone, or is to be kept.
    pub fn forget(&self, thing: &impl Cleanup) -> std::io::Result<()> {
        self.tell(&Note::Gone(Thing::of(thing)?))
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

/// Runs the hidden subcommand; what the harness notes must be of one of these kinds, which are cleaned up
/// in this order.
pub fn main(duties: &[Duty]) -> ExitCode {
    let done = ignore_signals().and_then(|()| match std::env::var_os(ANCHOR) {
        Some(_) => hold_the_group(),
        None => stand_by(duties),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            say(&reason);
            ExitCode::FAILURE
        }
    }
}

/// Does the anchor's work: it leads the group for as long as the reaper lives.
fn hold_the_group() -> Result<(), String> {
    let mut nothing = Vec::new();
    let end = std::io::stdin().lock().read_to_end(&mut nothing);
    end.map(drop).map_err(|e| format!("hold the group: {e}"))
}

/// Writes it on standard error, if anybody still reads that: with the harness, its reader may be gone too,
/// and that must not keep the reaper from its work.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "reaper: {what}");
}

fn stand_by(duties: &[Duty]) -> Result<(), String> {
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
    let done = Notes::read(std::io::stdin().lock()).discharge(group, duties);
    drop(anchor.stdin.take());
    let _ = anchor.wait();
    done
}

/// Ignores all signals that a terminal or a dying session sends; an Err names the one that could not be ignored.
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
struct Notes {
    made: Vec<Thing>,
    let_go: Vec<ProcessId>,
}

impl Notes {
    /// Reads notes until the harness's end of the pipe closes.
    fn read(input: impl BufRead) -> Self {
        let mut notes = Self::default();
        for line in input.split(b'\n') {
            let Ok(line) = line else { break };
            // The harness may have died within a line; what that line announced was never made.
            if let Ok(note) = serde_json::from_slice(&line) {
                notes.take(note);
            }
        }
        notes
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::Made(thing) if self.made.len() < NOTES_MAX => self.made.push(thing),
            Note::LetGo(process) if self.let_go.len() < NOTES_MAX => self.let_go.push(process),
            Note::Gone(gone) => self.made.retain(|known| *known != gone),
            Note::Made(_) | Note::LetGo(_) => {
                say(&format!("more than {NOTES_MAX} notes; this one is dropped"));
            }
        }
    }

    fn discharge(mut self, group: i32, duties: &[Duty]) -> Result<(), String> {
        let mut failures = Vec::new();
        match self.kill_everything(group) {
            Ok(0) => {}
            Ok(killed) => say(&format!("the harness is gone; ended {killed} processes")),
            Err(reason) => failures.push(reason.to_string()),
        }
        for duty in duties {
            let of_it = self.made.extract_if(.., |thing| thing.kind == duty.kind);
            match (duty.clean_up)(of_it.map(|thing| thing.what).collect()) {
                Ok(said) => said.iter().for_each(|line| say(line)),
                Err(reason) => failures.push(reason),
            }
        }
        failures.extend(self.made.iter().map(|thing| format!("left: {thing:?}")));
        if failures.is_empty() {
            Ok(())
        } else {
            Err(failures.join("; "))
        }
    }

    /// Kills everything that is doomed, twice, since a spawn that was under way joins the group a moment later;
    /// returns how many processes were killed.
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

    fn thing(what: &str) -> Thing {
        Thing {
            kind: "folder".into(),
            what: format!("{what}{}", "x".repeat(9_000)).into(),
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
            Note::Made(thing("a")),
            Note::Made(thing("b")),
            Note::Gone(thing("a")),
        ]);
        assert_eq!(Notes::read(text.as_slice()).made, [thing("b")]);
    }

    #[test]
    fn a_line_cut_off_by_the_harnesss_death_is_left_out() {
        let mut text = lines(&[Note::Made(thing("a")), Note::Made(thing("b"))]);
        text.truncate(text.len() - 4);
        assert_eq!(Notes::read(text.as_slice()).made, [thing("a")]);
    }

    /// Fails with all of its text.
    #[derive(Serialize, Deserialize)]
    struct Hopeless(String);

    impl Cleanup for Hopeless {
        const KIND: &'static str = "hopeless";

        fn clean_up(left: Vec<Self>) -> Result<Vec<String>, String> {
            Err(left.into_iter().map(|Hopeless(text)| text).collect())
        }
    }

    #[test]
    fn given_notes_of_several_kinds_when_the_harness_is_gone_then_each_kind_gets_its_own() {
        let hopeless = |text: &str| Note::Made(Thing::of(&Hopeless(text.into())).unwrap());
        let text = lines(&[hopeless("one, "), Note::Made(thing("a")), hopeless("two")]);
        // No process is in a group of that number
        let done = Notes::read(text.as_slice()).discharge(i32::MAX, &[Duty::of::<Hopeless>()]);
        let reason = done.unwrap_err();
        // And what nobody is there for is not passed over in silence
        assert!(
            reason.starts_with("one, two; left: Thing { kind: \"folder\""),
            "{reason}"
        );
    }
}
